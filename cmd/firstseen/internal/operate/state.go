package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/processor"
)

// State is firstseen state.
type State struct {
	Get    getState    `cmd:"" help:"Say what is remembered of an address or another term: first and last seen, by rule."`
	Verify verifyState `cmd:"" help:"Compare the state directory of a stopped worker with the changelog topics."`
	Reset  resetState  `cmd:"" help:"Ask the workers to read a partition on from elsewhere, or to forget a rule's state."`
}

type resetState struct {
	deployment.Flags `embed:""`
	Stage            string        `required:"" enum:"ingest,detect,group" help:"ingest, detect or group."`
	Topic            string        `placeholder:"TOPIC" help:"Only this source topic (ingest)."`
	Partition        int32         `default:"-1" placeholder:"N" help:"Only this partition of the stage's input."`
	Use              string        `enum:"store,committed,noted,earliest," default:"" help:"Read on at the offset of the store, the group's committed one, the one ingest noted, or the earliest."`
	Rule             string        `placeholder:"ID" help:"Delete this rule's state."`
	Wait             time.Duration `default:"3m" help:"How long to wait for the workers' answers."`
}

// Run writes the request to control, where the owners of the partitions find it, and prints their answers.
func (c *resetState) Run(a *cli.App) error {
	if (c.Use == "") == (c.Rule == "") {
		return cli.Usage(errors.New("state reset: give either --use or --rule"))
	}
	wc, err := deployment.FromOutside(c.Load(nil))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.Ctx, c.Wait)
	defer cancel()
	answers := 0
	err = processor.Ask(ctx, wc, processor.Request{Stage: processor.Stage(c.Stage), Topic: c.Topic, Partition: c.Partition, Use: c.Use, Rule: c.Rule},
		func(partition, done string) {
			answers++
			fmt.Fprintf(a.Stdout, "%s: %s\n", partition, done)
		})
	if errors.Is(err, context.DeadlineExceeded) {
		return cli.Exit(cli.ExitGuarantee, fmt.Errorf("the request is written, but not every partition has answered within %s (%d did): "+
			"a partition answers when its owner runs; see /readyz of the workers", c.Wait, answers))
	}
	return err
}
