package replay

import (
	"io"
	"testing"

	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/cmd/firstseen/internal/scan"
)

// execute runs a command line in this process.
func execute(t *testing.T, stdin io.Reader, args ...string) clitest.Execution {
	t.Helper()
	return clitest.Execute(t, commands(), stdin, args...)
}

func commands() any {
	return &struct {
		Replay    Command      `cmd:""`
		Bootstrap Bootstrap    `cmd:""`
		Scan      scan.Command `cmd:""`
	}{}
}
