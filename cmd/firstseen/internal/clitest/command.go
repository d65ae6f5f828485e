// Package clitest is what tests of several commands share: command lines that are run in this process, logs, and
// deployments on an embedded broker.
package clitest

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
)

// Execution is a command line and what came of it.
type Execution struct {
	Code           int
	Stdout, Stderr string
}

// Execute runs a command line of these commands in this process; see cli.Run.
func Execute(t *testing.T, commands any, stdin io.Reader, args ...string) Execution {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(commands, &cli.App{Ctx: t.Context(), Stdin: stdin, Stdout: &stdout, Stderr: &stderr}, args)
	return Execution{code, stdout.String(), stderr.String()}
}

// Write makes a file of a test.
func Write(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Files writes files into one directory.
func Files(t *testing.T, nameAndText ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := 0; i < len(nameAndText); i += 2 {
		path := filepath.Join(dir, nameAndText[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(nameAndText[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// WantStderr fails unless a command has said these parts at its end.
func WantStderr(t *testing.T, e Execution, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(e.Stderr, line) {
			t.Errorf("the summary does not say %q:\n%s", line, e.Stderr)
		}
	}
}

// StopAt ends a command when it has written something in particular.
type StopAt struct {
	bytes.Buffer
	Text string
	Stop context.CancelFunc
}

func (s *StopAt) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if bytes.Contains(s.Bytes(), []byte(s.Text)) {
		s.Stop()
	}
	return n, err
}

// Buffer collects what a command says while it runs.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
