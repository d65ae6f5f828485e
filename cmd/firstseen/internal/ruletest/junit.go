package ruletest

import (
	"encoding/xml"
	"fmt"
	"strings"
)

type junitSuites struct {
	XMLName  xml.Name      `xml:"testsuites"`
	Name     string        `xml:"name,attr"`
	Tests    int           `xml:"tests,attr"`
	Failures int           `xml:"failures,attr"`
	Skipped  int           `xml:"skipped,attr"`
	Suites   []*junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	File     string      `xml:"file,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Seconds string        `xml:"time,attr"`
	Skipped *junitSkipped `xml:"skipped"`
	Failure *junitFailure `xml:"failure"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// junit writes results as most build servers read them: a suite a rule, a case a test. Source of the format:
// github.com/testmoapp/junitxml.
func junit(report *report) []byte {
	all := junitSuites{Name: "firstseen test", Tests: len(report.Tests), Failures: report.Failed, Skipped: report.NotRun}
	for _, r := range report.Tests {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != r.Rule {
			all.Suites = append(all.Suites, &junitSuite{Name: r.Rule, File: r.File})
		}
		suite := all.Suites[len(all.Suites)-1]
		c := junitCase{Class: r.Rule, Name: r.Name, Seconds: fmt.Sprintf("%.6f", r.Seconds)}
		suite.Tests++
		switch {
		case r.NotRun != "":
			suite.Skipped++
			c.Skipped = &junitSkipped{Message: r.NotRun}
		case !r.Passed:
			suite.Failures++
			first, _, _ := strings.Cut(r.Failure, "\n")
			c.Failure = &junitFailure{Message: first, Text: r.Failure}
		}
		suite.Cases = append(suite.Cases, c)
	}
	text, _ := xml.MarshalIndent(all, "", "  ") // these types always marshal
	return append([]byte(xml.Header), append(text, '\n')...)
}

// indented puts the lines behind the first below it, where results are listed.
func indented(s string) string { return strings.ReplaceAll(s, "\n", "\n      ") }
