package operate

import (
	"fmt"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor"
	"firstseen/schemas"
)

type redriveLetters struct {
	deployment.Flags `embed:""`
	Reason           string `xor:"which" required:"" placeholder:"REASON" help:"Only those with this reason, such as rule_error."`
	All              bool   `xor:"which" required:"" help:"Those of every reason."`
	DryRun           bool   `help:"Write nothing; say what would be done."`
}

// Run writes dead letters back and prints a line for each. Those that were redriven before are passed over.
func (c *redriveLetters) Run(a *cli.App) error {
	if err := knownReason(c.Reason); err != nil {
		return err
	}
	wc, err := deployment.FromOutside(c.LoadAny())
	if err != nil {
		return err
	}
	done, skipped := 0, 0
	verb := "redriven"
	if c.DryRun {
		verb = "would be redriven"
	}
	err = processor.Redrive{Reason: schemas.Reason(c.Reason), DryRun: c.DryRun, Told: func(d processor.DeadLetter, why string) {
		if why == "" {
			done++
			fmt.Fprintf(a.Stdout, "%s: %s, %s\n", verb, origin(d), d.Reason)
			return
		}
		skipped++
		fmt.Fprintf(a.Stdout, "skipped: %s, %s: %s\n", origin(d), d.Reason, why)
	}}.Run(a.Ctx, wc)
	fmt.Fprintf(a.Stderr, "%s %s, %s skipped\n", show.Grouped(int64(done)), verb, show.Grouped(int64(skipped)))
	return err
}
