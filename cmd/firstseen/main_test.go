package main

import (
	"io"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
)

// execute runs a command line in this process.
func execute(t *testing.T, stdin io.Reader, args ...string) clitest.Execution {
	t.Helper()
	return clitest.Execute(t, &commands{}, stdin, args...)
}

// alertsOf runs a scan that must end well and returns its alerts.
func alertsOf(t *testing.T, args ...string) []clitest.Alert {
	t.Helper()
	e := execute(t, nil, append([]string{"scan", clitest.Now}, args...)...)
	if e.Code != cli.ExitOK {
		t.Fatalf("scan %s: exit code %d\n%s", strings.Join(args, " "), e.Code, e.Stderr)
	}
	return clitest.Alerts(t, e.Stdout)
}
