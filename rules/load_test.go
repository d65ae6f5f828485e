package rules

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"firstseen/rules/builtin"
)

const (
	rareSource = "aws-s3-unauthenticated-bucket-access-by-rare-source"
	ipList     = "AWS.S3.ServerAccess.IPWhitelist"
)

func mustLoad(t *testing.T, o LoadOptions) *Set {
	t.Helper()
	s, _, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write puts files into a new directory and returns it. Names and texts alternate.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const listRule = "id: list\nname: List\ndataset: aws.s3access\nseverity: low\n"

func TestWhichRulesAreLoaded(t *testing.T) {
	dir := write(t, "a.yaml", listRule, "deep/b.yml", strings.Replace(listRule, "id: list", "id: other", 1),
		"notes.txt", "not a rule", ".hidden/c.yaml", "not: a rule", "d.json", "{}")
	ids := func(o LoadOptions) (ids []string) {
		for _, r := range mustLoad(t, o).Rules() {
			ids = append(ids, r.ID())
		}
		return ids
	}
	for _, c := range []struct {
		o    LoadOptions
		want string
	}{
		{LoadOptions{}, ipList + " " + rareSource},
		{LoadOptions{Paths: []string{dir}}, ipList + " " + rareSource + " list other"},
		{LoadOptions{Paths: []string{dir}, NoBuiltin: true}, "list other"},
		{LoadOptions{Paths: []string{filepath.Join(dir, "deep/b.yml")}, NoBuiltin: true}, "other"},
		{LoadOptions{NoBuiltin: true}, ""},
	} {
		if got := strings.Join(ids(c.o), " "); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.o, got, c.want)
		}
	}

	mine := write(t, "mine.yaml", strings.Replace(listRule, "id: list", "id: "+ipList, 1))
	if r := mustLoad(t, LoadOptions{Paths: []string{mine}}).Rule(ipList); r.Text().Name != "List" || r.File() != filepath.Join(mine, "mine.yaml") {
		t.Errorf("a file with the id of a built-in rule replaces it: got %q from %s", r.Text().Name, r.File())
	}
}

