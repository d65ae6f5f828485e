package rulefile

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// readBack reads what YAML wrote, and compares the canonical form.
func readBack(t interface {
	Helper()
	Fatalf(string, ...any)
}, r *Rule) *Rule {
	t.Helper()
	text, err := r.YAML()
	if err != nil {
		t.Fatalf("%v", err)
	}
	f, err := Open("written.yaml", text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	again, err := f.Rule(Options{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	want, err := json.Marshal(r)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if got, err := json.Marshal(again); err != nil || string(got) != string(want) {
		t.Fatalf("got\n%s\nwant\n%s\nfrom\n%s %v", got, want, text, err)
	}
	return again
}

func TestAWholeRuleIsWrittenAndRead(t *testing.T) {
	for _, set := range [][]string{nil, {"r.dedup=off", "r.threshold=1"}, {"r.dedup.by=title"}, {"r.max_alerts=null", "r.new_terms=null", "r.allowlist=null"},
		{"r.new_terms.history=90s", "r.dedup.period=36h", "r.max_alerts.per=61m", "r.allowlist.networks=[]"},
		{"r.allowlist.networks=['2001:db8::/32 expires=2026-12-31 owner=x # y', 10.0.0.1]"}} {
		var overrides []Override
		for _, text := range set {
			o, err := ParseOverride(text, []string{"r"})
			if err != nil {
				t.Fatal(err)
			}
			overrides = append(overrides, o)
		}
		readBack(t, readWhole(t, Options{Overrides: overrides}, whole))
	}
	text, err := readWhole(t, Options{}, whole).YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"id: r\nname: A rule\n", "fields: [source.address]\n  history: 7d\n", "by: [bucket]\n  period: 1h\n", "    - 10.0.0.0/8\n", "mode: shadow\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// Any text that a rule can have survives, whatever it looks like to YAML.
func TestTextsAreWrittenAndRead(t *testing.T) {
	odd := rapid.SampledFrom([]string{"007", "1.5", "null", "~", "true", "no", "2026-01-01", "<<", "- a", "a: b", "#x", "'", `"`, "{a}", "[a", "a\nb", "a\n\n  b", "|", "é\u0085x", "\u2028", "!!str x", "&a", "*a", "%a", "@", "`", "a #b", " a", "\ta", "a\tb", "a \n b", "=", "a\r\nb", "\ufeffa", "\U0001f600", "\x7f", "0x1f", "1e3", "1_000", ".inf", "0o7", "12:30:45"})
	text := rapid.OneOf(odd, rapid.StringN(1, 40, -1))
	trimmed := rapid.Custom(func(t *rapid.T) string {
		s := strings.TrimRight(text.Draw(t, "text"), " \t\r\n")
		if strings.TrimSpace(s) == "" {
			return "x"
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		r := readWholeQuietly(t)
		r.Name, r.Description, r.Version, r.Runbook = trimmed.Draw(t, "name"), trimmed.Draw(t, "description"), trimmed.Draw(t, "version"), trimmed.Draw(t, "runbook")
		r.Title = escapeTemplate(trimmed.Draw(t, "title"))
		r.Tags, r.FalsePositives = []string{trimmed.Draw(t, "tag")}, []string{trimmed.Draw(t, "a"), trimmed.Draw(t, "b")}
		readBack(t, r)
	})
}

func readWholeQuietly(t *rapid.T) *Rule {
	f, err := Open("x", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Rule(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFormatDuration(t *testing.T) {
	for ms, want := range map[int64]string{1000: "1s", 90_000: "90s", 60_000: "1m", 5_400_000: "90m", 7_200_000: "2h", 86_400_000: "1d", 129_600_000: "36h", longest: "36500d"} {
		got := FormatDuration(ms)
		if back, err := ParseDuration(got); got != want || err != nil || back != ms {
			t.Errorf("%d: got %s, which is %d (%v); want %s", ms, got, back, err, want)
		}
	}
}
