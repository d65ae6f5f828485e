package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
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
	dir, http := t.TempDir(), clitest.FreeAddress(t)
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
		if e.Code != code || !strings.Contains(e.Stdout+e.Stderr, part) {
			t.Fatalf("%v: exit code %d, want %d and %q\n%s%s", args, e.Code, code, part, e.Stdout, e.Stderr)
		}
	}
	expect(cli.ExitOK, "trial.detect.changelog", "topics", "plan", "-c", file)
	expect(cli.ExitGuarantee, "trial.findings is missing", "topics", "check", "-c", file)
	expect(cli.ExitGuarantee, "source topic cloudtrail", "run", "-c", file)
	expect(cli.ExitOK, "created trial.alerts", "topics", "create", "-c", file, "--sources", "3")
	expect(cli.ExitOK, "8 topics as planned, 2 sources there", "topics", "check", "-c", file)

	ctx, stop := context.WithCancel(t.Context())
	var out clitest.Buffer
	code := make(chan int, 1)
	go func() { code <- run(&cli.App{Ctx: ctx, Stdout: &out, Stderr: &out}, []string{"run", "-c", file}) }()
	clitest.AwaitHTTP(t, "http://"+http+"/readyz", "ready")
	expect(cli.ExitOK, "3,000 records", "gen", "-c", file, "--count", "3000", "--seed", "7", "--anonymous", "0.3")
	e := execute(t, nil, "tail", "-c", file, "--from-start", "-n", "20")
	if e.Code != cli.ExitOK || strings.Count(e.Stdout, "MEDIUM") != 20 {
		t.Errorf("tail: exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
	clitest.AwaitHTTP(t, "http://"+http+"/metrics", "firstseen_records_total 3000")
	clitest.AwaitHTTP(t, "http://"+http+"/healthz", "ok")
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
	dir, http := t.TempDir(), clitest.FreeAddress(t)
	_, port, err := net.SplitHostPort(clitest.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var out clitest.Buffer
	code := make(chan int, 1)
	args := []string{"run", "--dev", "--dev-port", port, "--dev-data", filepath.Join(dir, "data"), "--set", "state.dir=" + filepath.Join(dir, "state"),
		"--set", "http.listen=" + http}
	go func() { code <- run(&cli.App{Ctx: ctx, Stdout: &out, Stderr: &out}, args) }()
	clitest.AwaitHTTP(t, "http://"+http+"/readyz", "ready")
	if !strings.Contains(out.String(), devbroker.Notice) {
		t.Errorf("it does not say what the broker is for:\n%s", out.String())
	}
	e := execute(t, nil, "gen", "--brokers", "127.0.0.1:"+port, "--count", "500", "--anonymous", "0.3")
	if e.Code != cli.ExitOK {
		t.Errorf("gen: exit code %d\n%s", e.Code, e.Stderr)
	}
	e = execute(t, nil, "tail", "--set", "brokers=127.0.0.1:"+port, "--from-start", "-n", "5", "--output", "json")
	if e.Code != cli.ExitOK || strings.Count(e.Stdout, "\n") != 5 {
		t.Errorf("tail: exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
	stop()
	if got := <-code; got != cli.ExitOK {
		t.Errorf("run: exit code %d\n%s", got, out.String())
	}
}
