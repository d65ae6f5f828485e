// Package operate has the commands that look at a deployment, or ask its workers, from outside.
package operate

import (
	"encoding/json"
	"fmt"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/processor"
)

// Doctor is firstseen doctor.
type Doctor struct {
	deployment.Flags `embed:""`
	JSON             bool `name:"json" help:"Print one JSON document; it has every partition's offsets."`
}

// Run looks at the deployment and prints one line a check. It writes nothing.
func (c *Doctor) Run(a *cli.App) error {
	wc, err := deployment.FromOutside(c.Load(nil))
	if err != nil {
		return err
	}
	checks, err := processor.Examine(a.Ctx, wc)
	if err != nil {
		return err
	}
	count := map[processor.CheckResult]int{}
	for _, k := range checks {
		count[k.Result]++
	}
	if c.JSON {
		enc := json.NewEncoder(a.Stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(checks); err != nil {
			return err
		}
	} else {
		for _, k := range checks {
			if err := printCheck(a, k); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(a.Stderr, "%d ok, %d warnings, %d failed\n", count[processor.CheckOK], count[processor.CheckWarn], count[processor.CheckFail])
	if count[processor.CheckFail] > 0 {
		return cli.Exit(cli.ExitGuarantee, nil)
	}
	return nil
}

func printCheck(a *cli.App, k processor.Check) error {
	next := ""
	if k.Next != "" {
		next = "; next: " + k.Next
	}
	_, err := fmt.Fprintf(a.Stdout, "%-4s  %-12s  %s: %s%s\n", k.Result, k.What, k.On, k.Says, next)
	return err
}
