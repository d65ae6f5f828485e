package builtin_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"firstseen/rules"
	"firstseen/rules/builtin"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

const (
	rareSource = "aws-s3-unauthenticated-bucket-access-by-rare-source"
	ipList     = "AWS.S3.ServerAccess.IPWhitelist"
)

func load(t *testing.T, o rules.LoadOptions) *rules.Set {
	t.Helper()
	set, warnings, err := rules.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("warning: %v", w)
	}
	return set
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %#v\nwant %#v", what, got, want)
	}
}

// attack is MITRE's tactic and technique with their pages, as a rule has them.
func attack(tactic, tacticName, technique, techniqueName string) rulefile.Threat {
	return rulefile.Threat{
		Framework:  "MITRE ATT&CK",
		Tactic:     rulefile.Attack{ID: tactic, Name: tacticName, Reference: "https://attack.mitre.org/tactics/" + tactic + "/"},
		Techniques: []rulefile.Attack{{ID: technique, Name: techniqueName, Reference: "https://attack.mitre.org/techniques/" + technique + "/"}},
	}
}

// Every fact of Elastic's page about its rule.
func TestRareSourceHasEveryFact(t *testing.T) {
	set := load(t, rules.LoadOptions{})
	rule := set.Rule(rareSource)
	r := rule.Text()
	equal(t, "name", r.Name, "AWS S3 Unauthenticated Bucket Access by Rare Source")
	equal(t, "title", r.Title, r.Name)
	equal(t, "category", rule.Info().Category, "new_terms")
	equal(t, "severity", r.Severity, "medium")
	equal(t, "risk score", r.RiskScore, 47)
	equal(t, "version", r.Version, "2")
	equal(t, "authors", r.Origin.Authors, []string{"Elastic"})
	equal(t, "page", r.Origin.URL, "https://www.elastic.co/guide/en/security/current/aws-s3-unauthenticated-bucket-access-by-rare-source.html")
	for _, fact := range []string{"filebeat-*", "logs-aws.cloudtrail*", "every 5 minutes", "now-9m", "100 alerts", "new_terms"} {
		if !bytes.Contains([]byte(r.Origin.Notes), []byte(fact)) {
			t.Errorf("the notes do not say %q", fact)
		}
	}
	equal(t, "new terms", r.NewTerms, &rulefile.NewTerms{Fields: []string{"source.address"}, History: 7 * 24 * 3600 * 1000})
	equal(t, "maximum alerts", r.MaxAlerts, &rulefile.MaxAlerts{Count: 100, Per: 5 * 60 * 1000})
	equal(t, "dedup", r.Dedup, nil)
	equal(t, "mode", r.Mode, "active")
	equal(t, "policy", rule.Policy(), wire.Policy{Threshold: 1, CapCount: 100, CapPer: 300})
	equal(t, "keyed by source", rule.KeyedBySource(), true)
	equal(t, "references", r.References, []string{"https://hackingthe.cloud/aws/exploitation/Misconfigured_Resource-Based_Policies/exploting_public_resources_attack_playbook/"})
	equal(t, "tags", r.Tags, []string{
		"Domain: Cloud", "Data Source: AWS", "Data Source: Amazon Web Services", "Data Source: Amazon S3",
		"Use Case: Asset Visibility", "Resources: Investigation Guide", "Tactic: Collection",
	})
	equal(t, "threat", r.Threat, []rulefile.Threat{
		attack("TA0009", "Collection", "T1530", "Data from Cloud Storage"),
		attack("TA0007", "Discovery", "T1619", "Cloud Storage Object Discovery"),
		attack("TA0040", "Impact", "T1485", "Data Destruction"),
	})
	for _, link := range []string{"example-bucket-policies.html", "access-control-block-public-access.html"} {
		if !bytes.Contains([]byte(r.Runbook), []byte("https://docs.aws.amazon.com/AmazonS3/latest/userguide/"+link)) {
			t.Errorf("the runbook does not link %s", link)
		}
	}

	const query = `event.dataset: "aws.cloudtrail" and event.provider: "s3.amazonaws.com"` +
		` and event.action: ("GetObject" or "PutObject" or "ListObjects" or "DeleteObject" or "ListBucket")` +
		` and event.outcome: "success" and aws.cloudtrail.user_identity.type: ("AWSAccount" or "Unknown") and cloud.account.id: `
	equal(t, "query", r.Query, query+`("anonymous" or "ANONYMOUS_PRINCIPAL")`)
	strict := load(t, rules.LoadOptions{Strict: true}).Rule(rareSource).Text()
	equal(t, "query to the letter", strict.Query, query+`"anonymous"`)
	strict.Query = r.Query
	equal(t, "everything else, to the letter", strict, r)
}

