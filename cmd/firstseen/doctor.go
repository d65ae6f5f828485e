package main

import (
	"encoding/json"
	"fmt"

	"firstseen/processor"
)

type doctorCmd struct {
	configFlags `embed:""`
	JSON        bool `name:"json" help:"Print one JSON document; it has every partition's offsets."`
}

// Run looks at the deployment and prints one line a check. It writes nothing.
func (c *doctorCmd) Run(a *app) error {
	wc, err := outside(c.load(nil))
	if err != nil {
		return err
	}
	checks, err := processor.Examine(a.ctx, wc)
	if err != nil {
		return err
	}
	count := map[processor.CheckResult]int{}
	for _, k := range checks {
		count[k.Result]++
	}
	if c.JSON {
		enc := json.NewEncoder(a.stdout)
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
	fmt.Fprintf(a.stderr, "%d ok, %d warnings, %d failed\n", count[processor.CheckOK], count[processor.CheckWarn], count[processor.CheckFail])
	if count[processor.CheckFail] > 0 {
		return exitError{exitGuarantee, nil}
	}
	return nil
}

func printCheck(a *app, k processor.Check) error {
	next := ""
	if k.Next != "" {
		next = "; next: " + k.Next
	}
	_, err := fmt.Fprintf(a.stdout, "%-4s  %-12s  %s: %s%s\n", k.Result, k.What, k.On, k.Says, next)
	return err
}
