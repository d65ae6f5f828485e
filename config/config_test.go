package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// minimal is the least that a worker needs to be told.
const minimal = "sources: [{topic: trail}]\n"

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, env ...string) *Config {
	t.Helper()
	c, err := Load(Layers{File: write(t, "f.yml", text), Environ: env})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refused loads and returns the problems, with the file called f.yml.
func refused(t *testing.T, l Layers, text string) string {
	t.Helper()
	if text != "" {
		l.File = write(t, "f.yml", text)
	}
	_, err := Load(l)
	if problems := (Problems)(nil); !errors.As(err, &problems) {
		t.Fatalf("%q is not refused: %v", text, err)
	}
	return strings.ReplaceAll(err.Error(), filepath.Dir(l.File)+string(filepath.Separator), "")
}

func TestNothingSetIsTheDefault(t *testing.T) {
	want := Default()
	want.Sources = []Source{{Topic: "trail", Format: "auto"}}
	got := load(t, minimal)
	got.from = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestFileThenEnvironmentThenFlags(t *testing.T) {
	file := write(t, "f.yml", minimal+"app: file\ninstance: file\nstate: {dir: file, cache: 1GiB}\nbrokers: [a:1, b:2]\n")
	c, err := Load(Layers{
		File:    file,
		Environ: []string{"FIRSTSEEN_INSTANCE=env", "FIRSTSEEN_STATE_DIR=env", "FIRSTSEEN_BROKERS=c:3", "FIRSTSEEN_LANES=5", "FIRSTSEEN_LANES_GROUP=6", "PATH=/bin"},
		Flags:   map[string]string{"state.dir": "flag", "strict": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.App != "file" || c.Instance != "env" || c.State.Dir != "flag" || c.State.Cache != 1<<30 || !c.Strict {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.Brokers, []string{"c:3"}) {
		t.Errorf("brokers %v: a list is replaced, not added to", c.Brokers)
	}
	if c.Lanes != (Lanes{Ingest: 5, Detect: 5, Group: 6}) {
		t.Errorf("lanes %+v", c.Lanes)
	}
}

func TestListsAndMapsInTheEnvironment(t *testing.T) {
	c, err := Load(Layers{Environ: []string{
		"FIRSTSEEN_SOURCES=trail:cloudtrail, logs", "FIRSTSEEN_STAGES=ingest,group", "FIRSTSEEN_RULES_PATHS=[a, \"b,c\"]",
		"FIRSTSEEN_RULES_OVERRIDES={AWS.S3.ServerAccess.IPWhitelist: {threshold: 3}}", "FIRSTSEEN_APP={odd}",
	}})
	if c != nil || err == nil || !strings.Contains(err.Error(), `"{odd}"`) {
		t.Fatalf("a brace in a text is text: %v", err)
	}
	c, err = Load(Layers{Environ: []string{
		"FIRSTSEEN_SOURCES=trail:cloudtrail, logs", "FIRSTSEEN_STAGES=ingest,group", "FIRSTSEEN_RULES_PATHS=[a, \"b,c\"]",
		"FIRSTSEEN_RULES_OVERRIDES={AWS.S3.ServerAccess.IPWhitelist: {threshold: 3}}",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []Source{{"trail", "cloudtrail"}, {"logs", "auto"}}; !slices.Equal(c.Sources, want) {
		t.Errorf("sources %v", c.Sources)
	}
	if !slices.Equal(c.Stages, []string{"ingest", "group"}) || !slices.Equal(c.Rules.Paths, []string{"a", "b,c"}) {
		t.Errorf("stages %v, paths %v", c.Stages, c.Rules.Paths)
	}
	if got := c.Rules.Overrides["AWS.S3.ServerAccess.IPWhitelist"]["threshold"]; got != 3 {
		t.Errorf("override %v", got)
	}
}

// Presets are rules enough.
func TestPresetsWithoutTheBuiltinRules(t *testing.T) {
	c := load(t, minimal+"rules: {builtin: false}\n", "FIRSTSEEN_RULES_PRESETS=AWS.S3.ServerAccess.Error,aws-s3-unauthenticated-reads")
	if want := []string{"AWS.S3.ServerAccess.Error", "aws-s3-unauthenticated-reads"}; !slices.Equal(c.Rules.Presets, want) {
		t.Errorf("got %q, want %q", c.Rules.Presets, want)
	}
}

func TestProblemsHaveAPlaceAndASuggestion(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"aap: x\n", `f.yml:2:1: unknown key "aap" (did you mean "app"?)`},
		{"tls: {cafile: x}\n", `f.yml:2:7: unknown key "tls.cafile" (did you mean "tls.ca_file"?)`},
		{"password_file: x\n", `f.yml:2:1: unknown key "password_file" (did you mean "sasl.password_file"?)`},
		{"zzzzzz: 1\n", `f.yml:2:1: unknown key "zzzzzz"`},
		{"app: a\napp: b\n", "f.yml:3:1: app: is set twice, first in line 2"},
		{"---\napp: b\n", "f.yml: must be one YAML document"},
		{"<<: {app: x}\n", `f.yml:2:1: unknown key "<<"`},
		{"stages: [ingest, detekt]\n", `f.yml:2:18: stages: "detekt" is not one of ingest, detect, group (did you mean "detect"?)`},
		{"stages: ingest\n", "f.yml:2:9: stages: must be a list"},
		{"partitions: many\n", `f.yml:2:13: partitions: must be a whole number, is "many"`},
		{"partitions: 0\n", "f.yml:2:13: partitions: must be 1 to 10000, is 0"},
		{"strict: yes\n", `f.yml:2:9: strict: must be true or false, is "yes"`},
		{"purge_after: 1 hour\n", `f.yml:2:14: purge_after: "1 hour" is not a duration such as 90s, 15m, 12h or 7d`},
		{"bounds: {message_bytes: 64MB}\n", `bounds.message_bytes: "64MB" is not a size such as 1048576, 64KiB or 1MiB`},
		{"brokers:\n", "f.yml:2:9: brokers: must be a list"},
		{"app:\n", "f.yml:2:5: app: has no value: give one, or remove the key"},
		{"tls: on\n", "f.yml:2:6: tls: must have keys below it"},
		{"learning: {for: 7}\n", `f.yml:2:11: learning: for: "7" is not a duration such as 7d`},
		{"learning: {from: yesterday}\n", `f.yml:2:11: learning: from: "yesterday" is none of: earliest, latest, a time such as`},
		{"learning: {from: 2999-01-01T00:00:00Z}\n", "learning: from: 2999-01-01T00:00:00Z is in the future"},
		{"learning: {since: 7d}\n", `f.yml:2:11: learning: "since 7d" is not one of history, none, {from: ...}, {for: ...}`},
		{"learning: [7d]\n", "f.yml:2:11: learning: must be history, none, {from: ...} or {for: ...}"},
		{"learning: histroy\n", `(did you mean "history"?)`},
		{"lanes: {ingest: 65}\n", "f.yml:2:17: lanes.ingest: must be 1 to 64, is 65"},
		{"lanes: few\n", `f.yml:2:8: lanes: must be a whole number, is "few"`},
		{"app: a b\n", `f.yml:2:6: app: may have letters, digits, dots, underscores and dashes only, is "a b"`},
		{"brokers: [kafka:port]\n", `f.yml:2:10: brokers: "kafka:port" has no port number from 1 to 65535`},
		{"http: {listen: \"9480\"}\n", `http.listen: must be host:port or off, is "9480"`},
		{"rules: {builtin: false}\n", "rules.paths: is empty and rules.builtin is false: there would be no rules"},
		{"rules: {presets: [aws-s3-unauthenticated-reads, aws-s3-unauthenticated-denid]}\n", `f.yml:2:49: rules.presets: "aws-s3-unauthenticated-denid" is not one of `},
		{"rules: {presets: [aws-s3-unauthenticated-denid]}\n", `(did you mean "aws-s3-unauthenticated-denied"?)`},
		{"rules: {presets: [AWS.S3.ServerAccess.Error, AWS.S3.ServerAccess.Error]}\n", "f.yml:2:18: rules.presets: names a preset twice"},
		{"rules: {set: [threshold]}\n", `rules.set: must be RULE.KEY=VALUE, is "threshold"`},
		{"rules: {overrides: [x]}\n", "rules.overrides: must be rule ids with the parameters to change below each"},
		{"replication_factor: 0\n", "must be -1 (the broker's default) or 1 to 100, is 0"},
		{"commit: {transaction_timeout: 50s}\n", "is 50s and must be below commit.session_timeout, 45s"},
		{"commit: {every: 1m}\n", "commit.every: must be 5ms to 10s, is 1m"},
		{"state: {memtable: 1MiB}\n", "state.memtable: must be 16MiB to 1GiB, is 1MiB"},
		{"stop: leave it\n", `stop: "leave it" is not one of keep, leave`},
		{"tls: {ca_file: x}\n", "tls.ca_file: is set but tls.enabled is not true"},
		{"tls: {enabled: true, cert_file: x}\n", "tls.cert_file: and tls.key_file belong together"},
		{"sasl: {mechanism: scram-sha-256}\n", `(did you mean "SCRAM-SHA-256"?)`},
		{"sasl: {mechanism: PLAIN}\n", "sasl.username: is needed with PLAIN"},
		{"sasl: {mechanism: PLAIN, username: a, password: b, password_file: c}\n", "sasl.password: and sasl.password_file are both set"},
		{"sasl: {mechanism: OAUTHBEARER, token: a, username: b}\n", "sasl.username: has no effect with sasl.mechanism OAUTHBEARER"},
		{"sasl: {mechanism: AWS_MSK_IAM, access_key: a}\n", "sasl.access_key: and sasl.secret_key or secret_key_file belong together"},
		{"sasl: {password: a}\n", "sasl.password: has no effect with sasl.mechanism none"},
		{"\tapp: x\n", "f.yml:2: found character that cannot start any token"},
		{"app: [\n", "f.yml:3: did not find expected node content"},
	} {
		if got := refused(t, Layers{}, minimal+c.text); !strings.Contains(got, c.want) {
			t.Errorf("%q:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestSourcesAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "sources: is empty: name at least one topic with logs, or leave ingest out of stages",
		"sources: [trail]\n":                     "f.yml:1:11: sources: each source must have a topic",
		"sources: [{format: auto}]\n":            "sources: a source needs a topic",
		"sources: [{topik: a}]\n":                `f.yml:1:12: sources: a source has no key "topik" (did you mean "topic"?)`,
		"sources: [{topic: a b}]\n":              `topic may have letters`,
		"sources: [{topic: a, format: cloud}]\n": `f.yml:1:30: sources: format: "cloud" is not one of auto, cloudtrail, s3access`,
		"sources: [{topic: a}, {topic: a}]\n":    `topic "a" is named twice`,
		"sources: [{topic: firstseen.alerts}]\n": `is one of the worker's own`,
	} {
		if got := refused(t, Layers{}, text+"# end\n"); !strings.Contains(got, want) {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
	load(t, "stages: [detect, group]\n") // needs no source
}

func TestAllProblemsAreReported(t *testing.T) {
	got := refused(t, Layers{Environ: []string{"FIRSTSEEN_ENSTANCE=x", "FIRSTSEEN_PARTITIONS=x"}, Flags: map[string]string{"stagse": "ingest"}}, minimal+"aap: x\nstop: never\n")
	for _, want := range []string{
		`f.yml:2:1: unknown key "aap"`, "f.yml:3:7: stop:", `environment FIRSTSEEN_ENSTANCE: no such key (did you mean "FIRSTSEEN_INSTANCE"?)`,
		"environment FIRSTSEEN_PARTITIONS: partitions: must be a whole number", `command line: no such key "stagse" (did you mean "stages"?)`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nis not in\n%s", want, got)
		}
	}
}

// In Kubernetes every container gets variables for a service that happens to be called firstseen.
func TestServiceVariablesAreNoConfiguration(t *testing.T) {
	load(t, minimal, "FIRSTSEEN_SERVICE_HOST=10.1.2.3", "FIRSTSEEN_SERVICE_PORT=9480", "FIRSTSEEN_SERVICE_PORT_METRICS=9480", "FIRSTSEEN_PORT=tcp://10.1.2.3:9480",
		"FIRSTSEEN_PORT_9480_TCP=tcp://10.1.2.3:9480", "FIRSTSEEN_PORT_9480_TCP_ADDR=10.1.2.3", "FIRSTSEEN_CONFIG=f.yml")
}

func TestMissingFileIsNamed(t *testing.T) {
	if _, err := Load(Layers{File: "no/such.yml"}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "no/such.yml") {
		t.Error(err)
	}
}

func TestBaseIsNotChanged(t *testing.T) {
	base := Default()
	base.Sources = []Source{{"a", "auto"}}
	c, err := Load(Layers{Base: base, Flags: map[string]string{"sources": "b", "app": "x"}})
	if err != nil || c.Sources[0].Topic != "b" || base.Sources[0].Topic != "a" || base.App != "firstseen" {
		t.Errorf("%v: loaded %+v, base %+v", err, c, base)
	}
}

func TestWarnings(t *testing.T) {
	const plain = minimal + "sasl: {mechanism: PLAIN, username: a, password: b}\n"
	if w := load(t, plain+"brokers: [kafka:9092]\nhttp: {listen: \":9480\"}\n").Warnings(); len(w) != 2 || !strings.Contains(w[0], "PLAIN without tls.enabled") || !strings.Contains(w[1], "http.listen") {
		t.Errorf("%q", w)
	}
	if w := load(t, plain+"brokers: [localhost:9092, \"[::1]:9092\"]\n").Warnings(); len(w) != 0 {
		t.Errorf("loopback: %q", w)
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "15m": 15 * time.Minute, "12h": 12 * time.Hour, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "100ms": 100 * time.Millisecond} {
		if d, err := ParseDuration(text); err != nil || time.Duration(d) != want {
			t.Errorf("%s is %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "7", "-1s", "d", "1w", "1d-1h", "1.5d"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
	for text, want := range map[string]Size{"0": 0, "1": 1, "64KiB": 64 << 10, "1 MiB": 1 << 20, "2GiB": 2 << 30} {
		if s, err := ParseSize(text); err != nil || s != want {
			t.Errorf("%s is %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "-1", "1MB", "MiB", "9223372036854775807GiB"} {
		if s, err := ParseSize(text); err == nil {
			t.Errorf("%q is %v", text, s)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, int64(1000*24*time.Hour)).Draw(t, "duration"))
		if got, err := ParseDuration(d.String()); err != nil || got != d {
			t.Errorf("%d printed %s, read %d, %v", d, d, got, err)
		}
		s := Size(rapid.Int64Range(0, 1<<50).Draw(t, "size"))
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Errorf("%d printed %s, read %d, %v", s, s, got, err)
		}
	})
}

func TestLearning(t *testing.T) {
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text, word string
		at         time.Time
	}{
		{"", "history", time.Time{}},
		{"learning: none\n", "none", time.Time{}},
		{"learning: {from: earliest}\n", "earliest", time.Time{}},
		{"learning: {from: latest}\n", "latest", time.Time{}},
		{"learning: from 36h\n", "since", now.Add(-36 * time.Hour)},
		{"learning: {from: 2026-03-01T00:00:00Z}\n", "since", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
		{"learning: {for: 7d}\n", "for", now.AddDate(0, 0, 7)},
	} {
		word, at, err := load(t, minimal+c.text).Learning.Decide(now)
		if err != nil || word != c.word || !at.Equal(c.at) {
			t.Errorf("%q: %s %s, %v", c.text, word, at, err)
		}
	}
	for _, text := range []string{"{from: 30d}", "from 30d"} {
		if l := load(t, minimal, "FIRSTSEEN_LEARNING="+text).Learning; l != "from 30d" {
			t.Errorf("%s: %q", text, l)
		}
	}
}
