package ruletest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/rules/kql"
)

// ruleCoverage is what the tests of a rule reach of it.
type ruleCoverage struct {
	Rule    string               `json:"rule"`
	Reached int                  `json:"reached"` // values and branches that some test reaches
	Of      int                  `json:"of"`      // those there are
	Missed  []string             `json:"missed"`  // a sentence for each of the others
	Query   []kql.ConditionCount `json:"query,omitempty"`
	Except  []kql.ConditionCount `json:"except,omitempty"`
}

func covered(run *ruleRun) ruleCoverage {
	c := ruleCoverage{Rule: run.rule.ID(), Missed: append([]string{}, run.coverage.Missed()...)}
	c.Reached, c.Of = run.coverage.Reached()
	if q := run.coverage.Query; q != nil {
		c.Query = q.Conditions
	}
	if q := run.coverage.Except; q != nil {
		c.Except = q.Conditions
	}
	return c
}

// write writes the report, and the file of --junit.
func (c *Command) write(w io.Writer, r *report) error {
	if c.JUnit != "" {
		if err := os.WriteFile(c.JUnit, junit(r), 0o644); err != nil {
			return cli.Usage(fmt.Errorf("--junit: %w", err))
		}
	}
	if c.JSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(r)
	}
	for _, t := range r.Tests {
		verdict, why := "PASS", ""
		if t.NotRun != "" {
			verdict, why = "SKIP", t.NotRun
		} else if !t.Passed {
			verdict, why = "FAIL", t.Failure
		}
		fmt.Fprintf(w, "%s  %s/%s\n", verdict, t.Rule, t.Name)
		if why != "" {
			fmt.Fprintf(w, "      %s\n", indented(why))
		}
	}
	if c.Coverage {
		for _, rule := range r.Coverage {
			fmt.Fprintf(w, "%s: %d of %d values and branches are reached\n", rule.Rule, rule.Reached, rule.Of)
			for _, sentence := range rule.Missed {
				fmt.Fprintf(w, "      %s\n", sentence)
			}
		}
	}
	summary := fmt.Sprintf("%d passed, %d failed", r.Passed, r.Failed)
	if r.NotRun > 0 {
		summary += fmt.Sprintf(", %d not run", r.NotRun)
	}
	_, err := fmt.Fprintln(w, summary)
	return err
}
