package replay

import (
	"bytes"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/traffic"
)

// TestBootstrap teaches a deployment that has not begun: what is in its topics, and what is in a file. Then it reads all
// of the topics, and nothing in them is new.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	d := clitest.NewPast(t, clitest.Broker(t), "boot", traffic.NewTermsRule+".max_alerts=off")
	d.Produce(d.Inputs)
	says := func(code int, parts []string, args ...string) {
		t.Helper()
		e := execute(t, nil, append([]string{"bootstrap", "-c", d.File}, args...)...)
		for _, part := range parts {
			if e.Code != code || !strings.Contains(e.Stdout+e.Stderr, part) {
				t.Errorf("%v: exit code %d, want %d and %q\n%s%s", args, e.Code, code, part, e.Stdout, e.Stderr)
			}
		}
	}
	says(cli.ExitUsage, []string{"name either files, or with --from a range"})
	says(cli.ExitUsage, []string{"no rule with this id is loaded that remembers terms"}, "--from", "earliest", "--rule", traffic.AllowlistRule)
	says(cli.ExitOK, []string{"4,000 records read", "aws.cloudtrail: from ", "aws.s3access: from ", traffic.NewTermsRule + ": history begins "}, "--from", "earliest", "--to", "latest", "--set", "partitions=4")
	var file bytes.Buffer
	for _, r := range d.Inputs {
		if strings.HasSuffix(r.Topic, "-cloudtrail") {
			file.Write(append(r.Value, '\n'))
		}
	}
	says(cli.ExitOK, []string{"records read", "could not be read: 1: invalid_json"}, clitest.Write(t, "trail.json", file.String()+"{broken}\n"))
	d.Work(func() int { return d.Listed })
	if n := d.Count(); n != d.Listed {
		t.Errorf("%d alerts, want %d of the rule with the allowlist: all addresses had been taught", n, d.Listed)
	}
}
