package main

import (
	"errors"
	"fmt"
	"os"

	"firstseen/processor/verify"
	"firstseen/state"
)

type stateVerifyCmd struct {
	configFlags `embed:""`
	State       string `placeholder:"DIR" help:"The state directory of a worker that does not run. Default: state.dir of the configuration."`
	Partition   int32  `default:"-1" placeholder:"N" help:"Only this partition of detect and of group."`
	Keys        int    `default:"20" placeholder:"N" help:"Print at most N differing keys."`
}

// Run compares every range of the directory with its changelog and prints a line for each.
func (c *stateVerifyCmd) Run(a *app) error {
	wc, err := outside(c.loadAny())
	if err != nil {
		return err
	}
	dir := or(c.State, wc.StateDir)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return usage(fmt.Errorf("%s: no such directory; name that of a stopped worker with --state DIR", dir))
	}
	bad, short, ranges, shown := 0, 0, 0, 0
	err = verify.Compare(a.ctx, wc, dir, c.Partition, func(d verify.Difference) {
		if shown++; shown <= c.Keys {
			fmt.Fprintf(a.stdout, "differs  %s/%d  %s\n", d.Stage, d.Partition, d.Explain())
		}
	}, func(v verify.Compared) {
		ranges++
		if !v.Equal() {
			bad++
			if v.Begins > 0 {
				short++
			}
		}
		fmt.Fprintln(a.stdout, v.String())
	})
	switch {
	case errors.Is(err, state.ErrLocked):
		return exitError{exitGuarantee, fmt.Errorf("%s is in use by a running worker: stop it first", dir)}
	case errors.Is(err, state.ErrCorrupt), errors.Is(err, state.ErrFormat), errors.Is(err, state.ErrForeign):
		return exitError{exitGuarantee, err}
	case err != nil:
		return err
	case short > 0:
		return exitError{exitGuarantee, fmt.Errorf("%d of %d ranges are not what their changelogs say, and those have lost records: %s may be the only whole copy, keep it; "+
			"firstseen doctor says whether the changelogs are compacted", bad, ranges, dir)}
	case bad > 0:
		return exitError{exitGuarantee, fmt.Errorf("%d of %d ranges are not what their changelogs say: delete %s, the worker restores it from the changelogs when it starts", bad, ranges, dir)}
	case ranges == 0:
		fmt.Fprintf(a.stdout, "%s holds no such range\n", dir)
	}
	return nil
}