// Every fact of the page about Panther's rule.
func TestIPListHasEveryFact(t *testing.T) {
	rule := load(t, rules.LoadOptions{}).Rule(ipList)
	r := rule.Text()
	equal(t, "name", r.Name, "AWS S3 Access IP Allowlist")
	equal(t, "log type", rule.Dataset(), schemas.S3Access)
	equal(t, "category", rule.Info().Category, "allowlist")
	equal(t, "severity", r.Severity, "medium")
	equal(t, "mode, though disabled there", r.Mode, "active")
	equal(t, "dedup", r.Dedup, &rulefile.Dedup{Period: 60 * 60 * 1000})
	equal(t, "policy", rule.Policy(), wire.Policy{Threshold: 1, Period: 3600})
	equal(t, "group by", rule.Info().GroupBy, []string{"title"})
	equal(t, "tags", r.Tags, []string{"AWS", "Configuration Required", "Identity & Access Management", "Collection:Data From Cloud Storage Object"})
	equal(t, "threat", r.Threat, []rulefile.Threat{attack("TA0009", "Collection", "T1530", "Data from Cloud Storage")})
	equal(t, "reference", r.References, []string{"https://aws.amazon.com/premiumsupport/knowledge-center/block-s3-traffic-vpc-ip/"})
	equal(t, "summary attributes", r.SummaryAttributes, []string{"bucket", "key", "remoteip"})
	equal(t, "title", r.Title, "Non-Approved IP access to S3 Bucket [{bucket|<UNKNOWN_BUCKET>}]")
	equal(t, "alert context", rule.Info().Panther, true)
	equal(t, "buckets", r.Query, "")
	equal(t, "allowlist field", r.Allowlist.Field, "remoteip")
	equal(t, "networks", len(r.Allowlist.Networks), 1)
	equal(t, "network", r.Allowlist.Networks[0].String(), "10.0.0.0/8")
	for _, fact := range []string{"aws_s3_access_ip_allowlist.py", "AWS.S3ServerAccess", "disabled"} {
		if !bytes.Contains([]byte(r.Origin.Notes), []byte(fact)) {
			t.Errorf("the notes do not say %q", fact)
		}
	}
	want := []rulefile.Test{
		{Name: "Access From Approved IP", Want: false, Log: []byte(`{"remoteip":"10.0.0.1","bucket":"my-test-bucket"}`)},
		{Name: "Access From Unapproved IP", Want: true, Log: []byte(`{"remoteip":"11.0.0.1","bucket":"my-test-bucket"}`)},
		{Name: "Access From IPv6", Want: true, Log: []byte(`{"remoteip":"2600:1ffe:8140::a47:a85a","bucket":"my-test-bucket"}`)},
	}
	equal(t, "tests", r.Tests, want)
}

