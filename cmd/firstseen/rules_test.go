package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/rules"
	"firstseen/rules/builtin"
)

// Loaded rules first, then the presets that could be; a preset that is named is a rule like the others.
func TestRulesList(t *testing.T) {
	const reads = "aws-s3-unauthenticated-reads"
	good := clitest.Write(t, "good.yaml", clitest.Rule)
	e := execute(t, nil, "rules", "list", "--rules", good, "--preset", reads, "--set", "acme.r1.mode=shadow", "--set", "acme.r1.threshold=4")
	if e.Code != cli.ExitOK || !strings.Contains(e.Stderr, "4 rules loaded, ruleset ") || !strings.Contains(e.Stderr, "8 presets available: name them") {
		t.Errorf("exit code %d, %s", e.Code, e.Stderr)
	}
	var got []string
	for line := range strings.Lines(e.Stdout) {
		got = append(got, strings.Join(strings.Fields(line)[:6], " "))
	}
	want := []string{
		"ID MODE DATASET KIND SEVERITY FILE",
		"AWS.S3.ServerAccess.IPWhitelist active aws.s3access allowlist medium builtin/aws_s3_access_ip_allowlist.yaml",
		"acme.r1 shadow aws.s3access threshold low " + good,
		"aws-s3-unauthenticated-bucket-access-by-rare-source active aws.cloudtrail new-terms medium builtin/aws_s3_unauthenticated_bucket_access_by_rare_source.yaml",
		reads + " active aws.cloudtrail new-terms medium builtin/presets/" + reads + ".yaml",
		"AWS.S3.ServerAccess.Error available aws.s3access threshold info builtin/presets/AWS.S3.ServerAccess.Error.yaml",
	}
	if len(got) != 4+len(builtin.Presets()) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}

	e = execute(t, nil, "rules", "list", "--json", "--no-builtin", "--preset", reads)
	var list struct {
		Ruleset string
		Rules   []ruleLine
	}
	if err := json.Unmarshal([]byte(e.Stdout), &list); err != nil || len(list.Ruleset) != 64 || len(list.Rules) != len(builtin.Presets()) {
		t.Fatalf("%v in %s", err, e.Stdout)
	}
	first := ruleLine{ID: reads, Mode: "active", Dataset: "aws.cloudtrail", Kind: "new-terms", Severity: "medium", Preset: true,
		Title: "{source.address|somebody} reads from S3 without credentials ({event.action})", File: "builtin/presets/" + reads + ".yaml"}
	if list.Rules[0] != first || list.Rules[1].Mode != available {
		t.Errorf("got %+v", list.Rules[:2])
	}
}

// What is shown is the rule that is loaded: read as a file, it has the same hash.
func TestRulesShow(t *testing.T) {
	const ip = "AWS.S3.ServerAccess.IPWhitelist"
	config := clitest.Write(t, "firstseen.yml", "strict: true\nrules: {presets: [aws-s3-unauthenticated-reads], overrides: {"+ip+": {dedup: {period: 2h}}}}\n")
	for _, id := range append(builtin.Presets(), ip, "aws-s3-unauthenticated-bucket-access-by-rare-source") {
		e := execute(t, nil, "rules", "show", "-c", config, "--set", id+`.query="x y" and not source.ip: 10.0.0.0/8`, "--set", id+".severity=critical", id)
		if e.Code != cli.ExitOK {
			t.Fatalf("exit code %d, %s", e.Code, e.Stderr)
		}
		shown := clitest.Write(t, "shown.yaml", e.Stdout)
		again := execute(t, nil, "rules", "show", "--strict", "--no-builtin", "--rules", shown, id)
		_, body, _ := strings.Cut(e.Stdout, "\n\n")
		if _, got, _ := strings.Cut(again.Stdout, "\n\n"); got != body || body == "" {
			t.Errorf("got\n%s%swant\n%s", got, again.Stderr, body)
		}
		for _, want := range []string{"# builtin/", "# changed by --set " + id + ".severity=critical\n", "# state ", "\nseverity: critical\n", "and not source.ip: 10.0.0.0/8"} {
			if !strings.Contains(e.Stdout, want) {
				t.Errorf("%s: no %q in\n%s", id, want, e.Stdout)
			}
		}
		if configured := strings.Contains(e.Stdout, "# changed by the configuration, rules.overrides: dedup\n"); configured != (id == ip) {
			t.Errorf("%s is changed by the configuration: %v", id, configured)
		}
	}
	if e := execute(t, nil, "rules", "show", "--schema"); e.Code != cli.ExitOK || e.Stdout != string(rules.Schema) {
		t.Errorf("the schema: exit code %d", e.Code)
	}
	for want, args := range map[string][]string{
		"which rule?": {},
		`no rule "aws-s3-unauthenticated-read" is loaded (did you mean "aws-s3-unauthenticated-reads"?)`: {"aws-s3-unauthenticated-read"},
		`no rule "acme.r1" is loaded`: {"acme.r1"},
	} {
		if e := execute(t, nil, append([]string{"rules", "show"}, args...)...); e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, want) {
			t.Errorf("%v: exit code %d, %s", args, e.Code, e.Stderr)
		}
	}
}

