package operate

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/processor/verify"
	"firstseen/state"
)

type verifyState struct {
	deployment.Flags `embed:""`
	State            string `placeholder:"DIR" help:"The state directory of a worker that does not run. Default: state.dir of the configuration."`
	Partition        int32  `default:"-1" placeholder:"N" help:"Only this partition of detect and of group."`
	Keys             int    `default:"20" placeholder:"N" help:"Print at most N differing keys."`
}

// Run compares every range of the directory with its changelog and prints a line for each.
func (c *verifyState) Run(a *cli.App) error {
	wc, err := deployment.FromOutside(c.LoadAny())
	if err != nil {
		return err
	}
	dir := cmp.Or(c.State, wc.StateDir)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return cli.Usage(fmt.Errorf("%s: no such directory; name that of a stopped worker with --state DIR", dir))
	}
	bad, short, ranges, shown := 0, 0, 0, 0
	err = verify.Compare(a.Ctx, wc, dir, c.Partition, func(d verify.Difference) {
		if shown++; shown <= c.Keys {
			fmt.Fprintf(a.Stdout, "differs  %s/%d  %s\n", d.Stage, d.Partition, d.Explain())
		}
	}, func(v verify.Compared) {
		ranges++
		if !v.Equal() {
			bad++
			if v.Begins > 0 {
				short++
			}
		}
		fmt.Fprintln(a.Stdout, v.String())
	})
	switch {
	case errors.Is(err, state.ErrLocked):
		return cli.Exit(cli.ExitGuarantee, fmt.Errorf("%s is in use by a running worker: stop it first", dir))
	case errors.Is(err, state.ErrCorrupt), errors.Is(err, state.ErrFormat), errors.Is(err, state.ErrForeign):
		return cli.Exit(cli.ExitGuarantee, err)
	case err != nil:
		return err
	case short > 0:
		return cli.Exit(cli.ExitGuarantee, fmt.Errorf("%d of %d ranges are not what their changelogs say, and those have lost records: %s may be the only whole copy, keep it; "+
			"firstseen doctor says whether the changelogs are compacted", bad, ranges, dir))
	case bad > 0:
		return cli.Exit(cli.ExitGuarantee, fmt.Errorf("%d of %d ranges are not what their changelogs say: delete %s, the worker restores it from the changelogs when it starts", bad, ranges, dir))
	case ranges == 0:
		fmt.Fprintf(a.Stdout, "%s holds no such range\n", dir)
	}
	return nil
}
