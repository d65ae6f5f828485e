package main

import (
	"errors"
	"fmt"

	"firstseen/processor"
)

type leaveCmd struct {
	configFlags `embed:""`
	Instance    string `arg:"" name:"instance" help:"Name of the worker that will not come back."`
}

// Run takes a lost worker out of the groups, so that its partitions move at once.
func (c *leaveCmd) Run(a *app) error {
	wc, err := outside(c.loadAny())
	if err != nil {
		return err
	}
	err = processor.Leave(a.ctx, wc, c.Instance, func(line string) { fmt.Fprintln(a.stdout, line) })
	if errors.Is(err, processor.ErrNoMember) {
		return usage(err)
	}
	if err == nil {
		fmt.Fprintln(a.stderr, "a worker of this name that still runs joins again: stop it first")
	}
	return err
}
