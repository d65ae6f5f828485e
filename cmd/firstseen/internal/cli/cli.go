// Package cli is what the commands of firstseen have in common: streams, exit codes, and how a command line is run.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"

	"firstseen/processor"
	"firstseen/state"
)

// The exit codes of every command.
const (
	ExitOK        = 0
	ExitFindings  = 1
	ExitUsage     = 2
	ExitGuarantee = 3
)

// Version is that of the program, as it is told to brokers and other workers; main sets it.
var Version = "dev"

// App is what commands share: the streams, and a context that ends at the first SIGINT or SIGTERM.
type App struct {
	Ctx    context.Context
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// exitError carries the exit code of an error.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// Exit is an error that ends a command with an exit code. A nil err says that everything has been said already.
func Exit(code int, err error) error { return exitError{code, err} }

// Usage marks an error of usage or configuration.
func Usage(err error) error { return Exit(ExitUsage, err) }

// Run executes one command line of firstseen and returns the exit code. Commands is a pointer to a struct with a
// field for each command, as kong has them; each command has a method Run(*App) error.
func Run(commands any, a *App, args []string) int {
	code := -1
	parser, err := kong.New(commands, kong.Name("firstseen"), kong.Writers(a.Stdout, a.Stderr), kong.Exit(func(c int) { code = c }),
		kong.Description("Detects first-seen and unapproved access to S3 buckets, exactly once."), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(a.Stderr, "firstseen:", err)
		return ExitUsage
	}
	parsed, err := parser.Parse(args)
	if code >= 0 { // --help
		return code
	}
	if err != nil {
		fmt.Fprintf(a.Stderr, "firstseen: %v\nRun firstseen --help for usage.\n", err)
		return ExitUsage
	}
	err = parsed.Run(a)
	var coded exitError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &coded):
		if coded.err != nil {
			fmt.Fprintln(a.Stderr, "firstseen:", coded.err)
		}
		return coded.code
	case errors.Is(err, processor.ErrGuarantee), errors.Is(err, processor.ErrUnreachable), errors.Is(err, processor.ErrNoTopic),
		errors.Is(err, state.ErrFailed), errors.Is(err, state.ErrCorrupt):
		fmt.Fprintln(a.Stderr, "firstseen:", err)
		return ExitGuarantee
	}
	fmt.Fprintln(a.Stderr, "firstseen:", err)
	return ExitUsage
}

// Pause waits, or less if ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
