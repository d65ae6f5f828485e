package imported

import (
	"strings"
	"testing"
)

// Metadata and tests, with and without a rule of our own for the logic; beside each other in testdata/panther.
func TestPanther(t *testing.T) {
	for _, name := range []string{"bucket_policy", "errors"} {
		file := "testdata/panther/" + name + ".yml"
		rule, err := Panther(file, []byte(read(t, file)))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/panther/"+name+".golden", rule.Text)
	}
}

// What is not carried is said: as a note where nothing hangs on it, else as an error that names the field.
func TestPantherNotes(t *testing.T) {
	rule, err := Panther("bucket_policy.yml", []byte(read(t, "testdata/panther/bucket_policy.yml")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range rule.Notes {
		got = append(got, n.String())
	}
	want := `bucket_policy.yml: SummaryAttributes: left out, as no record has it: p_any_aws_arns
bucket_policy.yml: Tests.Mocks: left out, as it replaces parts of the Python: "With a helper replaced"
bucket_policy.yml: Filename: the logic in bucket_policy.py is not carried: write query and title, then take out mode: off`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestPantherRefusals(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"AnalysisType: rule", "AnalysisType: scheduled_rule", `rule.yml: AnalysisType: "scheduled_rule" cannot be carried, only rule`},
		{"AWS.CloudTrail", "Okta.SystemLog", `rule.yml: LogTypes: Okta.SystemLog cannot be carried, only one of AWS.CloudTrail and AWS.S3ServerAccess`},
		{"  - AWS.CloudTrail", "  - AWS.CloudTrail\n  - AWS.VPCFlow", `rule.yml: LogTypes: AWS.CloudTrail, AWS.VPCFlow cannot be carried, only one of AWS.CloudTrail and AWS.S3ServerAccess`},
		{`RuleID: "Example.Bucket.Policy"`, "", `rule.yml: RuleID: is missing: this is no rule of Panther's`},
		{`"Example.Bucket.Policy"`, "a b", `rule.yml: RuleID: "a b" has more than letters, digits, dots, dashes and underscores, or is too long`},
		{"Severity: High", "Severity: Dire", `rule.yml: Severity: want one of info, low, medium, high, critical, got "dire"`},
		{"TA0009:T1530", "T1530", `rule.yml: Reports.MITRE ATT&CK: "T1530" is not like TA0009:T1530`},
		{"Threshold: 2", "Threshold: two", `rule.yml: Threshold: "two" is no number`},
		{"Threshold: 2", "InlineFilters: [{All: []}]", `rule.yml: InlineFilters: what this key means cannot be carried`},
		{"Tags: [AWS]", "Tags: AWS", `rule.yml: Tags: want a list of texts`},
		{"Tags: [AWS]", "Tags: [", `rule.yml: YAML: `},
	} {
		text := read(t, "testdata/panther/bucket_policy.yml")
		if !strings.Contains(text, test.from) {
			t.Fatalf("there is no %s", test.from)
		}
		_, err := Panther("rule.yml", []byte(strings.Replace(text, test.from, test.to, 1)))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("with %q: got\n%v\nwant\n%s", test.to, err, test.want)
		}
	}
}
