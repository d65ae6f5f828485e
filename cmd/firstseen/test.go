package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"firstseen/rules"
)

type testCmd struct {
	Strict bool     `help:"Test the rules to the letter, as with strict: true."`
	JSON   bool     `name:"json" help:"Print the results as one JSON document."`
	JUnit  string   `name:"junit" placeholder:"FILE" help:"Write the results there as JUnit XML."`
	Only   string   `name:"run" placeholder:"REGEX" help:"Run only the tests whose RULE/NAME matches."`
	Paths  []string `arg:"" optional:"" name:"path" help:"Rule files and directories of them. Default: the built-in rules."`
}

// testResult is the outcome of one test of a rule file.
type testResult struct {
	Rule    string  `json:"rule"`
	File    string  `json:"file"`
	Name    string  `json:"name"`
	Kind    string  `json:"kind"` // record: one record, as Panther tests; scenario: several, and the alerts of them
	Passed  bool    `json:"passed"`
	Failure string  `json:"failure,omitempty"` // may have several lines
	Seconds float64 `json:"seconds"`
}

// Run runs the tests, in the order of rule ids and of each file. It exits with 1 if one of them fails, and with 2 if
// there are none: what checks nothing must not look like success.
func (c *testCmd) Run(a *app) error {
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return usage(fmt.Errorf("--run: %w", err))
	}
	set, warnings, err := rules.Load(c.options())
	if err != nil {
		return usage(err)
	}
	for _, w := range warnings {
		fmt.Fprintln(a.stderr, "warning:", w)
	}
	var results []testResult
	for _, r := range set.Rules() {
		found, err := c.rule(set, r, only)
		if err != nil {
			return usage(err)
		}
		results = append(results, found...)
	}
	if len(results) == 0 {
		return usage(fmt.Errorf("no test to run among %s", plural(int64(len(set.Rules())), "rule")))
	}
	if err := c.report(a.stdout, results); err != nil {
		return err
	}
	if failed(results) > 0 {
		return exitError{exitFindings, nil}
	}
	return nil
}

func (c *testCmd) options() rules.LoadOptions {
	return rules.LoadOptions{Paths: c.Paths, NoBuiltin: len(c.Paths) > 0, Strict: c.Strict}
}

// rule runs the tests of a rule that are wanted.
func (c *testCmd) rule(set *rules.Set, r *rules.Rule, only *regexp.Regexp) (results []testResult, err error) {
	add := func(kind, name, failure string, began time.Time) {
		results = append(results, testResult{Rule: r.ID(), File: r.File(), Name: name, Kind: kind, Passed: failure == "", Failure: failure,
			Seconds: time.Since(began).Seconds()})
	}
	began := time.Now()
	for _, t := range rules.RunTests(set, r) {
		if !only.MatchString(r.ID() + "/" + t.Name) {
			continue
		}
		failure := ""
		switch {
		case t.Err != nil:
			failure = t.Err.Error()
		case !t.Passed():
			failure = map[bool]string{true: "want a match, got none", false: "want no match, got one"}[t.Want]
		}
		add("record", t.Name, failure, began)
		began = time.Now()
	}
	var alone *rules.Set
	for _, s := range r.Scenarios() {
		if !only.MatchString(r.ID() + "/" + s.Name) {
			continue
		}
		began := time.Now()
		if alone == nil {
			if alone, err = c.alone(set, r); err != nil {
				return nil, err
			}
		}
		add("scenario", s.Name, runScenario(alone, r, &s), began)
	}
	return results, nil
}

// alone loads a rule so that no other sees the records of its scenarios; it runs in whatever mode it is.
func (c *testCmd) alone(set *rules.Set, r *rules.Rule) (*rules.Set, error) {
	o := c.options()
	o.Overrides = map[string]map[string]any{}
	if o.NoBuiltin {
		o.Paths = []string{r.File()}
	} else {
		for _, other := range set.Rules() {
			o.Overrides[other.ID()] = map[string]any{"mode": "off"}
		}
	}
	o.Overrides[r.ID()] = map[string]any{"mode": "active"}
	alone, _, err := rules.Load(o)
	return alone, err
}

func failed(results []testResult) (n int) {
	for _, r := range results {
		if !r.Passed {
			n++
		}
	}
	return n
}

// report writes the results, and the file of --junit.
func (c *testCmd) report(w io.Writer, results []testResult) error {
	if c.JUnit != "" {
		if err := os.WriteFile(c.JUnit, junit(results), 0o644); err != nil {
			return usage(fmt.Errorf("--junit: %w", err))
		}
	}
	passed := len(results) - failed(results)
	if c.JSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Passed int          `json:"passed"`
			Failed int          `json:"failed"`
			Tests  []testResult `json:"tests"`
		}{passed, failed(results), results})
	}
	for _, r := range results {
		verdict := "PASS"
		if !r.Passed {
			verdict = "FAIL"
		}
		fmt.Fprintf(w, "%s  %s/%s\n", verdict, r.Rule, r.Name)
		if !r.Passed {
			fmt.Fprintf(w, "      %s\n", indented(r.Failure))
		}
	}
	_, err := fmt.Fprintf(w, "%d passed, %d failed\n", passed, failed(results))
	return err
}
