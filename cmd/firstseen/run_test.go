package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/devbroker"
	"firstseen/traffic"
)

// TestRun goes through a deployment's life with the commands alone: topics, worker, traffic, alerts, metrics, a reset.
func TestRun(t *testing.T) {
	broker, err := devbroker.Start(devbroker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, http := t.TempDir(), freeAddress(t)
	file := filepath.Join(dir, "firstseen.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
app: trial
instance: one
brokers: [%q]
sources: [{topic: cloudtrail}, {topic: s3access}]
partitions: 4
state: {dir: %q}
http: {listen: %q}
`, broker.Addr(), filepath.Join(dir, "state"), http), 0o600); err != nil {
		t.Fatal(err)
	}
	expect := func(code int, part string, args ...string) {
		t.Helper()
		e := execute(t, nil, args...)
		if e.code != code || !strings.Contains(e.stdout+e.stderr, part) {
			t.Fatalf("%v: exit code %d, want %d and %q\n%s%s", args, e.code, code, part, e.stdout, e.stderr)
		}
	}
	expect(cli.ExitOK, "trial.detect.changelog", "topics", "plan", "-c", file)
	expect(cli.ExitGuarantee, "trial.findings is missing", "topics", "check", "-c", file)
	expect(cli.ExitGuarantee, "source topic cloudtrail", "run", "-c", file)
	expect(cli.ExitOK, "created trial.alerts", "topics", "create", "-c", file, "--sources", "3")
	expect(cli.ExitOK, "8 topics as planned, 2 sources there", "topics", "check", "-c", file)

	ctx, stop := context.WithCancel(t.Context())
	var out lockedBuffer
	code := make(chan int, 1)
	go func() { code <- run(&cli.App{Ctx: ctx, Stdout: &out, Stderr: &out}, []string{"run", "-c", file}) }()
	awaitHTTP(t, "http://"+http+"/readyz", "ready")
	expect(cli.ExitOK, "3,000 records", "gen", "-c", file, "--count", "3000", "--seed", "7", "--anonymous", "0.3")
	e := execute(t, nil, "tail", "-c", file, "--from-start", "-n", "20")
	if e.code != cli.ExitOK || strings.Count(e.stdout, "MEDIUM") != 20 {
		t.Errorf("tail: exit code %d\n%s%s", e.code, e.stdout, e.stderr)
	}
	awaitHTTP(t, "http://"+http+"/metrics", "firstseen_records_total 3000")
	awaitHTTP(t, "http://"+http+"/healthz", "ok")
	expect(cli.ExitOK, "of rule "+traffic.NewTermsRule, "state", "reset", "-c", file, "--stage", "detect", "--rule", traffic.NewTermsRule)
	stop()
	if got := <-code; got != cli.ExitOK {
		t.Errorf("run: exit code %d\n%s", got, out.String())
	}
	expect(cli.ExitUsage, "either --use or --rule", "state", "reset", "-c", file, "--stage", "detect")
	expect(cli.ExitUsage, "did you mean", "run", "-c", file, "--set", "brokrs=x")
	expect(cli.ExitOK, "firstseen ", "version")
}

// TestRunDev runs a worker on a broker in the same process.
func TestRunDev(t *testing.T) {
	dir, http := t.TempDir(), freeAddress(t)
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var out lockedBuffer
	code := make(chan int, 1)
	args := []string{"run", "--dev", "--dev-port", port, "--dev-data", filepath.Join(dir, "data"), "--set", "state.dir=" + filepath.Join(dir, "state"),
		"--set", "http.listen=" + http}
	go func() { code <- run(&cli.App{Ctx: ctx, Stdout: &out, Stderr: &out}, args) }()
	awaitHTTP(t, "http://"+http+"/readyz", "ready")
	if !strings.Contains(out.String(), devbroker.Notice) {
		t.Errorf("it does not say what the broker is for:\n%s", out.String())
	}
	e := execute(t, nil, "gen", "--brokers", "127.0.0.1:"+port, "--count", "500", "--anonymous", "0.3")
	if e.code != cli.ExitOK {
		t.Errorf("gen: exit code %d\n%s", e.code, e.stderr)
	}
	e = execute(t, nil, "tail", "--set", "brokers=127.0.0.1:"+port, "--from-start", "-n", "5", "--output", "json")
	if e.code != cli.ExitOK || strings.Count(e.stdout, "\n") != 5 {
		t.Errorf("tail: exit code %d\n%s%s", e.code, e.stdout, e.stderr)
	}
	stop()
	if got := <-code; got != cli.ExitOK {
		t.Errorf("run: exit code %d\n%s", got, out.String())
	}
}

// freeAddress returns an address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// awaitHTTP waits until a page answers 200 and contains part.
func awaitHTTP(t *testing.T, url, part string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if last = string(body); err == nil && resp.StatusCode == http.StatusOK && strings.Contains(last, part) {
			return
		}
	}
	t.Fatalf("%s has no %q:\n%s", url, part, last)
}

// lockedBuffer collects what a command says while it runs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