// A new rule is right as it stands, whatever kind it is of: nothing to warn about, and its tests pass.
func TestRulesNew(t *testing.T) {
	for _, kind := range []string{"new-terms", "allowlist", "query", "threshold"} {
		for _, dataset := range []string{"aws.cloudtrail", "aws.s3access"} {
			file := filepath.Join(t.TempDir(), "r.yaml")
			if e := execute(t, nil, "rules", "new", "acme.r_1-x", "--kind", kind, "--dataset", dataset, "-o", file); e.Code != cli.ExitOK ||
				!strings.Contains(e.Stderr, "wrote "+file) || !strings.Contains(e.Stderr, "rules show --schema > "+filepath.Join(filepath.Dir(file), schemaFile)) {
				t.Fatalf("%s, %s: exit code %d, %s", kind, dataset, e.Code, e.Stderr)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(text), "# yaml-language-server: $schema="+schemaFile+"\n") {
				t.Errorf("%s, %s: begins with %.60q", kind, dataset, text)
			}
			if e := execute(t, nil, "lint", file); e.Code != cli.ExitOK || e.Stdout != "" || e.Stderr != "1 rule checked, 0 warnings\n" {
				t.Errorf("%s, %s: lint: exit code %d, %s%s", kind, dataset, e.Code, e.Stdout, e.Stderr)
			}
			if e := execute(t, nil, "test", "--min-tests", "3", file); e.Code != cli.ExitOK || !strings.Contains(e.Stdout, "3 passed, 0 failed") {
				t.Errorf("%s, %s: test: exit code %d, %s%s", kind, dataset, e.Code, e.Stdout, e.Stderr)
			}
			set, _, err := rules.Load(rules.LoadOptions{Paths: []string{file}, NoBuiltin: true})
			if err != nil {
				t.Fatal(err)
			}
			if r := set.Rule("acme.r_1-x").Text(); kindOf(r) != kind || r.Dataset != dataset {
				t.Errorf("asked for %s of %s, got %s of %s", kind, dataset, kindOf(r), r.Dataset)
			}
		}
	}
}

func TestRulesNewOverwritesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	if e := execute(t, nil, "rules", "new", "acme.r1"); e.Code != cli.ExitOK {
		t.Fatal(e.Stderr)
	}
	if err := os.WriteFile("acme.r1.yaml", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := execute(t, nil, "rules", "new", "acme.r1")
	if text, err := os.ReadFile("acme.r1.yaml"); err != nil || string(text) != "mine" || e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "acme.r1.yaml is there already") {
		t.Errorf("exit code %d, %s; the file has %q, %v", e.Code, e.Stderr, text, err)
	}
	if e := execute(t, nil, "rules", "new", "007", "-o", "-"); e.Code != cli.ExitOK || !strings.Contains(e.Stdout, `id: "007"`) || !strings.Contains(e.Stdout, "lint 007.yaml") {
		t.Errorf("exit code %d, %s%s", e.Code, e.Stdout, e.Stderr)
	}
	for _, id := range []string{"a b", "../x", `"`, "#x"} {
		if e := execute(t, nil, "rules", "new", id); e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "letters, digits, dots") {
			t.Errorf("%q: exit code %d, %s", id, e.Code, e.Stderr)
		}
	}
}

// Presets can be named wherever rules can, in flags and in a configuration.
func TestPresetsAtTheCommandLine(t *testing.T) {
	config := clitest.Write(t, "firstseen.yml", "sources: [{topic: logs}]\nrules: {builtin: false, presets: [AWS.S3.ServerAccess.Insecure, AWS.S3.ServerAccess.Error]}\n")
	log := clitest.Write(t, "log", `owner acme [06/Feb/2026:00:00:38 +0000] 203.0.113.7 - R1 REST.GET.OBJECT k "GET /k HTTP/1.1" 200 - 1 1 1 1 "-" "curl/8" - hostid= - - - acme.s3.amazonaws.com - - -`+"\n")
	for _, c := range []struct {
		args []string
		code int
		want string // in stdout or stderr
	}{
		{[]string{"lint", "-c", config}, cli.ExitOK, "2 rules checked"},
		{[]string{"lint", "--preset", "AWS.S3.ServerAccess.Error"}, cli.ExitOK, "1 rule checked"},
		{[]string{"rules", "list", "-c", config}, cli.ExitOK, "2 rules loaded"},
		{[]string{"run", "-c", config, "--set", "rules.presets=AWS.S3.ServerAccess.Error", "--print-config"}, cli.ExitOK, "[AWS.S3.ServerAccess.Error]"},
		{[]string{"run", "-c", config, "--set", "rules.presets=AWS.S3.ServerAccess.Eror", "--print-config"}, cli.ExitUsage, `(did you mean "AWS.S3.ServerAccess.Error"?)`},
		{[]string{"scan", "--no-builtin", "--preset", "AWS.S3.ServerAccess.Insecure", "--output", "text", log}, cli.ExitOK, "Unencrypted access to S3 bucket acme"},
		{[]string{"scan", "--preset", "AWS.S3.ServerAccess.Insecur", log}, cli.ExitUsage, `(did you mean "AWS.S3.ServerAccess.Insecure"?)`},
	} {
		e := execute(t, nil, c.args...)
		if e.Code != c.code || !strings.Contains(e.Stdout+e.Stderr, c.want) {
			t.Errorf("%v: exit code %d, want %d; no %s in %s%s", c.args, e.Code, c.code, c.want, e.Stdout, e.Stderr)
		}
	}
	if e := execute(t, nil, "test"); e.Code != cli.ExitOK || !strings.Contains(e.Stdout, "PASS  aws-s3-unauthenticated-by-source-network/Addresses of one network are one source") {
		t.Errorf("the tests of the built-in rules and presets: exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
}