func TestTheRulesPassTheirTests(t *testing.T) {
	for _, strict := range []bool{false, true} {
		set := load(t, rules.LoadOptions{Strict: strict})
		for _, rule := range set.Rules() {
			results := rules.RunTests(set, rule)
			if len(results) < 3 {
				t.Errorf("%s has %d tests", rule.ID(), len(results))
			}
			for _, r := range results {
				if !r.Passed() {
					t.Errorf("strict=%v %s: %s: got %v, want %v (%v)", strict, r.Rule, r.Name, r.Got, r.Want, r.Err)
				}
			}
		}
	}
}

// An event of a scenario has the log of the scenario, but for what its own says.
func TestScenario(t *testing.T) {
	s := load(t, rules.LoadOptions{}).Rule(rareSource).Scenarios()
	if len(s) != 1 || len(s[0].Events) != 4 || len(s[0].Alerts) != 3 {
		t.Fatalf("got %+v", s)
	}
	const day = 24 * 3600 * 1000
	for i, want := range []struct {
		after   int64
		address string
	}{{0, "203.0.113.7"}, {7 * day, "203.0.113.7"}, {15 * day, "203.0.113.7"}, {15*day + 1000, "198.51.100.9"}} {
		e := s[0].Events[i]
		if e.Time-s[0].Events[0].Time != want.after || !bytes.Contains(e.Log, []byte(`"sourceIPAddress":"`+want.address+`"`)) || !bytes.Contains(e.Log, []byte("anonymous")) {
			t.Errorf("event %d: %d, %s", i+1, e.Time, e.Log)
		}
	}
	equal(t, "third alert", s[0].Alerts[2], rulefile.ScenarioAlert{Event: 4, Kind: "open", Terms: []string{"198.51.100.9"}})
}

func TestNothingToWarnAbout(t *testing.T) {
	for _, w := range rules.Lint(load(t, rules.LoadOptions{})) {
		t.Error(w)
	}
}

// The commands in the comments of the files work.
func TestDocumentedOverrides(t *testing.T) {
	set := load(t, rules.LoadOptions{Set: []string{
		rareSource + ".new_terms.fields=[source.address, aws.cloudtrail.flattened.request_parameters.bucketName]",
		rareSource + ".new_terms.history=30d",
		rareSource + ".max_alerts=off",
		ipList + `.allowlist.networks=[192.0.2.0/24, "2001:db8::/32 expires=2026-12-31"]`,
		ipList + `.query=bucket: ("acme-logs" or "acme-payroll")`,
	}})
	equal(t, "fields", len(set.Rule(rareSource).Text().NewTerms.Fields), 2)
	equal(t, "history", set.Rule(rareSource).History(), 30*24*3600*1000)
	equal(t, "cap", set.Rule(rareSource).Policy().CapCount, 0)
	equal(t, "networks", len(set.Rule(ipList).Text().Allowlist.Networks), 2)
}

// The published schema accepts the files, and is a valid schema.
func TestTheFilesFitTheSchema(t *testing.T) {
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(rules.Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("urn:firstseen:rule", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("urn:firstseen:rule")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := builtin.Files.ReadDir(".")
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		if files[entry.Name()], err = builtin.Files.ReadFile(entry.Name()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range builtin.Presets() {
		file, text, _ := builtin.Preset(name)
		files[file] = text
	}
	for name, text := range files {
		var rule map[string]any
		if err := yaml.Load(text, &rule); err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(rule); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, slip := range []func(map[string]any){
			func(r map[string]any) { r["severty"] = "high" },
			func(r map[string]any) { delete(r, "id") },
			func(r map[string]any) { r["dedup"] = map[string]any{"period": "1 hour"} },
			func(r map[string]any) { r["strict"] = map[string]any{"id": "x"} },
		} {
			wrong := map[string]any{}
			for k, v := range rule {
				wrong[k] = v
			}
			if slip(wrong); compiled.Validate(wrong) == nil {
				t.Errorf("%s: the schema accepts %v", name, slices.Sorted(func(yield func(string) bool) {
					for k := range wrong {
						if !yield(k) {
							return
						}
					}
				}))
			}
		}
	}
}
