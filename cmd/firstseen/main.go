// Command firstseen finds suspicious access to S3 buckets in CloudTrail records and S3 server access logs: as a Kafka
// stream processor that writes every alert exactly once, and over files.
//
// Exit codes: 0 all well, 1 findings or failed tests, 2 usage or configuration, 3 cannot reach or guarantee.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/demo"
	"firstseen/cmd/firstseen/internal/explain"
	"firstseen/cmd/firstseen/internal/operate"
	"firstseen/cmd/firstseen/internal/replay"
	"firstseen/cmd/firstseen/internal/ruletest"
	"firstseen/cmd/firstseen/internal/scan"
	"firstseen/cmd/firstseen/internal/worker"
)

// version is set by the build.
var version = "dev"

// commands is the command line. Each command has a method Run(*cli.App) error; those that are more than a file or two are
// packages of their own.
type commands struct {
	Demo      demo.Command        `cmd:"" help:"See it work: a broker, traffic with an attack in it, the worker and its alerts, all in this process."`
	Run       worker.Command      `cmd:"" help:"Run a worker: read logs from Kafka, write alerts to Kafka, exactly once."`
	Scan      scan.Command        `cmd:"" help:"Look through files or standard input, without Kafka."`
	Test      ruletest.Command    `cmd:"" help:"Run the tests in rule files."`
	Lint      lintCmd             `cmd:"" help:"Check rule files and configuration files, without a broker."`
	Import    importCmd           `cmd:"" help:"Make rule files of Elastic's or Panther's rules."`
	Rules     rulesCmd            `cmd:"" help:"List rules, show one as it is loaded, begin a new one."`
	Allowlist allowlistCmd        `cmd:"" help:"Ask the allowlists of rules about an address."`
	Bootstrap replay.Bootstrap    `cmd:"" help:"Teach a deployment from older logs what is not new, without alerts."`
	Replay    replay.Command      `cmd:"" help:"Tell what other rules would have alerted: a range of the topics, or files, compared with what did."`
	Explain   explain.Command     `cmd:"" help:"Say why an event did or did not alert, rule by rule."`
	Topics    operate.Topics      `cmd:"" help:"Plan, create or check the topics of a deployment."`
	Tail      operate.Tail        `cmd:"" help:"Print alerts as they are committed."`
	Gen       genCmd              `cmd:"" help:"Write realistic CloudTrail records and S3 access log lines to a file or a topic."`
	State     operate.State       `cmd:"" help:"Look at a state directory, or reset what a deployment remembers."`
	Doctor    operate.Doctor      `cmd:"" help:"Look at a deployment from outside: brokers, topics, permissions, lag, transactions, learning, disk, clock."`
	DLQ       operate.DeadLetters `cmd:"" name:"dlq" help:"List dead letters, or write them back to be processed again."`
	Leave     operate.Leave       `cmd:"" help:"Take a worker that will not come back out of the groups, so that its partitions move at once."`
	Version   versionCmd          `cmd:"" help:"Print the version."`
}

func main() {
	cli.Version = version
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &cli.App{Ctx: ctx, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	os.Exit(run(a, os.Args[1:]))
}

// run executes one command line and returns the exit code.
func run(a *cli.App, args []string) int { return cli.Run(&commands{}, a, args) }
