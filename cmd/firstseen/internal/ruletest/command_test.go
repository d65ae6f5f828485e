package ruletest

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
)

// The three tests that Panther's rule came with, and our own, from the files that are built in.
func TestTestBuiltin(t *testing.T) {
	for _, args := range [][]string{{"test"}, {"test", "--strict"}} {
		e := execute(t, nil, args...)
		if e.Code != cli.ExitOK || !strings.HasSuffix(e.Stdout, " passed, 0 failed\n") {
			t.Errorf("%v: exit code %d\n%s%s", args, e.Code, e.Stdout, e.Stderr)
		}
		for _, name := range []string{"Access From Approved IP", "Access From Unapproved IP", "Access From IPv6"} {
			if !strings.Contains(e.Stdout, "PASS  AWS.S3.ServerAccess.IPWhitelist/"+name+"\n") {
				t.Errorf("%v: %s did not pass:\n%s", args, name, e.Stdout)
			}
		}
	}
}

const testedRule = `id: acme.reads
name: Reads of the payroll
version: 1
dataset: aws.s3access
mode: off
query: 'bucket: "payroll"'
dedup: {by: [remoteip], period: 10m}
threshold: 2
title: "{remoteip} reads"
severity: low
tests:
  - {Name: payroll, ExpectedResult: true, Log: {remoteip: 192.0.2.1, bucket: payroll}}
  - {Name: other, ExpectedResult: true, Log: {remoteip: 192.0.2.1, bucket: logs}}
  - {Name: none, ExpectedResult: false, Log: {remoteip: 192.0.2.1, bucket: payroll}}
  - {Name: no record, ExpectedResult: false, Log: nonsense}
  - name: the second alerts
    log: {remoteip: 192.0.2.1, bucket: payroll}
    events: [{at: "2026-01-31T10:00:00Z"}, {after: 1m}, {after: 1m}, {after: 20m}]
    alerts: [{event: 2, title: 192.0.2.1 reads, count: 2}]
  - name: and the window closes
    log: {remoteip: 192.0.2.1, bucket: payroll}
    events: [{at: "2026-01-31T10:00:00Z"}, {after: 1m}, {after: 1m}, {after: 20m}]
    alerts: [{event: 2}, {event: 4, kind: closed, count: 3}]
  - name: wrong
    log: {remoteip: 192.0.2.1, bucket: payroll}
    events: [{at: "2026-01-31T10:00:00Z"}, {after: 1m}]
    alerts: [{event: 1, title: 192.0.2.1 reads}, {event: 2}, {event: 2}]
  - name: more than that
    log: {remoteip: 192.0.2.1, bucket: payroll}
    events: [{at: "2026-01-31T10:00:00Z"}, {after: 1m}, {after: 1m}]
    alerts: [{event: 3, kind: closed, count: 4}]
  - name: no record either
    events: [{at: "2026-01-31T10:00:00Z", log: nonsense}]
    alerts: []
`

// A rule is tested in whatever mode it is; a failure says what was expected and what came.
func TestTestFailures(t *testing.T) {
	file := clitest.Write(t, "rule.yaml", testedRule)
	e := execute(t, nil, "test", file)
	const want = `PASS  acme.reads/payroll
FAIL  acme.reads/other
      want a match, got none: its query does not hold: bucket: "payroll" is false of "logs"
FAIL  acme.reads/none
      want no match, got one: its query holds: bucket: "payroll" is true of "payroll"
FAIL  acme.reads/no record
      unknown_shape: neither JSON nor an S3 access log line
PASS  acme.reads/the second alerts
PASS  acme.reads/and the window closes
FAIL  acme.reads/wrong
      missing: event 1 makes an alert, open, title "192.0.2.1 reads"
      missing: event 2 makes an alert, open
FAIL  acme.reads/more than that
      missing: event 3 makes an alert, closed, count 4
      not expected: event 2 makes an alert, open, title "192.0.2.1 reads", count 2
      not expected: event 3 makes an alert, closed, title "192.0.2.1 reads", count 3
FAIL  acme.reads/no record either
      event 1: unknown_shape: neither JSON nor an S3 access log line
3 passed, 6 failed
`
	if e.Code != cli.ExitFindings || e.Stdout != want {
		t.Errorf("exit code %d, got\n%s%swant\n%s", e.Code, e.Stdout, e.Stderr, want)
	}
	e = execute(t, nil, "test", "--run", "alerts|closes|payroll$", file)
	if e.Code != cli.ExitOK || !strings.HasSuffix(e.Stdout, "\n3 passed, 0 failed\n") {
		t.Errorf("--run: exit code %d\n%s", e.Code, e.Stdout)
	}
}

