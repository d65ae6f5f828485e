package ruletest

import (
	"io"
	"testing"

	"firstseen/cmd/firstseen/internal/clitest"
)

// execute runs a command line in this process.
func execute(t *testing.T, stdin io.Reader, args ...string) clitest.Execution {
	t.Helper()
	return clitest.Execute(t, &struct {
		Test Command `cmd:""`
	}{}, stdin, args...)
}
