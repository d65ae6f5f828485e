package rulefile

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// TestProblems has what people get wrong and what they are told. Every problem of a file is found at once.
func TestProblems(t *testing.T) {
	lists := map[string]string{"dir/networks.txt": "10.0.0.0/8\n\nnonsense\n2001:db8::1/32 # host bits\n"}
	readFile := func(name string) ([]byte, error) {
		if text, ok := lists[name]; ok {
			return []byte(text), nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	datadriven.RunTest(t, "testdata/problems.txt", func(t *testing.T, c *datadriven.TestData) string {
		text := c.Input + "\n"
		if c.Cmd == "rule" {
			for _, key := range []string{"id: r", "name: A rule", "dataset: aws.cloudtrail", "severity: low"} {
				if word, _, _ := strings.Cut(key, ":"); !strings.Contains("\n"+text, "\n"+word+":") {
					text += key + "\n"
				}
			}
		}
		f, err := Open("dir/rule.yaml", []byte(text))
		if err == nil {
			_, err = f.Rule(Options{ReadFile: readFile})
		}
		if err == nil {
			return "ok\n"
		}
		var errs Errors
		if !errors.As(err, &errs) {
			t.Fatalf("%T is no list of problems: %v", err, err)
		}
		return errs.Error() + "\n"
	})
}

// A problem in a query is shown where the query has it in the file, however YAML folds, indents and quotes it.
func TestPlaces(t *testing.T) {
	const mark = "@"
	for name, text := range map[string]string{
		"plain":             "query: aa bb @cc dd",
		"plain, folded":     "query: aa\n  bb\n\n  bb @cc\n  dd",
		"plain, next line":  "query:\n    aa\n    bb @cc dd",
		"literal":           "query: |\n  aa\n    bb\n\n  @cc dd\n",
		"literal, indented": "query: |2-\n    aa\n   bb\n     @cc dd\n",
		"literal, comment":  "query: | # why\n  aa\n  bb @cc dd\n",
		"folded":            "query: >-\n  aa\n  bb\n\n  bb @cc\n  dd\n",
		"folded, first":     "query: >-\n\n  @cc\n  dd\n",
		"single quotes":     "query: 'aa ''bb'' @cc dd'",
		"single, folded":    "query: 'aa ''bb''\n   é  @cc dd'",
		"double quotes":     `query: "aa \"bb\" \u00e9 \x41\\ @cc dd"`,
		"double, escaped":   `query: "aa\nbb\t@cc dd"`,
		"double, folded":    "query: \"aa \\\n    bb\\\n    \\ bb\n\n  é @cc dd\"",
		"characters":        "query: ééé “aa” @cc",
		"carriage returns":  "query: |\r\n  aa\r\n  bb @cc\r\n",
		"at the start":      "query: @cc",
		"flow":              "{query: aa @cc, id: x}",
	} {
		before, _, _ := strings.Cut(text, mark)
		lines := strings.Split(before, "\n")
		wantLine, wantCol := len(lines), len([]rune(lines[len(lines)-1]))+1

		f, err := Open("x", []byte(strings.Replace(text, mark, "", 1)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for key, value := range pairs(f.root) {
			if key.Value != "query" {
				continue
			}
			if line, col := f.src.at(value, strings.Index(value.Value, "cc")); line != wantLine || col != wantCol {
				t.Errorf("%s: at %d:%d, want %d:%d", name, line, col, wantLine, wantCol)
			}
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]int64{
		"90s": 90_000, "15m": 900_000, "12h": 43_200_000, "7d": 604_800_000, "36500d": longest,
		"": 0, "7": 0, "d": 0, "0d": 0, "-1d": 0, "+1d": 0, "1.5h": 0, "1h30m": 0, "7D": 0, "36501d": 0, "99999999999999999999s": 0, " 1s": 0,
	} {
		if got, err := ParseDuration(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestTemplates(t *testing.T) {
	for text, want := range map[string]Template{
		"plain":                 {{Text: "plain"}},
		"to [{bucket|<B>}]":     {{Text: "to ["}, {Text: "<B>", Field: "bucket", Offset: 5}, {Text: "]"}},
		"{a}{b|}":               {{Text: NoValue, Field: "a", Offset: 1}, {Field: "b", Offset: 4}},
		"{{literally}} {a|b|c}": {{Text: "{literally} "}, {Text: "b|c", Field: "a", Offset: 15}},
		"":                      nil,
	} {
		got, err := ParseTemplate(text)
		if err != nil || len(got) != len(want) {
			t.Errorf("%q: got %v, %v", text, got, err)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: got %+v, want %+v", text, got[i], want[i])
			}
		}
	}
	for text, offset := range map[string]int{"a {b": 2, "a } b": 2, "{a {b}}": 0, "{}": 1, "{|x}": 1, "{a b}": 1, "{a*}": 1, "x{": 1} {
		var at *TemplateError
		if _, err := ParseTemplate(text); !errors.As(err, &at) || at.Offset != offset {
			t.Errorf("%q: got %v, want an error at %d", text, err, offset)
		}
	}
	rapid.Check(t, func(t *rapid.T) { // any text can be a title that says just that
		text := rapid.String().Draw(t, "text")
		template, err := ParseTemplate(escapeTemplate(text))
		if err != nil || text != "" && (len(template) != 1 || template[0].Text != text) {
			t.Fatalf("%q: %v, %v", text, template, err)
		}
	})
}

func TestNearest(t *testing.T) {
	words := []string{"severity", "strict", "summary_attributes", "title"}
	for word, want := range map[string]string{
		"sevrity": "severity", "Severity": "severity", "severiyt": "severity", "tilte": "title", "summaryattributes": "summary_attributes",
		"colour": "", "": "", "x": "",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

const whole = `
id: r
name: A rule
version: 1.2
description: d
dataset: aws.s3access
query: 'bucket: "b"'
except: 'key: "k"'
allowlist: {field: remoteip, networks: [10.0.0.0/8], files: []}
new_terms: {fields: [source.address], history: 7d}
dedup: {by: [bucket], period: 1h}
threshold: 2
max_alerts: {count: 10, per: 5m}
mode: shadow
title: "{bucket}"
severity: low
risk_score: 1
threat: [{framework: f, tactic: {id: TA0001, name: n, reference: r}, techniques: [{id: T1000.001, name: n}]}]
tags: [t]
references: [r]
runbook: r
false_positives: [f]
summary_attributes: [key]
alert_context: panther
origin: {authors: [a], license: l, url: u, notes: n}
strict: {severity: high}
tests:
  - {Name: n, ExpectedResult: true, Log: {bucket: b}}
  - {name: n, log: {}, events: [{at: "2026-01-01T00:00:00Z"}, {after: 1s, log: {}}], alerts: [{event: 1, kind: open, title: t, terms: [t], count: 1}]}
`

func readWhole(t *testing.T, o Options, text string) *Rule {
	t.Helper()
	f, err := Open("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Rule(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStrictBlock(t *testing.T) {
	if r := readWhole(t, Options{}, whole); r.Severity != "low" {
		t.Errorf("not strict: severity %s", r.Severity)
	}
	if r := readWhole(t, Options{Strict: true}, whole); r.Severity != "high" {
		t.Errorf("strict: severity %s", r.Severity)
	}
}

func TestOverrides(t *testing.T) {
	set := func(t *testing.T, text string) Override {
		t.Helper()
		o, err := ParseOverride(text, []string{"r", "r.x", "other"})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	r := readWhole(t, Options{Strict: true, Overrides: []Override{
		set(t, "r.new_terms.history=30d"),
		set(t, "r.max_alerts=off"),
		set(t, "r.severity=critical"), // over the strict block
		set(t, "r.allowlist.networks=[192.0.2.0/24, '::1 expires=2026-12-31']"),
		set(t, `r.query="c" or bucket: c`), // taken as it is: not YAML
		set(t, "r.dedup.by=title"),
		set(t, "r.dedup.period=1m"),
		set(t, "r.dedup.period=2m"), // the last one counts
		set(t, "r.tags=[]"),
		set(t, "r.runbook=null"), // as if it were not there
		set(t, "other.severity=info"),
	}}, whole)
	if r.NewTerms.History != 30*86_400_000 || len(r.NewTerms.Fields) != 1 || r.MaxAlerts != nil || r.Severity != "critical" ||
		len(r.Allowlist.Networks) != 2 || r.Allowlist.Field != "remoteip" || r.Query != `*: "c" or bucket: "c"` ||
		len(r.Dedup.By) != 0 || r.Dedup.Period != 120_000 || len(r.Tags) != 0 || r.Runbook != "" {
		t.Errorf("got %+v", r)
	}
	bare := strings.Replace(whole, "dedup: {by: [bucket], period: 1h}\nthreshold: 2\n", "", 1)
	wide, narrow := set(t, "r.dedup={period: 9m}"), set(t, "r.dedup.period=1m")
	for _, c := range []struct {
		overrides []Override
		want      int64
	}{{[]Override{wide, narrow}, 60_000}, {[]Override{wide}, 540_000}, {[]Override{narrow, wide}, 540_000}, {[]Override{narrow}, 60_000}} {
		if r := readWhole(t, Options{Overrides: c.overrides}, bare); r.Dedup.Period != c.want {
			t.Errorf("period %d, want %d: overrides are not used up", r.Dedup.Period, c.want)
		}
	}
	if o := set(t, "r.x.severity=low"); o.Rule != "r.x" {
		t.Errorf("the longest id counts: got %q", o.Rule)
	}
	maps, err := MapOverrides("r", map[string]any{"new_terms": map[string]any{"history": "1d"}, "max_alerts.count": 7, "mode": "off"})
	if err != nil {
		t.Fatal(err)
	}
	r = readWhole(t, Options{Overrides: maps}, whole)
	if r.NewTerms.History != 86_400_000 || r.MaxAlerts.Count != 7 || r.MaxAlerts.Per != 300_000 || r.Mode != Off {
		t.Errorf("got %+v", r)
	}
}

func TestBadOverrides(t *testing.T) {
	for text, want := range map[string]string{
		"r.new_terms.history=30":       `--set r.new_terms.history:1:1: new_terms.history: "30" is no duration: write 90s, 15m, 12h or 7d`,
		"r.new_terms.histroy=30d":      `--set r.new_terms.histroy:1:1: unknown key "histroy" in new_terms (did you mean "history"?)`,
		"r.query=bucket: b and":        `--set r.query:1:14: query: the query ends after and (a value or a condition must follow)`,
		"r.tags=[a":                    `--set r.tags:2:1: YAML: did not find expected ',' or ']' while parsing a flow sequence`,
		"r.id=x":                       `--set r.id:1:1: id cannot be overridden`,
		"r.strict.severity=low":        `--set r.strict.severity:1:1: strict cannot be overridden`,
		"r.tests=[]":                   `--set r.tests:1:1: tests cannot be overridden`,
		"q.severity=low":               `--set q.severity: no rule with this id is loaded (did you mean "r.severity"?)`,
		"r.severity":                   `--set r.severity: want RULE.KEY=VALUE, like some-rule.new_terms.history=30d`,
		"r.allowlist.networks=1.2.3.4": `--set r.allowlist.networks:1:1: allowlist.networks: want a list, got text`,
	} {
		o, err := ParseOverride(text, []string{"r"})
		if err == nil {
			var f *File
			if f, err = Open("x", []byte(whole)); err == nil {
				_, err = f.Rule(Options{Overrides: []Override{o}})
			}
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func FuzzRule(f *testing.F) {
	f.Add(whole)
	f.Add("id: r\nname: n\ndataset: aws.cloudtrail\nseverity: low\nquery: \"event.action: \\\"é\\x41\\\n  \\\" and (\"\n")
	f.Add("id: r\nquery: >+\n\n  event.acton: x\n\n   y\ntitle: '{''a'\nstrict: {a: b}\n")
	f.Add("id: \"\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Open("x.yaml", []byte(text))
		if err != nil {
			return
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") + strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + 1
		rule, err := file.Rule(Options{})
		var errs Errors
		if err == nil {
			if rule.ID != file.ID {
				t.Fatalf("id %q and %q", rule.ID, file.ID)
			}
		} else if !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("%T: %v", err, err)
		}
		for _, p := range errs {
			if p.Line < 1 || p.Line > lines || p.Col < 1 {
				t.Fatalf("a problem at no place of the file: %v", p)
			}
		}
	})
}

// The published schema knows the keys that the decoder knows, and no others.
func TestSchemaHasTheKeys(t *testing.T) {
	text, err := os.ReadFile("../schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for name, def := range schema.Defs {
		if len(def.Properties) > 0 {
			want[name] = slices.Sorted(maps.Keys(def.Properties))
		}
	}
	f, err := Open("x", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	if _, problems := f.read(Options{}, false, got); len(problems) > 0 {
		t.Fatal(problems)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the decoder knows\n%v\nthe schema\n%v", got, want)
	}
}
