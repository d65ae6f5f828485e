package builtin_test

import (
	"slices"
	"strings"
	"testing"

	"firstseen/rules"
	"firstseen/rules/builtin"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

const panther = "AWS.S3.ServerAccess."

// preset loads one preset and nothing else.
func preset(t *testing.T, name string, set ...string) *rules.Rule {
	t.Helper()
	r := load(t, rules.LoadOptions{NoBuiltin: true, Presets: []string{name}, Set: set}).Rule(name)
	if r == nil {
		t.Fatalf("preset %s has a rule of another name", name)
	}
	return r
}

func TestPresetsAreThere(t *testing.T) {
	equal(t, "presets", builtin.Presets(), []string{
		panther + "Error", panther + "Insecure", panther + "Unauthenticated", panther + "UnknownRequester",
		"aws-s3-unauthenticated-by-source-and-bucket-5d", "aws-s3-unauthenticated-by-source-and-bucket-7d",
		"aws-s3-unauthenticated-by-source-network", "aws-s3-unauthenticated-denied", "aws-s3-unauthenticated-reads",
	})
}

// A preset is off until it is named, then it is a rule like the others: with parameters that can be changed, and gone if
// a file has its id.
func TestPresetsAreOffUnlessNamed(t *testing.T) {
	const reads = "aws-s3-unauthenticated-reads"
	ids := func(o rules.LoadOptions) (ids []string) {
		for _, r := range load(t, o).Rules() {
			ids = append(ids, r.ID())
		}
		return ids
	}
	equal(t, "none named", ids(rules.LoadOptions{}), []string{ipList, rareSource})
	equal(t, "one named, twice", ids(rules.LoadOptions{Presets: []string{reads, reads}}), []string{ipList, rareSource, reads})
	equal(t, "presets alone", ids(rules.LoadOptions{Presets: []string{reads, panther + "Error"}, NoBuiltin: true}), []string{panther + "Error", reads})
	equal(t, "all", len(ids(rules.LoadOptions{Presets: builtin.Presets()})), 2+len(builtin.Presets()))
	r := preset(t, reads, reads+".new_terms.history=30d", reads+".severity=high")
	equal(t, "history", r.History(), 30*24*3600*1000)
	equal(t, "severity", r.Text().Severity, "high")
	equal(t, "file", r.File(), "builtin/presets/"+reads+".yaml")

	for name, want := range map[string]string{
		"aws-s3-unauthenticated-read": `(did you mean "aws-s3-unauthenticated-reads"?)`,
		"aws.s3.serveraccess.error":   `(did you mean "AWS.S3.ServerAccess.Error"?)`,
		"../aws_s3_access":            "there is no such preset, only AWS.S3",
		"":                            "there is no such preset",
	} {
		_, _, err := rules.Load(rules.LoadOptions{Presets: []string{name}})
		if err == nil || !strings.HasPrefix(err.Error(), "preset "+name+":") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", name, err)
		}
	}
	for _, o := range []rules.LoadOptions{
		{Set: []string{reads + ".severity=high"}},
		{Overrides: map[string]map[string]any{reads: {"severity": "high"}}},
	} {
		_, _, err := rules.Load(o)
		if err == nil || !strings.Contains(err.Error(), "is a preset: name it in rules.presets or with --preset") {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}

// What is documented of each: kind, fields, windows, thresholds. Every one passes its tests and leaves nothing to warn
// about, has a test that matches, one that does not, and a scenario.
func TestPresetsAreWhatTheySay(t *testing.T) {
	const bucket = "aws.cloudtrail.flattened.request_parameters.bucketName"
	const day = 24 * 3600 * 1000
	unlike := map[string]bool{}
	for _, name := range builtin.Presets() {
		set := load(t, rules.LoadOptions{NoBuiltin: true, Presets: []string{name}})
		for _, w := range rules.Lint(set) {
			t.Error(w)
		}
		r := set.Rule(name).Text()
		equal(t, name+": mode", r.Mode, rulefile.Active)
		if unlike[r.Name] || r.Description == "" || r.Runbook == "" || len(r.FalsePositives) == 0 || len(r.Threat) == 0 || r.Title == r.Name {
			t.Errorf("%s: an alert would say too little", name)
		}
		unlike[r.Name] = true
		verdicts := map[bool]int{}
		for _, result := range rules.RunTests(set, set.Rule(name)) {
			if verdicts[result.Want]++; !result.Passed() {
				t.Errorf("%s: %s: got %v, want %v (%v)", name, result.Name, result.Got, result.Want, result.Err)
			}
		}
		if verdicts[true] == 0 || verdicts[false] == 0 || len(r.Scenarios) == 0 {
			t.Errorf("%s: tests %v, %d scenarios", name, verdicts, len(r.Scenarios))
		}
		if r.NewTerms != nil {
			equal(t, name+": cap", r.MaxAlerts, &rulefile.MaxAlerts{Count: 100, Per: 5 * 60 * 1000})
		}
	}
	for name, want := range map[string]rulefile.NewTerms{
		"aws-s3-unauthenticated-by-source-and-bucket-5d": {Fields: []string{"source.address", bucket}, History: 5 * day},
		"aws-s3-unauthenticated-by-source-and-bucket-7d": {Fields: []string{"source.address", bucket}, History: 7 * day},
		"aws-s3-unauthenticated-by-source-network":       {Fields: []string{"source.network"}, History: 7 * day},
		"aws-s3-unauthenticated-denied":                  {Fields: []string{"source.address", bucket}, History: 7 * day},
		"aws-s3-unauthenticated-reads":                   {Fields: []string{"source.address"}, History: 7 * day},
	} {
		equal(t, name, preset(t, name).Text().NewTerms, &want)
	}
	for name, want := range map[string]wire.Policy{
		"Error":            {Threshold: 5, Period: 3 * 3600},
		"Insecure":         {Threshold: 1, Period: 12 * 3600},
		"Unauthenticated":  {Threshold: 1, Period: 3600},
		"UnknownRequester": {Threshold: 1, Period: 3600},
	} {
		r := preset(t, panther+name)
		equal(t, name, r.Policy(), want)
		equal(t, name+": dataset", r.Dataset(), schemas.S3Access)
		equal(t, name+": severity", r.Text().Severity, map[bool]string{true: "info", false: "low"}[name == "Error"])
		equal(t, name+": alert context", r.Info().Panther, true)
	}
	five, seven := preset(t, "aws-s3-unauthenticated-by-source-and-bucket-5d").Text(), preset(t, "aws-s3-unauthenticated-by-source-and-bucket-7d").Text()
	equal(t, "5 and 7 days look at the same", five.Query, seven.Query)
}

// The parameters that the comments of the files name can be set as they stand there.
func TestDocumentedPresetOverrides(t *testing.T) {
	for _, name := range builtin.Presets() {
		_, text, ok := builtin.Preset(name)
		if !ok {
			t.Fatal(name)
		}
		for line := range strings.Lines(string(text)) {
			var sets []string
			for _, part := range strings.Split(line, " --set ")[1:] {
				sets = append(sets, strings.ReplaceAll(strings.TrimSpace(part), "'", ""))
			}
			if strings.HasPrefix(line, "#") && len(sets) > 0 {
				load(t, rules.LoadOptions{Presets: []string{name}, Set: sets})
			}
		}
	}
}

// On the requests that a real open bucket got, presets find what counting by hand finds.
func TestPresetsOnHoneyBucket(t *testing.T) {
	for name, want := range map[string][2]int{ // matched, new
		"aws-s3-unauthenticated-by-source-and-bucket-5d": {128, 96},
		"aws-s3-unauthenticated-by-source-and-bucket-7d": {128, 92},
		"aws-s3-unauthenticated-by-source-network":       {128, 84},
		"aws-s3-unauthenticated-reads":                   {284, 230},
		"aws-s3-unauthenticated-denied":                  {0, 0},
	} {
		s := &seen{t: t, set: load(t, rules.LoadOptions{NoBuiltin: true, Presets: []string{name}}), terms: map[string]*wire.Term{}}
		s.readHoneyBucket("oldest-first", false)
		if got := [2]int{s.matched, s.fired}; got != want {
			t.Errorf("%s: %d matched and %d were new, want %d", name, got[0], got[1], want)
		}
	}
}

// What a preset of an access-log rule does not need from a record, it does not ask for: the requests of a line that
// breaks off behind its eighth field are judged all the same.
func TestPresetsJudgeBrokenLines(t *testing.T) {
	const line = `owner acme [06/Feb/2026:00:00:38 +0000] 203.0.113.7 - R1 REST.GET.OBJECT k "GET /k HTTP/1.1`
	set := load(t, rules.LoadOptions{NoBuiltin: true, Presets: builtin.Presets()})
	var ids []string
	d := schemas.NewDecoder(schemas.Config{Layout: set.Layout(), Filters: set.Filters()})
	d.Decode(schemas.Message{Value: []byte(line), Timestamp: 1_767_225_600_000, Now: 1_767_225_600_000}, sink{t, func(e *schemas.Event) {
		set.Match(e, func(r *rules.Rule, err error) {
			if err != nil {
				t.Error(err)
			}
			ids = append(ids, r.ID())
		})
	}})
	slices.Sort(ids)
	equal(t, "rules that match", ids, []string{panther + "Unauthenticated", panther + "UnknownRequester"})
}

type sink struct {
	t     *testing.T
	event func(*schemas.Event)
}

func (s sink) Event(e *schemas.Event)    { s.event(e) }
func (s sink) Dead(l schemas.DeadLetter) { s.t.Errorf("dead letter %s: %s", l.Reason, l.Detail) }
