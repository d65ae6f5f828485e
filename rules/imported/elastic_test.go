package imported

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstseen/rules/rulefile"
)

var update = flag.Bool("update", false, "write the rule files in testdata anew")

// golden compares with a file, or writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s: got\n%s", file, got)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each kind of rule and the rule file it becomes, beside each other in testdata/elastic.
func TestElastic(t *testing.T) {
	for _, name := range []string{"query", "new_terms", "threshold", "suppression"} {
		file := filepath.Join("testdata", "elastic", name+".toml")
		rule, err := Elastic(file, []byte(read(t, file)))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, strings.TrimSuffix(file, ".toml")+".golden", rule.Text)
	}
}

// carried reads back what was written.
func carried(t *testing.T, text string) *rulefile.Rule {
	t.Helper()
	rule, err := Elastic("rule.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f, err := rulefile.Open("rule.yaml", rule.Text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Rule(rulefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What a key there becomes here, one change to the example at a time.
func TestElasticKeys(t *testing.T) {
	day := int64(24 * 60 * 60 * 1000)
	for _, test := range []struct {
		file, from, to string
		holds          func(*rulefile.Rule) bool
	}{
		{"query", ``, ``, func(r *rulefile.Rule) bool {
			return r.MaxAlerts.Count == 30 && r.MaxAlerts.Per == day/144 && r.Mode == "active"
		}},
		{"query", `max_signals = 30`, ``, func(r *rulefile.Rule) bool { return r.MaxAlerts.Count == 100 }},
		{"query", `interval = "10m"`, ``, func(r *rulefile.Rule) bool { return r.MaxAlerts.Per == day/288 }},
		{"query", `language = "kuery"`, ``, func(r *rulefile.Rule) bool { return r.Query != "" }},
		{"query", `max_signals`, "enabled = false\nmax_signals", func(r *rulefile.Rule) bool { return r.Mode == "off" }},
		{"query", `max_signals`, "enabled = true\nmax_signals", func(r *rulefile.Rule) bool { return r.Mode == "active" }},
		{"query", `max_signals`, "filters = []\nmax_signals", func(r *rulefile.Rule) bool { return r.Query != "" }},
		{"query", `index = ["filebeat-*", "logs-aws.cloudtrail-*"]`, ``, func(r *rulefile.Rule) bool { return r.Dataset == "aws.cloudtrail" }},
		{"new_terms", ``, ``, func(r *rulefile.Rule) bool { return r.NewTerms.History == 14*day && r.Mode == "shadow" }},
		{"new_terms", `now-2w`, `now-36h`, func(r *rulefile.Rule) bool { return r.NewTerms.History == day*3/2 }},
		{"threshold", ``, ``, func(r *rulefile.Rule) bool {
			return r.Threshold == 10 && r.Dedup.Period == day/48 && len(r.Dedup.By) == 2 && strings.HasSuffix(r.Query, "and user.name: * and source.ip: *")
		}},
		{"threshold", `from = "now-30m"`, ``, func(r *rulefile.Rule) bool { return r.Dedup.Period == day/240 }},
		{"threshold", `field = ["user.name", "source.ip"]`, `field = []`, func(r *rulefile.Rule) bool { return len(r.Dedup.By) == 0 }},
		{"threshold", `field = ["user.name", "source.ip"]`, `field = "user.name"`, func(r *rulefile.Rule) bool { return r.Dedup.By[0] == "user.name" }},
		{"suppression", ``, ``, func(r *rulefile.Rule) bool { return r.Dedup.Period == day/12 && len(r.Dedup.By) == 2 }},
		{"suppression", `duration = {value = 2, unit = "h"}`, ``, func(r *rulefile.Rule) bool { return r.Dedup.Period == day/288 }},
	} {
		text := read(t, "testdata/elastic/"+test.file+".toml")
		if !strings.Contains(text, test.from) {
			t.Fatalf("%s has no %s", test.file, test.from)
		}
		if r := carried(t, strings.Replace(text, test.from, test.to, 1)); !test.holds(r) {
			t.Errorf("%s with %q for %q: %+v", test.file, test.to, test.from, r)
		}
	}
}

// What cannot be carried is an error that names the field.
func TestElasticRefusals(t *testing.T) {
	for _, test := range []struct{ file, from, to, want string }{
		{"query", `type = "query"`, `type = "eql"`, `rule.toml: rule.type: "eql" cannot be carried, only query, new_terms, threshold`},
		{"query", `language = "kuery"`, `language = "lucene"`, `rule.toml: rule.language: "lucene" cannot be carried, only kuery, the Kibana Query Language`},
		{"query", `"filebeat-*", "logs-aws.cloudtrail-*"`, `"logs-okta*"`, `rule.toml: rule.index: "logs-okta*" holds other data than CloudTrail`},
		{"threshold", "event.dataset:aws.cloudtrail and", "", ``}, // once is enough
		{"query", "max_signals = 30", "max_signals = \"many\"", `rule.toml:19: rule.max_signals: TOML: incompatible types: TOML value has type string; destination has type integer`},
		{"query", "max_signals = 30", "max_signals = 30 30", `rule.toml:19:17: TOML: expected a top-level item to end with a newline, comment, or EOF, but got '3' instead`},
		{"query", "max_signals = 30", "max_signals = 30\nfilters = [{a = 1}]", `rule.toml: rule.filters: filters beside the query cannot be carried: write them into the query`},
		{"query", "max_signals = 30", "max_signals = 30\nexceptions_list = [{id = \"x\"}]", `rule.toml: rule.exceptions_list: exception lists are kept elsewhere: write them into the query`},
		{"query", "max_signals = 30", "max_signals = 30\nnovelty = true", `rule.toml: rule.novelty: this key is not known, so what it means cannot be carried`},
		{"query", "max_signals = 30", "max_signals = -1", `rule.toml: rule.max_signals: want 1 to 1000000000, got -1`},
		{"query", `interval = "10m"`, `interval = "10 min"`, `rule.toml: rule.interval: "10 min" is no time that can be carried: want a number and s, m, h, d or w`},
		{"query", `rule_id = "0d9c3a54-5d0c-4a53-9a7e-3f6f3a0f8c11"`, ``, `rule.toml: rule.rule_id: is missing`},
		{"query", `id = "T1098"`, `id = "T98"`, `rule.toml: technique.id: "T98" is not like TA0009, T1530 or T1530.001`},
		{"query", `severity = "medium"`, `severity = "dire"`, `rule.toml: rule.severity: want one of info, low, medium, high, critical, got "dire"`},
		{"query", `and event.outcome: success`, `and event.outcome = success`, `rule.toml: rule.query: `},
		{"query", `event.outcome:`, `source.geo.country_name:`, `rule.toml: rule.query: "source.geo.country_name": no record has this field: it is looked up in a database of places`},
		{"query", `event.outcome:`, `event.outcom:`, `rule.toml: rule.query: "event.outcom": records of CloudTrail have no such field (did you mean "event.outcome"?)`},
		{"query", `event.outcome:`, `aws.cloudtrail.flattened.request.x:`, `rule.toml: rule.query: unknown field "aws.cloudtrail.flattened.request.x"`},
		{"new_terms", `now-2w`, `now-1M`, `rule.toml: rule.new_terms.history_window_start.value: "1M" is no time that can be carried: want a number and s, m, h, d or w`},
		{"new_terms", `now-2w`, `2026-01-01`, `rule.toml: rule.new_terms.history_window_start.value: "2026-01-01" cannot be carried: want now- and a number and s, m, h, d or w`},
		{"new_terms", `"user.name"`, `"user.name", "user.id"`, `rule.toml: rule.new_terms.value: want 1 to 3 fields, got 4`},
		{"new_terms", `"user.name"`, `"entity.target.id"`, `rule.toml: rule.new_terms.value: "entity.target.id": no record has this field: it is put together by Elastic's pipeline`},
		{"new_terms", `type = "new_terms"`, `type = "query"`, `rule.toml: rule.new_terms: a rule of type new_terms has it, and no other`},
		{"threshold", "value = 10", "value = 1\n[[rule.threshold.cardinality]]\nfield = \"event.id\"\nvalue = 3", `rule.toml: rule.threshold.cardinality: distinct values of "event.id" are not counted here, only matches`},
		{"threshold", "value = 10", "value = 10\nwindow = 1", `rule.toml: rule.threshold.window: this key is not known, so what it means cannot be carried`},
		{"threshold", "value = 10", "value = 0", `rule.toml: rule.threshold.value: want at least 1`},
		{"threshold", "value = 10", "value = 10\n[rule.alert_suppression]\nduration = {value = 1, unit = \"h\"}", `rule.toml: rule.alert_suppression: a threshold has groups and a time already`},
		{"suppression", `"suppress"`, `"doNotSuppress"`, `rule.toml: rule.alert_suppression.missing_fields_strategy: "doNotSuppress": here events without a field are a group too`},
	} {
		text := read(t, "testdata/elastic/"+test.file+".toml")
		if !strings.Contains(text, test.from) {
			t.Fatalf("%s has no %s", test.file, test.from)
		}
		_, err := Elastic("rule.toml", []byte(strings.Replace(text, test.from, test.to, 1)))
		var problems Problems
		switch {
		case test.want == "" && err == nil:
		case !errors.As(err, &problems):
			t.Errorf("%s with %q: %v, want %s", test.file, test.to, err, test.want)
		case !strings.HasPrefix(problems[0].String(), test.want):
			t.Errorf("%s with %q: got\n%v\nwant\n%s", test.file, test.to, err, test.want)
		}
	}
}

// A file that is none of Elastic's rules, or nowhere says that it is about CloudTrail, is not taken for one.
func TestElasticOthers(t *testing.T) {
	elsewhere := strings.NewReplacer("event.dataset:aws.cloudtrail and", "", "aws.cloudtrail.console_login.additional_eventdata.mfa_used", "user.id").
		Replace(read(t, "testdata/elastic/threshold.toml"))
	for text, want := range map[string]string{
		elsewhere: "x.toml: rule.index: neither the index nor the query says that the rule is about CloudTrail (aws.cloudtrail)",
		"a = 1":   "x.toml: rule: there is no such table: this is no rule of Elastic's",
		"":        "x.toml: rule: there is no such table: this is no rule of Elastic's",
	} {
		if _, err := Elastic("x.toml", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
