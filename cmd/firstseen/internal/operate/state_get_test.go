package operate

import (
	"path/filepath"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/cmd/firstseen/internal/scan"
)

// Of rules that a directory's scan had and state get has not, terms have no name; a rule that nobody knows is refused.
func TestStateGetRules(t *testing.T) {
	execute := func(args ...string) clitest.Execution {
		return clitest.Execute(t, &struct {
			Scan  scan.Command `cmd:""`
			State State        `cmd:""`
		}{}, nil, args...)
	}
	dir := filepath.Join(t.TempDir(), "state")
	rule := clitest.Write(t, "terms.yaml", "id: acme.terms\nname: T\ndataset: aws.cloudtrail\nseverity: low\nquery: 'event.action: GetObject'\nnew_terms: {fields: [event.id], history: 7d}\n")
	e := execute("scan", clitest.Now, "--rules", rule, "--preset", "aws-s3-unauthenticated-reads", "--state", dir, clitest.Write(t, "log", clitest.AnonymousRead("e1", "203.0.113.7", "2026-01-02T00:00:00Z")+"\n"))
	if e.Code != cli.ExitOK {
		t.Fatalf("scan: exit code %d\n%s", e.Code, e.Stderr)
	}
	clitest.Alerts(t, e.Stdout)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"e1", cli.ExitOK, "(gone, or not given with --rules; state "},
		{"--rules " + rule + " e1", cli.ExitOK, "e1     acme.terms  2026-01-02T00:00:00Z"},
		{"--rules " + rule + " --rule acme.terms e1", cli.ExitOK, "e1     acme.terms  2026-01-02T00:00:00Z"},
		{"--preset aws-s3-unauthenticated-reads --rule aws-s3-unauthenticated-reads 203.0.113.7", cli.ExitOK, "203.0.113.7  aws-s3-unauthenticated-reads  "},
		{"--rules " + rule + " --rule acme.term e1", cli.ExitUsage, `--rule acme.term: no such rule (did you mean "acme.terms"?); a rule of a file of yours needs --rules PATH`},
		{"--rule acme.terms e1", cli.ExitUsage, "--rule acme.terms: no such rule; a rule of a file of yours needs --rules PATH"},
		{"--rule aws-s3-unauthenticated-reads 203.0.113.7", cli.ExitUsage, "no such rule is loaded; it is a preset: add --preset aws-s3-unauthenticated-reads"},
		{"--rule " + clitest.IPListRule + " 203.0.113.7", cli.ExitUsage, "the rule has no new_terms"},
	} {
		e := execute(append([]string{"state", "get", "--state", dir}, strings.Fields(c.args)...)...)
		if e.Code != c.code || !strings.Contains(e.Stdout+e.Stderr, c.says) {
			t.Errorf("state get %s: exit code %d\n%s%swant %d, %s", c.args, e.Code, e.Stdout, e.Stderr, c.code, c.says)
		}
	}
}
