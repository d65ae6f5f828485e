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

// payrollPanther is metadata as Panther has it, of a rule with the same id.
const payrollPanther = `AnalysisType: rule
Filename: acme_payroll.py
RuleID: "Acme.Payroll"
DisplayName: Payroll
Enabled: true
LogTypes:
  - AWS.S3ServerAccess
Severity: Low
Tests:
  - Name: Another bucket
    ExpectedResult: False
    Log: { "remoteip": "192.0.2.1", "bucket": "logs", "p_log_type": "AWS.S3ServerAccess" }
  - Name: The backup
    ExpectedResult: false
    ExpectedDedup: none
    Log: >-
      {"remoteip": "192.0.2.1", "bucket": "payroll", "requester": "backup"}
  - Name: Mocked
    ExpectedResult: true
    Mocks: [{objectName: bucket_names, returnValue: "[]"}]
    Log: { "remoteip": "192.0.2.1", "bucket": "logs" }
`

// A file of Panther's is read as it is; its tests are run on the rule with its RuleID, one that is given or a built-in
// one, after the rule's own. What is not looked at is said.
func TestTestPanther(t *testing.T) {
	both := clitest.Files(t, "rules/payroll.yaml", clitest.PayrollRule, "panther/acme_payroll.yml", payrollPanther, "panther/global.yml", "AnalysisType: global\nGlobalID: x\n", ".git/x.yaml", "{")
	const want = `PASS  Acme.Payroll/own
PASS  Acme.Payroll/Another bucket
PASS  Acme.Payroll/The backup
SKIP  Acme.Payroll/Mocked
      its Mocks replace functions of a rule in Python
3 passed, 0 failed, 1 not run
`
	for _, args := range [][]string{{both}, {filepath.Join(both, "panther"), filepath.Join(both, "rules", "payroll.yaml")}} {
		e := execute(t, nil, append([]string{"test"}, args...)...)
		if e.Code != cli.ExitOK || e.Stdout != want || e.Stderr != "warning: "+filepath.Join(both, "panther", "acme_payroll.yml")+":15:5: Tests: ExpectedDedup is not compared\n" {
			t.Errorf("%v: exit code %d\n%s%s", args, e.Code, e.Stdout, e.Stderr)
		}
	}

	// Only the file's tests, not the built-in rule's own nor those of other built-in rules.
	foreign := strings.NewReplacer("Acme.Payroll", "AWS.S3.ServerAccess.IPWhitelist", "ExpectedResult: False", "ExpectedResult: true").Replace(payrollPanther)
	preset := strings.Replace(payrollPanther, "Acme.Payroll", "AWS.S3.ServerAccess.Unauthenticated", 1)
	e := execute(t, nil, "test", clitest.Files(t, "a.yml", foreign, "b.yml", preset))
	const wantBuiltin = `PASS  AWS.S3.ServerAccess.IPWhitelist/Another bucket
FAIL  AWS.S3.ServerAccess.IPWhitelist/The backup
      want no match, got one: 192.0.2.1 is in no network of its allowlist
SKIP  AWS.S3.ServerAccess.IPWhitelist/Mocked
      its Mocks replace functions of a rule in Python
FAIL  AWS.S3.ServerAccess.Unauthenticated/Another bucket
      want no match, got one: its query holds: there is no requester
PASS  AWS.S3.ServerAccess.Unauthenticated/The backup
SKIP  AWS.S3.ServerAccess.Unauthenticated/Mocked
      its Mocks replace functions of a rule in Python
2 passed, 2 failed, 2 not run
`
	if e.Code != cli.ExitFindings || e.Stdout != wantBuiltin {
		t.Errorf("exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
}

// Tests that cannot be run are an error, never a success.
func TestTestPantherWithoutRule(t *testing.T) {
	rule := clitest.Write(t, "rule.yaml", clitest.PayrollRule)
	for _, c := range []struct{ text, says string }{
		{strings.Replace(payrollPanther, "Acme.Payroll", "Acme.Other", 1), "panther.yml:3:10: no rule with the id Acme.Other is loaded, so its tests cannot be run: give the file of the rule too"},
		{strings.Replace(payrollPanther, "AWS.S3ServerAccess", "AWS.CloudTrail", 1), "panther.yml:3:10: its tests are of AWS.CloudTrail, and the rule Acme.Payroll looks at aws.s3access"},
		{strings.Replace(payrollPanther, "RuleID", "PolicyID", 1), `panther.yml:1:1: "RuleID" is missing`},
		{strings.Replace(payrollPanther, "ExpectedResult: False", "ExpectedResult: no", 1), `panther.yml:11:21: ExpectedResult: want true or false, got "no"`},
	} {
		e := execute(t, nil, "test", rule, clitest.Write(t, "panther.yml", c.text))
		if e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, c.says) || e.Stdout != "" {
			t.Errorf("exit code %d, want\n%s\ngot\n%s%s", e.Code, c.says, e.Stderr, e.Stdout)
		}
	}
	onlyMocked := payrollPanther[:strings.Index(payrollPanther, "  - Name: Another")] + payrollPanther[strings.Index(payrollPanther, "  - Name: Mocked"):]
	rule = clitest.Write(t, "rule.yaml", strings.Split(clitest.PayrollRule, "tests:")[0])
	if e := execute(t, nil, "test", rule, clitest.Write(t, "panther.yml", onlyMocked)); e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "no test to run among 1 rule") {
		t.Errorf("nothing was run: exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
}

// Every rule must have so many tests, one that expects a match and one that does not; what cannot be run does not count.
func TestMinTests(t *testing.T) {
	own := clitest.Write(t, "rule.yaml", clitest.PayrollRule)
	none := clitest.Write(t, "none.yaml", strings.Split(clitest.PayrollRule, "tests:")[0])
	panther := clitest.Write(t, "panther.yml", payrollPanther)
	const quiet = "  - {name: quiet, events: [{log: {remoteip: 192.0.2.1, bucket: logs}}], alerts: []}\n"
	const loud = "  - {name: loud, events: [{log: {remoteip: 192.0.2.1, bucket: payroll}}], alerts: [{}]}\n"
	for _, c := range []struct {
		args  []string
		lacks string
	}{
		{[]string{"--min-tests", "1", own}, "no test expects that it does not match"},
		{[]string{"--min-tests", "2", own}, "it has 1 test; no test expects that it does not match"},
		{[]string{"--min-tests", "2", none}, "it has 0 tests; no test expects a match; no test expects that it does not match"},
		{[]string{"--min-tests", "2", none, panther}, "no test expects a match"},
		{[]string{"--min-tests", "3", own, panther}, ""},
		{[]string{"--min-tests", "4", own, panther}, "it has 3 tests"},
		{[]string{"--min-tests", "2", clitest.Write(t, "rule.yaml", clitest.PayrollRule+quiet)}, ""},
		{[]string{"--min-tests", "2", clitest.Write(t, "rule.yaml", clitest.PayrollRule+loud)}, "no test expects that it does not match"},
		{[]string{"--min-tests", "2", clitest.Write(t, "rule.yaml", strings.Replace(clitest.PayrollRule+quiet, "ExpectedResult: true, Log: {", "ExpectedResult: false, Log: {key: x, operation: REST.HEAD.OBJECT, ", 1))}, "no test expects a match"},
		// Which ones are run this time does not matter.
		{[]string{"--min-tests", "3", "--run", "own", own, panther}, ""},
	} {
		e := execute(t, nil, append([]string{"test"}, c.args...)...)
		n := c.args[1]
		want, code := "FAIL  Acme.Payroll/--min-tests "+n+"\n      "+c.lacks+"\n", cli.ExitFindings
		if c.lacks == "" {
			want, code = " 0 failed", cli.ExitOK
		}
		if e.Code != code || !strings.Contains(e.Stdout, want) {
			t.Errorf("%v: exit code %d, want %d and\n%sgot\n%s%s", c.args, e.Code, code, want, e.Stdout, e.Stderr)
		}
	}
}

// What no test reaches is said in words, and counted in JSON; only what was run reaches anything.
func TestTestCoverage(t *testing.T) {
	own, panther := clitest.Write(t, "rule.yaml", clitest.PayrollRule), clitest.Write(t, "panther.yml", payrollPanther)
	const scenario = "  - {name: heads, events: [{log: {remoteip: 192.0.2.1, bucket: payroll, operation: REST.HEAD.OBJECT}}], alerts: []}\n"
	withScenario := clitest.Write(t, "rule.yaml", clitest.PayrollRule+scenario)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{own}, `Acme.Payroll: 3 of 6 values and branches are reached
      no test is without bucket: "payroll"
      no test has operation: "REST.HEAD.OBJECT"
      no test has requester: "backup"
`},
		{[]string{own, panther}, "Acme.Payroll: 5 of 6 values and branches are reached\n      no test has operation: \"REST.HEAD.OBJECT\"\n"},
		{[]string{withScenario, panther}, "Acme.Payroll: 6 of 6 values and branches are reached\n"},
		{[]string{"--run", "own|heads|backup", withScenario, panther}, "Acme.Payroll: 5 of 6 values and branches are reached\n      no test is without bucket: \"payroll\"\n"},
	} {
		e := execute(t, nil, append([]string{"test", "--coverage"}, c.args...)...)
		_, says, _ := strings.Cut(e.Stdout, "Acme.Payroll: ")
		says, _, _ = strings.Cut("Acme.Payroll: "+says, "\n"+strings.Split(e.Stdout, "\n")[strings.Count(e.Stdout, "\n")-1])
		if e.Code != cli.ExitOK || says+"\n" != c.says {
			t.Errorf("%v: exit code %d\n%s\nwant\n%s", c.args, e.Code, e.Stdout, c.says)
		}
	}
	e := execute(t, nil, "test", "--json", own, panther)
	var report report
	if err := json.Unmarshal([]byte(e.Stdout), &report); err != nil || e.Code != cli.ExitOK {
		t.Fatalf("exit code %d, %v in\n%s", e.Code, err, e.Stdout)
	}
	if c := report.Coverage; len(c) != 1 || c[0].Reached != 5 || c[0].Of != 6 || len(c[0].Missed) != 1 || len(c[0].Query) != 3 || c[0].Query[0].True != 2 || c[0].Query[0].False != 1 {
		t.Errorf("coverage: %+v", c)
	}
	if report.NotRun != 1 || report.Tests[3].NotRun == "" || report.Tests[3].Passed || report.Tests[3].Failure != "" {
		t.Errorf("what was not run has neither passed nor failed: %+v", report)
	}
}

// Build servers see what was not run, and what a rule lacks.
func TestJUnitOfWhatIsNotRun(t *testing.T) {
	report := filepath.Join(t.TempDir(), "junit.xml")
	e := execute(t, nil, "test", "--junit", report, "--min-tests", "9", clitest.Write(t, "rule.yaml", clitest.PayrollRule), clitest.Write(t, "panther.yml", payrollPanther))
	content, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var all junitSuites
	if err := xml.Unmarshal(content, &all); err != nil || e.Code != cli.ExitFindings {
		t.Fatalf("exit code %d, %v in\n%s", e.Code, err, content)
	}
	if s := all.Suites; all.Skipped != 1 || all.Failures != 1 || len(s) != 1 || s[0].Skipped != 1 || s[0].Tests != 5 ||
		s[0].Cases[3].Skipped == nil || s[0].Cases[3].Failure != nil || s[0].Cases[4].Name != "--min-tests 9" || s[0].Cases[4].Failure.Message != "it has 3 tests" {
		t.Errorf("got\n%s", content)
	}
}
