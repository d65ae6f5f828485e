// Command bench loads, measures, checks and compares workers that detect on Kafka.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"firstseen/bench/compare"
	"firstseen/bench/meter"
)

const usage = `usage: bench <command> [flags]

  load      create the topics, fill them from a seeded generator, write the expected alerts
  meter     run a program until it has consumed the inputs; report speed, cost and correctness
  latency   offer a fixed rate; report produce-to-visible latency of alerts
  raw       consume the inputs with franz-go alone: the ceiling
  check     compare all alerts in the output topic with the expected ones
  reset     delete groups, delete topics by prefix, recreate the output topic
  compare   all of it: firstseen, Kafka Streams and raw in turn on a Kafka of their own; make compare
  growth    what more partitions and lanes cost; make growth
  sizing    a model of what work costs, checked against runs that did not enter it; make sizing
  guard     two builds of firstseen in turn: has it become dearer? make guard BASE=REVISION

bench <command> -h lists the flags.
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	commands := map[string]func(context.Context, []string) error{
		"load":    loadCommand,
		"meter":   meter.Run,
		"latency": meter.Latency,
		"raw":     meter.Raw,
		"check":   checkCommand,
		"reset":   resetCommand,
		"compare": compare.Run,
		"growth":  compare.Growth,
		"sizing":  compare.Sizing,
		"guard":   compare.Guard,
	}
	run, ok := commands[os.Args[1]]
	if !ok {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(ctx, os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}
