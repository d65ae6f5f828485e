package rules

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const counted = `
id: counted
name: Counted
version: 1
dataset: aws.cloudtrail
query: 'event.action: "GetObject"'
new_terms: {fields: [source.address], history: 7d}
severity: low
`

func publishedOf(t *testing.T, s *Set) *Published {
	t.Helper()
	p, err := ReadPublished(s.Publish())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func loadText(t *testing.T, text string, set ...string) *Set {
	t.Helper()
	return mustLoad(t, LoadOptions{Paths: []string{filepath.Join(write(t, "rule.yaml", text), "rule.yaml")}, NoBuiltin: true, Set: set})
}

// Texts go through as they are; networks do not, only what tells lists apart.
func TestPublishedTexts(t *testing.T) {
	var networks strings.Builder
	for n := range 50_000 {
		fmt.Fprintf(&networks, "10.%d.%d.0/24\n198.18.%d.%d/32\n", n%256, n/256, n%256, n/256)
	}
	list := filepath.Join(write(t, "list.txt", networks.String()), "list.txt")
	s := mustLoad(t, LoadOptions{Set: []string{"AWS.S3.ServerAccess.IPWhitelist.allowlist.files=[" + list + "]"}})
	text := s.Publish()
	if len(text) > 16<<10 {
		t.Errorf("%d bytes are published", len(text))
	}
	p := publishedOf(t, s)
	if len(p.Rules()) != len(s.Rules()) {
		t.Fatalf("%d rules published, %d read", len(s.Rules()), len(p.Rules()))
	}
	for _, r := range s.Rules() {
		got := p.Rule(r.ID())
		if fmt.Sprint(got.Info()) != fmt.Sprint(r.Info()) || got.State() != r.State() || got.Mode() != r.Mode() {
			t.Errorf("%s: %+v, want %+v", r.ID(), got.Info(), r.Info())
		}
	}
	if version := p.Rule("AWS.S3.ServerAccess.IPWhitelist").Info().NetworksVersion; version == publishedOf(t, mustLoad(t, LoadOptions{})).Rule("AWS.S3.ServerAccess.IPWhitelist").Info().NetworksVersion {
		t.Errorf("two lists have the version %s", version)
	}
	if !bytes.Equal(text, s.Publish()) {
		t.Error("the same rules are published in two ways")
	}
}

func TestRecorded(t *testing.T) {
	p := publishedOf(t, loadText(t, counted))
	for _, test := range []struct {
		change          string // RULE.KEY=VALUE
		recorded, known bool
	}{
		{"counted.severity=high", true, true},
		{"counted.title=x", true, true},
		{"counted.max_alerts.count=3", true, true},
		{"counted.mode=shadow", true, true},
		{"counted.new_terms.history=6d", true, true},
		{"counted.new_terms.history=8d", false, true},
		{`counted.query=event.action: "PutObject"`, false, true},
		{`counted.except=event.action: "PutObject"`, false, true},
		{"counted.new_terms.fields=[source.address, user.name]", false, false},
	} {
		r := loadText(t, counted, test.change).Rule("counted")
		if p.Recorded(r) != test.recorded || p.Known(r) != test.known {
			t.Errorf("%s: recorded %v, known %v", test.change, p.Recorded(r), p.Known(r))
		}
	}
	now := loadText(t, counted).Rule("counted")
	for _, before := range []*Set{loadText(t, counted, "counted.mode=off"), mustLoad(t, LoadOptions{})} {
		if p := publishedOf(t, before); p.Recorded(now) || p.Known(now) {
			t.Error("a rule that was off, or not there, has recorded something")
		}
	}
}

func TestReadPublishedRefuses(t *testing.T) {
	zipped := func(text string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	good := loadText(t, counted).Publish()
	for text, want := range map[string]string{
		"{}":                                          "unexpected EOF",
		string(good[:len(good)-9]):                    "unexpected EOF",
		string(zipped(`{"format":2}`)):                "upgrade this worker",
		string(zipped(`{"format":1,"more":1}`)):       "more",
		string(zipped(`{"format":1}{}`)):              "after top-level value",
		string(zipped(`{"format":1,"rules":[null]}`)): "null",
	} {
		if _, err := ReadPublished([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}