// Every problem of every file and override is found in one go.
func TestLoadErrors(t *testing.T) {
	dir := write(t, "a.yaml", listRule, "b.yaml", listRule, "c.yaml", "id: c\nallowlist: {field: remoteip, files: [l.txt]}\n", "l.txt", "10.0.0.0/8\n10.0.0.1/8\n")
	_, _, err := Load(LoadOptions{
		Paths:     []string{dir, filepath.Join(dir, "gone")},
		Set:       []string{"lst.severity=high", "AWS.S3.ServerAccess.IPWhitlist.threshold=2"},
		Overrides: map[string]map[string]any{"lists": {"severity": "high"}, ipList: {"dedup": map[string]any{"period": "1w"}}},
	})
	want := strings.ReplaceAll(`--set AWS.S3.ServerAccess.IPWhitlist.threshold: no rule with this id is loaded (did you mean "AWS.S3.ServerAccess.IPWhitelist.threshold"?)
--set lst.severity: no rule with this id is loaded (did you mean "list.severity"?)
DIR/b.yaml:1:5: the id list is also that of the rule in DIR/a.yaml
DIR/c.yaml:1:1: rule: "dataset" is missing
DIR/c.yaml:1:1: rule: "name" is missing
DIR/c.yaml:1:1: rule: "severity" is missing
DIR/l.txt:2:1: allowlist: "10.0.0.1/8" has host bits set (did you mean "10.0.0.0/8"?)
override AWS.S3.ServerAccess.IPWhitelist.dedup: dedup.period: "1w" is no duration: write 90s, 15m, 12h or 7d
override lists: no rule with this id is loaded (did you mean "list"?)
rules: stat DIR/gone: no such file or directory; paths are relative to the working directory`, "DIR", dir)
	if got := strings.Join(sortedLines(err), "\n"); got != strings.Join(sortedText(want), "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// One meaning, one hash: whatever the files are called, in which order they come, and how YAML is written.
func TestHashIsOfTheMeaning(t *testing.T) {
	want := mustLoad(t, LoadOptions{})
	entries, err := builtin.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var rewritten []string
	for i, entry := range entries {
		text, err := builtin.Files.ReadFile(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		var rule map[string]any
		if err := yaml.Load(text, &rule); err != nil {
			t.Fatal(err)
		}
		delete(rule, "tests")
		if text, err = yaml.Dump(rule, yaml.WithIndent(7)); err != nil { // keys sorted, no comments, other quotes
			t.Fatal(err)
		}
		rewritten = append(rewritten, string('z'-rune(i))+".yaml", string(text))
	}
	for _, strict := range []bool{false, true} {
		want := mustLoad(t, LoadOptions{Strict: strict})
		got := mustLoad(t, LoadOptions{Paths: []string{write(t, rewritten...)}, NoBuiltin: true, Strict: strict})
		if got.Hash() != want.Hash() {
			t.Errorf("strict=%v: the rewritten files have another hash:\n%s\n%s", strict, got.Encode(), want.Encode())
		}
		decoded, err := Decode(want.Encode())
		if err != nil || decoded.Hash() != want.Hash() || !bytes.Equal(decoded.Encode(), want.Encode()) || decoded.Strict() != strict {
			t.Errorf("strict=%v: decoded it is another set (%v)", strict, err)
		}
		for i, r := range decoded.Rules() {
			if o := want.Rules()[i]; r.State() != o.State() || r.Policy() != o.Policy() || r.Info().NetworksVersion != o.Info().NetworksVersion {
				t.Errorf("strict=%v: decoded rule %s differs", strict, r.ID())
			}
		}
	}

	same := []string{
		"allowlist: {field: remoteip, networks: [10.0.0.0/8, '2001:db8::/32 expires=2026-12-31']}\nquery: 'bucket: \"b\" and key: \"k\"'\ndedup: {period: 60m}\n",
		"query: |\n  bucket:   b\n    AND key: \"k\"\ndedup: {by: title, period: 1h}\nallowlist:\n  files: [l.txt]\n  field: remoteip\n",
		"allowlist: {field: remoteip, files: [l.txt], networks: ['::ffff:10.0.0.0/104']}\nquery: bucket{key}\nthreshold: 1\nmode: active\ndedup: {period: 3600s}\n",
	}
	lists := "# ours\n2001:0DB8::/32 expires=2027-01-01T00:00:00Z\n10.0.0.0/8\n10.0.0.0/8 expires=2020-01-01\n"
	same[2] = strings.Replace(same[2], "bucket{key}", `'(bucket: ("b")) and (key: k)'`, 1)
	var first *Set
	for _, text := range same {
		s := mustLoad(t, LoadOptions{Paths: []string{filepath.Join(write(t, "r.yaml", listRule+text, "l.txt", lists), "r.yaml")}, NoBuiltin: true})
		if first == nil {
			first = s
		}
		if s.Hash() != first.Hash() {
			t.Errorf("another hash:\n%s\n%s", first.Encode(), s.Encode())
		}
	}
	for _, text := range []string{ipList + ".allowlist.networks=[10.0.0.0/9]", ipList + ".mode=shadow", rareSource + ".runbook=x", rareSource + ".new_terms.history=8d"} {
		if mustLoad(t, LoadOptions{Set: []string{text}}).Hash() == want.Hash() {
			t.Errorf("%s does not change the hash", text)
		}
	}
	if mustLoad(t, LoadOptions{Strict: true}).Hash() == want.Hash() {
		t.Error("strict does not change the hash")
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := string(mustLoad(t, LoadOptions{}).Encode())
	for name, c := range map[string]struct{ text, want string }{
		"a newer format":   {strings.Replace(good, `"format":1`, `"format":2`, 1), "upgrade this worker"},
		"an unknown field": {strings.Replace(good, `"name":`, `"nom":`, 1), "unknown field"},
		"a bad query":      {strings.Replace(good, `"query":"`, `"query":"( `, 1), "query"},
		"a bad network":    {strings.Replace(good, `"10.0.0.0/8"`, `"10.0.0.1/8"`, 1), "host bits"},
		"a null rule":      {`{"format":1,"rules":[null]}`, "null"},
		"something behind": {good + "{}", "decode rules"},
		"nothing":          {"", "decode rules"},
	} {
		if _, err := Decode([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestLint(t *testing.T) {
	messages := func(text string) string {
		s, _, err := Load(LoadOptions{Paths: []string{filepath.Join(write(t, "r.yaml", "id: r\nname: R\nseverity: low\n"+text), "r.yaml")}, NoBuiltin: true})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, w := range Lint(s) {
			b.WriteString(w.Message + "\n")
		}
		return b.String()
	}
	for text, want := range map[string][]string{
		"dataset: aws.s3access\nquery: 'bucket: \"a*\"'\nexcept: 'bucket: \"a*\"'\n": {`bucket is compared with "a*", star and all`, "nothing can match"},
		"dataset: aws.s3access\n": {"every record is a match", "every match is an alert", "no tests"},
		"dataset: aws.s3access\nallowlist: {field: remoteip}\ndedup: {period: 1h}\n": {"the allowlist is empty", "always the same"},
		"dataset: aws.s3access\nallowlist: {field: remoteip, networks: [0.0.0.0/0 expires=2026-01-01, 10.0.0.0/8 expires=2026-06-01, 10.1.0.0/16 expires=2026-02-01, 11.0.0.0/8, 10.2.0.0/16 expires=2026-07-01]}\n": {"0.0.0.0/0 allows every address", "10.1.0.0/16 expires=2026-02-02T00:00:00Z is inside 10.0.0.0/8"},
		"dataset: aws.cloudtrail\nquery: 'not event.action: GetObject'\nnew_terms: {fields: [source.address], history: 7d}\n":                                                                                        {"every record must be parsed"},
	} {
		got := messages(text)
		if strings.Count(got, "is inside") > 1 {
			t.Errorf("%s: an entry that outlives those around it is not idle:\n%s", text, got)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no warning %q in\n%s", text, w, got)
			}
		}
	}
	_, warnings, err := Load(LoadOptions{Set: []string{ipList + ".allowlist.networks=[]"}})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].String(), "builtin/aws_s3_access_ip_allowlist.yaml: rule "+ipList+": the allowlist is empty") {
		t.Errorf("got %v, %v", warnings, err)
	}
}

func sortedLines(err error) []string {
	if err == nil {
		return nil
	}
	return sortedText(err.Error())
}
