package scan

import (
	"io"
	"testing"

	"firstseen/cmd/firstseen/internal/clitest"
)

// execute runs a command line in this process.
func execute(t *testing.T, stdin io.Reader, args ...string) clitest.Execution {
	t.Helper()
	return clitest.Execute(t, commands(), stdin, args...)
}

func commands() any {
	return &struct {
		Scan Command `cmd:""`
	}{}
}