func TestTestReports(t *testing.T) {
	report := filepath.Join(t.TempDir(), "junit.xml")
	e := execute(t, nil, "test", "--json", "--junit", report, clitest.Write(t, "rule.yaml", testedRule))
	var results struct {
		Passed, Failed int
		Tests          []outcome
	}
	if err := json.Unmarshal([]byte(e.Stdout), &results); err != nil || e.Code != cli.ExitFindings {
		t.Fatalf("exit code %d, %v in\n%s", e.Code, err, e.Stdout)
	}
	if results.Passed != 3 || results.Failed != 6 || len(results.Tests) != 9 || results.Tests[6].Kind != "scenario" || results.Tests[6].Failure == "" {
		t.Errorf("JSON: %+v", results)
	}
	content, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(content, &suites); err != nil {
		t.Fatal(err)
	}
	if s := suites.Suites; suites.Tests != 9 || suites.Failures != 6 || len(s) != 1 || s[0].Name != "acme.reads" || len(s[0].Cases) != 9 ||
		s[0].Cases[0].Failure != nil || s[0].Cases[1].Failure.Message != `want a match, got none: its query does not hold: bucket: "payroll" is false of "logs"` {
		t.Errorf("JUnit:\n%s", content)
	}
}

// What checks nothing must not look like success.
func TestTestWithoutTests(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{clitest.Write(t, "rule.yaml", strings.Split(testedRule, "tests:")[0])}, "no test to run among 1 rule"},
		{[]string{"--run", "no such test", clitest.Write(t, "rule.yaml", testedRule)}, "no test to run among 1 rule"},
		{[]string{"--run", "("}, "--run"},
		{[]string{"--min-tests", "-1"}, "--min-tests"},
		{[]string{"missing.yaml"}, "missing.yaml"},
		{[]string{clitest.Write(t, "rule.yaml", "id: x\nnam: y\n")}, `rule.yaml:2:1: unknown key "nam"`},
	} {
		if e := execute(t, nil, append([]string{"test"}, c.args...)...); e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, c.says) {
			t.Errorf("test %v: exit code %d, %s", c.args, e.Code, e.Stderr)
		}
	}
}

// A test of a record wants what the rule makes of it alone, with nothing seen before, and its failure names what decided:
// the query, the exception, the allowlist, or that there is nothing that could be new.
func TestTestSaysWhy(t *testing.T) {
	const terms = "new_terms: {fields: [source.address, user_agent.original], history: 7d}\n"
	for _, c := range []struct{ name, keys, log, want string }{
		{"new terms", terms, "{remoteip: 192.0.2.1, bucket: b, useragent: curl}", ""},
		{"one is missing", terms, "{remoteip: 192.0.2.1, bucket: b}",
			"want a match, got none: the record has no user_agent.original, so there is nothing that could be new"},
		{"both are missing", terms, "{bucket: b}",
			"want a match, got none: the record has no source.address and no user_agent.original, so there is nothing that could be new"},
		{"the query", "query: 'bucket: a and operation: REST.GET.*'\n", "{bucket: b, operation: REST.GET.OBJECT}",
			`want a match, got none: its query does not hold: bucket: "a" is false of "b"`},
		{"the query, of a field that is not there", "query: 'requester: a'\n", "{bucket: b}",
			"want a match, got none: its query does not hold: there is no requester"},
		{"the exception", "except: 'bucket: b'\n", "{bucket: b}", `want a match, got none: its exception holds: bucket: "b" is true of "b"`},
		{"no address", "allowlist: {field: remoteip, networks: [10.0.0.0/8]}\n", "{bucket: b}", "want a match, got none: the record has no remoteip to look up"},
		{"an allowed address", "allowlist: {field: remoteip, networks: [10.0.0.0/8]}\n", "{remoteip: 10.0.0.1, bucket: b}", "want a match, got none: 10.0.0.1 is allowed by 10.0.0.0/8 at "},
	} {
		t.Run(c.name, func(t *testing.T) {
			rule := "id: r\nname: R\ndataset: aws.s3access\nmode: off\nseverity: low\n" + c.keys + "tests:\n  - {Name: n, ExpectedResult: %, Log: " + c.log + "}\n"
			e := execute(t, nil, "test", clitest.Write(t, "r.yaml", strings.Replace(rule, "%", "true", 1)))
			if c.want == "" && e.Code != cli.ExitOK || c.want != "" && (e.Code != cli.ExitFindings || !strings.HasPrefix(e.Stdout, "FAIL  r/n\n      "+c.want)) {
				t.Errorf("exit code %d\n%s%swant %s", e.Code, e.Stdout, e.Stderr, c.want)
			}
			// The test that wants the opposite has the opposite outcome.
			if opposite := execute(t, nil, "test", clitest.Write(t, "r.yaml", strings.Replace(rule, "%", "false", 1))); (opposite.Code == cli.ExitOK) == (e.Code == cli.ExitOK) {
				t.Errorf("whatever is wanted the exit code is %d\n%s", e.Code, opposite.Stdout)
			}
		})
	}
	for keys, want := range map[string]string{
		"": "the rule has no query, so every record of aws.s3access matches",
		"allowlist: {field: remoteip, networks: [10.0.0.0/8]}\n": "192.0.2.1 is in no network of its allowlist",
	} {
		e := execute(t, nil, "test", clitest.Write(t, "r.yaml", "id: r\nname: R\ndataset: aws.s3access\nseverity: low\n"+keys+"tests:\n  - {Name: n, ExpectedResult: false, Log: {remoteip: 192.0.2.1, bucket: b}}\n"))
		if !strings.HasPrefix(e.Stdout, "FAIL  r/n\n      want no match, got one: "+want+"\n") {
			t.Errorf("exit code %d\n%s%swant %s", e.Code, e.Stdout, e.Stderr, want)
		}
	}
}
