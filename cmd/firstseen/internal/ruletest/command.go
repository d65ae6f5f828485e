// Package ruletest runs the tests of rules: of one record, as Panther has them, and of several with the alerts they make.
package ruletest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/rules"
	"firstseen/rules/rulefile"
)

// Command is firstseen test.
type Command struct {
	Strict   bool     `help:"Test the rules to the letter, as with strict: true."`
	JSON     bool     `name:"json" help:"Print the results, and what the tests reach, as one JSON document."`
	JUnit    string   `name:"junit" placeholder:"FILE" help:"Write the results there as JUnit XML."`
	Only     string   `name:"run" placeholder:"REGEX" help:"Run only the tests whose RULE/NAME matches."`
	MinTests int      `name:"min-tests" placeholder:"N" help:"Fail a rule with fewer tests, or without one that expects a match and one that does not."`
	Coverage bool     `help:"Print which values and branches of the rules' queries no test reaches."`
	Paths    []string `arg:"" optional:"" name:"path" help:"Rule files, Panther's metadata files, and directories of them. Default: the built-in rules and presets."`
}

// outcome is the outcome of one test of a rule.
type outcome struct {
	Rule    string  `json:"rule"`
	File    string  `json:"file"`
	Name    string  `json:"name"`
	Kind    string  `json:"kind"` // record: one record, as Panther tests; scenario: several, and the alerts of them; min-tests: what a rule lacks
	Passed  bool    `json:"passed"`
	NotRun  string  `json:"not_run,omitempty"` // why; then it has neither passed nor failed
	Failure string  `json:"failure,omitempty"` // may have several lines
	Seconds float64 `json:"seconds"`
}

// report is what came of all tests.
type report struct {
	Passed   int            `json:"passed"`
	Failed   int            `json:"failed"`
	NotRun   int            `json:"not_run"`
	Tests    []outcome      `json:"tests"`
	Coverage []ruleCoverage `json:"coverage"`
}

// Run runs the tests, in the order of rule ids and of each file. It exits with 1 if one of them fails, and with 2 if
// there are none: what checks nothing must not look like success.
func (c *Command) Run(a *cli.App) error {
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return cli.Usage(fmt.Errorf("--run: %w", err))
	}
	if c.MinTests < 0 {
		return cli.Usage(fmt.Errorf("--min-tests %d: want a number of tests", c.MinTests))
	}
	subjects, warnings, err := c.subjects()
	for _, w := range warnings {
		fmt.Fprintln(a.Stderr, "warning:", w)
	}
	if err != nil {
		return cli.Usage(err)
	}
	var report report
	for _, s := range subjects {
		run := ruleRun{subject: s, only: only, coverage: rules.NewCoverage(s.set, s.rule)}
		if err := run.all(); err != nil {
			return cli.Usage(err)
		}
		report.add(&run, c.MinTests)
	}
	if err := c.write(a.Stdout, &report); err != nil {
		return err
	}
	switch {
	case report.Failed > 0:
		return cli.Exit(cli.ExitFindings, nil)
	case report.Passed == 0:
		return cli.Usage(fmt.Errorf("no test to run among %s", show.Plural(int64(len(subjects)), "rule")))
	}
	return nil
}

// add takes the results of a rule, and as one more what it lacks of the tests that every rule must have.
func (r *report) add(run *ruleRun, minTests int) {
	results := run.results
	if lacks := run.lacks(minTests); minTests > 0 && lacks != "" {
		results = append(results, outcome{Rule: run.rule.ID(), File: run.rule.File(), Name: fmt.Sprintf("--min-tests %d", minTests), Kind: "min-tests", Failure: lacks})
	}
	for _, t := range results {
		switch {
		case t.NotRun != "":
			r.NotRun++
		case t.Passed:
			r.Passed++
		default:
			r.Failed++
		}
	}
	r.Tests = append(r.Tests, results...)
	if len(results) > 0 {
		r.Coverage = append(r.Coverage, covered(run))
	}
}

// lacks says what of n tests, of which one expects a match and one does not, the rule has not got; empty: nothing. All
// of its tests count, wanted or not, but those that cannot be run.
func (s *subject) lacks(n int) string {
	tests, matches := 0, 0
	for _, t := range s.tests {
		if t.NotRun == "" {
			tests++
			matches += map[bool]int{true: 1}[t.Want]
		}
	}
	for _, sc := range s.rule.Scenarios() {
		if s.own {
			tests++
			matches += min(len(sc.Alerts), 1)
		}
	}
	var lacks []string
	if tests < n {
		lacks = append(lacks, fmt.Sprintf("it has %s", show.Plural(int64(tests), "test")))
	}
	if matches == 0 {
		lacks = append(lacks, "no test expects a match")
	}
	if matches == tests {
		lacks = append(lacks, "no test expects that it does not match")
	}
	return strings.Join(lacks, "; ")
}

// ruleRun runs the wanted tests of one rule.
type ruleRun struct {
	*subject
	only     *regexp.Regexp
	coverage *rules.Coverage
	results  []outcome
}

func (t *ruleRun) all() error {
	for _, test := range t.tests {
		if !t.wants(test.Name) {
			continue
		}
		began := time.Now()
		result := rules.RunTest(t.set, t.rule, test.Test)
		failure := ""
		switch {
		case result.NotRun != "":
			t.results = append(t.results, outcome{Rule: t.rule.ID(), File: test.file, Name: test.Name, Kind: "record", NotRun: result.NotRun})
			continue
		case result.Err != nil:
			failure = result.Err.Error()
		case !result.Passed():
			failure = recordFailure(&result)
		}
		t.add("record", test.file, test.Name, failure, began)
		if err := t.coverage.Add(test.Log, rulefile.ScenarioStart); err != nil {
			return err
		}
	}
	if !t.own {
		return nil
	}
	return t.scenarios()
}

func (t *ruleRun) scenarios() error {
	for _, s := range t.rule.Scenarios() {
		if !t.wants(s.Name) {
			continue
		}
		began := time.Now()
		set, err := t.alone(scenarioMode(&s))
		if err != nil {
			return err
		}
		t.add("scenario", t.rule.File(), s.Name, runScenario(set, t.rule, &s), began)
		var errs []error
		for _, e := range s.Events {
			errs = append(errs, t.coverage.Add(e.Log, e.Time))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

func (t *ruleRun) wants(name string) bool { return t.only.MatchString(t.rule.ID() + "/" + name) }

func (t *ruleRun) add(kind, file, name, failure string, began time.Time) {
	t.results = append(t.results, outcome{Rule: t.rule.ID(), File: file, Name: name, Kind: kind, Passed: failure == "", Failure: failure,
		Seconds: time.Since(began).Seconds()})
}
