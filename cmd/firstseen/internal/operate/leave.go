package operate

import (
	"errors"
	"fmt"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/processor"
)

// Leave is firstseen leave.
type Leave struct {
	deployment.Flags `embed:""`
	Instance         string `arg:"" name:"instance" help:"Name of the worker that will not come back."`
}

// Run takes a lost worker out of the groups, so that its partitions move at once.
func (c *Leave) Run(a *cli.App) error {
	wc, err := deployment.FromOutside(c.LoadAny())
	if err != nil {
		return err
	}
	err = processor.Leave(a.Ctx, wc, c.Instance, func(line string) { fmt.Fprintln(a.Stdout, line) })
	if errors.Is(err, processor.ErrNoMember) {
		return cli.Usage(err)
	}
	if err == nil {
		fmt.Fprintln(a.Stderr, "a worker of this name that still runs joins again: stop it first")
	}
	return err
}
