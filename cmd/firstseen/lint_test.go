package main

import (
	"path/filepath"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
)

// Everything that is wrong is listed at once, where it is and what was probably meant.
func TestLint(t *testing.T) {
	good := clitest.Write(t, "good.yaml", clitest.Rule)
	bad := clitest.Write(t, "bad.yaml", strings.NewReplacer("severity: low", "severty: low", "acme.r1", "acme.r2", "bucket:", "buckt:").Replace(clitest.Rule))
	poor := clitest.Write(t, "poor.yaml", strings.Split(strings.Replace(clitest.Rule, "Read of {bucket}", "Read", 1), "tests:")[0])
	config := clitest.Write(t, "firstseen.yml", "sources: [{topic: logs}]\nrules:\n  paths: ["+good+"]\n  overrides: {acme.r1: {severity: high}}\n")
	badConfig := clitest.Write(t, "bad.yml", "sources: [{topic: logs}]\nstat: {dir: x}\nrules:\n  paths: ["+good+"]\n")
	badOverride := clitest.Write(t, "override.yml", "sources: [{topic: logs}]\nrules:\n  overrides: {acme.r1: {severity: high}}\n")
	for _, c := range []struct {
		args   []string
		code   int
		stdout []string
		stderr string
	}{
		{nil, cli.ExitOK, nil, "2 rules checked, 0 warnings\n"},
		{[]string{good}, cli.ExitOK, nil, "1 rule checked, 0 warnings\n"},
		{[]string{filepath.Dir(good)}, cli.ExitOK, nil, "1 rule checked, 0 warnings\n"},
		{[]string{poor}, cli.ExitOK, []string{
			poor + ": warning: rule acme.r1: it dedups by a title that is always the same: one alert a period for the whole rule",
			poor + ": warning: rule acme.r1: it has no tests",
		}, "1 rule checked, 2 warnings\n"},
		{[]string{good, bad}, cli.ExitUsage, []string{
			bad + `:5:9: query: unknown field "buckt" (did you mean "bucket"?)`,
			bad + `:8:1: unknown key "severty" in rule (did you mean "severity"?)`,
		}, " errors\n"},
		{[]string{"missing.yaml"}, cli.ExitUsage, []string{"missing.yaml: no such file"}, "1 error\n"},
		{[]string{"-c", config}, cli.ExitOK, nil, "3 rules checked, 0 warnings\n"},
		{[]string{"-c", config, poor}, cli.ExitOK, []string{"it has no tests"}, "4 rules checked, 2 warnings\n"},
		{[]string{"-c", badConfig, "-c", badOverride}, cli.ExitUsage, []string{
			badConfig + `:2:1: unknown key "stat" (did you mean "state"?)`,
			"override acme.r1: no rule with this id is loaded",
		}, "2 errors\n"},
	} {
		e := execute(t, nil, append([]string{"lint"}, c.args...)...)
		if e.Code != c.code || !strings.HasSuffix(e.Stderr, c.stderr) {
			t.Errorf("lint %v: exit code %d, want %d; %s, want %s", c.args, e.Code, c.code, e.Stderr, c.stderr)
		}
		for _, want := range c.stdout {
			if !strings.Contains(e.Stdout, want) {
				t.Errorf("lint %v does not say %s:\n%s", c.args, want, e.Stdout)
			}
		}
		if c.stdout == nil && e.Stdout != "" {
			t.Errorf("lint %v says %s", c.args, e.Stdout)
		}
	}
}
