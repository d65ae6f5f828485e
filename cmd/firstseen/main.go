// Command firstseen finds suspicious access to S3 buckets in CloudTrail records and S3 server access logs: as a Kafka
// stream processor that writes every alert exactly once, and over files.
//
// Exit codes: 0 all well, 1 findings or failed tests, 2 usage or configuration, 3 cannot reach or guarantee.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"firstseen/processor"
	"firstseen/state"
)

// version is set by the build.
var version = "dev"

// The exit codes of every command.
const (
	exitOK        = 0
	exitFindings  = 1
	exitUsage     = 2
	exitGuarantee = 3
)

// commands is the command line. Each command is in a file of its own and has a method Run(*app) error.
type commands struct {
	Demo      demoCmd      `cmd:"" help:"See it work: a broker, traffic with an attack in it, the worker and its alerts, all in this process."`
	Run       runCmd       `cmd:"" help:"Run a worker: read logs from Kafka, write alerts to Kafka, exactly once."`
	Scan      scanCmd      `cmd:"" help:"Look through files or standard input, without Kafka."`
	Test      testCmd      `cmd:"" help:"Run the tests in rule files."`
	Lint      lintCmd      `cmd:"" help:"Check rule files and configuration files, without a broker."`
	Import    importCmd    `cmd:"" help:"Make rule files of Elastic's or Panther's rules."`
	Rules     rulesCmd     `cmd:"" help:"List rules, show one as it is loaded, begin a new one."`
	Allowlist allowlistCmd `cmd:"" help:"Ask the allowlists of rules about an address."`
	Bootstrap bootstrapCmd `cmd:"" help:"Teach a deployment from older logs what is not new, without alerts."`
	Replay    replayCmd    `cmd:"" help:"Tell what other rules would have alerted: a range of the topics, or files, compared with what did."`
	Explain   explainCmd   `cmd:"" help:"Say why an event did or did not alert, rule by rule."`
	Topics    topicsCmd    `cmd:"" help:"Plan, create or check the topics of a deployment."`
	Tail      tailCmd      `cmd:"" help:"Print alerts as they are committed."`
	Gen       genCmd       `cmd:"" help:"Write realistic CloudTrail records and S3 access log lines to a file or a topic."`
	State     stateCmd     `cmd:"" help:"Look at a state directory, or reset what a deployment remembers."`
	Doctor    doctorCmd    `cmd:"" help:"Look at a deployment from outside: brokers, topics, permissions, lag, transactions, learning, disk, clock."`
	DLQ       dlqCmd       `cmd:"" name:"dlq" help:"List dead letters, or write them back to be processed again."`
	Leave     leaveCmd     `cmd:"" help:"Take a worker that will not come back out of the groups, so that its partitions move at once."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// app is what commands share: the streams, and a context that ends at the first SIGINT or SIGTERM.
type app struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// exitError carries the exit code of an error. A nil err says that everything has been said already.
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

// usage marks an error of usage or configuration.
func usage(err error) error { return exitError{exitUsage, err} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(run(a, os.Args[1:]))
}

// run executes one command line and returns the exit code.
func run(a *app, args []string) int {
	var cli commands
	code := -1
	parser, err := kong.New(&cli, kong.Name("firstseen"), kong.Writers(a.stdout, a.stderr), kong.Exit(func(c int) { code = c }),
		kong.Description("Detects first-seen and unapproved access to S3 buckets, exactly once."), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(a.stderr, "firstseen:", err)
		return exitUsage
	}
	parsed, err := parser.Parse(args)
	if code >= 0 { // --help
		return code
	}
	if err != nil {
		fmt.Fprintf(a.stderr, "firstseen: %v\nRun firstseen --help for usage.\n", err)
		return exitUsage
	}
	err = parsed.Run(a)
	var exit exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintln(a.stderr, "firstseen:", exit.err)
		}
		return exit.code
	case errors.Is(err, processor.ErrGuarantee), errors.Is(err, processor.ErrUnreachable), errors.Is(err, processor.ErrNoTopic),
		errors.Is(err, state.ErrFailed), errors.Is(err, state.ErrCorrupt):
		fmt.Fprintln(a.stderr, "firstseen:", err)
		return exitGuarantee
	}
	fmt.Fprintln(a.stderr, "firstseen:", err)
	return exitUsage
}
