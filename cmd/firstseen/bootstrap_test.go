package main

import (
	"bytes"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/traffic"
)

// TestBootstrap teaches a deployment that has not begun: what is in its topics, and what is in a file. Then it reads all
// of the topics, and nothing in them is new.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	d := deploy(t, embeddedBroker(t), "boot", traffic.NewTermsRule+".max_alerts=off")
	d.produce(d.inputs)
	says := func(code int, parts []string, args ...string) {
		t.Helper()
		e := execute(t, nil, append([]string{"bootstrap", "-c", d.file}, args...)...)
		for _, part := range parts {
			if e.code != code || !strings.Contains(e.stdout+e.stderr, part) {
				t.Errorf("%v: exit code %d, want %d and %q\n%s%s", args, e.code, code, part, e.stdout, e.stderr)
			}
		}
	}
	says(cli.ExitUsage, []string{"name either files, or with --from a range"})
	says(cli.ExitUsage, []string{"no rule with this id is loaded that remembers terms"}, "--from", "earliest", "--rule", traffic.AllowlistRule)
	says(cli.ExitOK, []string{"4,000 records read", "aws.cloudtrail: from ", "aws.s3access: from ", traffic.NewTermsRule + ": history begins "}, "--from", "earliest", "--to", "latest", "--set", "partitions=4")
	var file bytes.Buffer
	for _, r := range d.inputs {
		if strings.HasSuffix(r.Topic, "-cloudtrail") {
			file.Write(append(r.Value, '\n'))
		}
	}
	says(cli.ExitOK, []string{"records read", "could not be read: 1: invalid_json"}, write(t, "trail.json", file.String()+"{broken}\n"))
	d.work(func() int { return d.listed })
	if n := d.count(); n != d.listed {
		t.Errorf("%d alerts, want %d of the rule with the allowlist: all addresses had been taught", n, d.listed)
	}
}
