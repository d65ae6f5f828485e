package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/traffic"
)

// TestMain lets the test program be the worker process that demo --crash starts and kills. Temporary files have a place
// of their own, so that it can tell in the end what the demos have left behind: nothing.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "demo" && os.Args[2] == "--worker" {
		os.Exit(cli.Run(commands(), &cli.App{Ctx: context.Background(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}, os.Args[1:]))
	}
	dir, err := os.MkdirTemp("", "firstseen-test-")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if left, _ := filepath.Glob(filepath.Join(dir, "firstseen-demo-*")); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "FAIL: demos have left behind", left)
		code = 1
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// transcript is what a demo writes to.
type transcript interface {
	io.Writer
	fmt.Stringer
}

// demonstrate runs a demo.
func demonstrate(ctx context.Context, t *testing.T, out transcript, args ...string) (code int) {
	t.Helper()
	var stderr bytes.Buffer
	code = cli.Run(commands(), &cli.App{Ctx: ctx, Stdout: out, Stderr: &stderr}, append([]string{"demo"}, args...))
	t.Logf("exit code %d\n%s%s", code, out, &stderr)
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours, though this is no terminal")
	}
	return code
}

// inOrder reports the first text that is not there behind those before it.
func inOrder(t *testing.T, all string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		_, behind, ok := strings.Cut(all, text)
		if !ok {
			t.Fatalf("does not say, or not here: %q", text)
		}
		all = behind
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	began := time.Now()
	if code := demonstrate(t.Context(), t, &out); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
	inOrder(t, out.String(),
		"quiet", "no alert",
		traffic.Scanner+" tries", "ALERT", "Unauthenticated", traffic.Scanner, "without credentials", "seen before",
		traffic.Reader+", outside", "ALERT", traffic.Reader, "2 alerts",
		traffic.Scanner+" comes back", "no alert",
		"alerts                 3", "new terms 2, allowlist 1", "dead letters           0", "latency",
		"missing 0, duplicate 0, wrong 0",
		"next", "demo --crash", "scan")
	if n := strings.Count(out.String(), "ALERT"); n != 3 {
		t.Errorf("%d alerts shown, want 3", n)
	}
}

func TestDemoInterrupted(t *testing.T) {
	for _, c := range []struct {
		name, at string
		args     []string
		code     int
	}{
		{"while it is quiet", "no alert", nil, cli.ExitOK},
		{"at an alert", "ALERT", nil, cli.ExitOK},
		{"between worker and worker", "kill -9", []string{"--crash"}, cli.ExitFindings},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &clitest.StopAt{Text: c.at, Stop: cancel}
			if code := demonstrate(ctx, t, out, c.args...); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			inOrder(t, out.String(), c.at, "interrupted; nothing is left behind")
			if strings.Contains(out.String(), "missing") {
				t.Error("a verdict without an end")
			}
		})
	}
}

func TestDemoCrash(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if code := demonstrate(t.Context(), t, &out, "--crash"); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
	inOrder(t, out.String(), "is ready", "kill -9", "is ready", "kill -9", "is ready", "records            6,000", "missing 0, duplicate 0, wrong 0")
	kills := regexp.MustCompile(`kills +(\d+)   of which (\d+) met an open transaction`).FindStringSubmatch(out.String())
	if kills == nil {
		t.Fatal("does not say how many kills there were")
	}
	if hits, _ := strconv.Atoi(kills[2]); hits < 2 || strings.Count(out.String(), "kill -9") != atoi(kills[1]) {
		t.Errorf("%s kills, %s with an open transaction", kills[1], kills[2])
	}
	if n := strings.Count(out.String(), "   alert  "); n < 6 || n > 24 {
		t.Errorf("%d alerts shown: want a few after each start", n)
	}
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// The worker process of a demo that is gone ends by itself.
func TestDemoWorkerEndsWithItsInput(t *testing.T) {
	d, err := openDemo(&cli.App{Ctx: t.Context(), Stdout: &bytes.Buffer{}})
	defer d.close()
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.startWorker()
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	if err := p.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.stop(); err != nil { // closes its standard input
		t.Error(err)
	}
}

func TestDemoWorkerNeedsTheDemo(t *testing.T) {
	e := execute(t, strings.NewReader(""), "demo", "--worker")
	if e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "demo --crash") {
		t.Errorf("exit code %d: %s", e.Code, e.Stderr)
	}
}
