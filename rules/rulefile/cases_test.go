package rulefile

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// The file shows what is read of tests, and what people are told who get them wrong.
//
//	tests     the tests of a rule file
//	panther   one of Panther's metadata files
func TestCases(t *testing.T) {
	const rule = "id: r\nname: n\ndataset: aws.s3access\nseverity: low\ntests:\n"
	datadriven.RunTest(t, "testdata/tests.txt", func(t *testing.T, c *datadriven.TestData) string {
		var b strings.Builder
		var err error
		if c.Cmd == "panther" {
			var p *Panther
			var ok bool
			if p, ok, err = ReadPanther("rule.yml", []byte(c.Input)); !ok {
				return "not Panther's\n"
			}
			if err == nil {
				fmt.Fprintf(&b, "%s %q of %q, line %d\n", p.Kind, p.RuleID, p.LogTypes, p.IDPlace().Line)
				showTests(&b, p.Tests)
				for _, w := range p.Ignored {
					fmt.Fprintln(&b, w)
				}
			}
		} else {
			var f *File
			var r *Rule
			if f, err = Open("r.yaml", []byte(rule+c.Input)); err == nil {
				r, err = f.Rule(Options{})
			}
			if err == nil {
				showTests(&b, r.Tests)
				showScenarios(&b, r.Scenarios)
			}
		}
		if err == nil {
			return b.String()
		}
		var problems Errors
		if !errors.As(err, &problems) {
			t.Fatalf("%T is no list of problems: %v", err, err)
		}
		return err.Error() + "\n"
	})
}

func showTests(b *strings.Builder, tests []Test) {
	for _, t := range tests {
		fmt.Fprintf(b, "%s: %v, %s", t.Name, t.Want, t.Log)
		if t.NotRun != "" {
			fmt.Fprintf(b, ", not run: %s", t.NotRun)
		}
		b.WriteByte('\n')
	}
}

func showScenarios(b *strings.Builder, scenarios []Scenario) {
	at := func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.999") }
	for _, s := range scenarios {
		fmt.Fprintf(b, "%s\n", s.Name)
		if s.LearningUntil != 0 {
			fmt.Fprintf(b, "  learning until %s\n", at(s.LearningUntil))
		}
		for _, e := range s.Events {
			fmt.Fprintf(b, "  %s %q %s\n", at(e.Time), e.Name, e.Log)
		}
		for _, a := range s.Alerts {
			fmt.Fprintf(b, "  %+v\n", a)
		}
	}
}
