package replay

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/traffic"
)

// realRecords are of a real open bucket, see testdata/README.md.
const realRecords = "../../../../testdata/honeybucket/oldest-first.ndjson"

// TestReplayFiles replays real records, compared with what a scan of them said and with what other rules say.
func TestReplayFiles(t *testing.T) {
	e := execute(t, nil, "scan", clitest.Now, realRecords)
	saved := clitest.Write(t, "alerts.json", e.Stdout)
	lines := strings.SplitAfter(e.Stdout, "\n")
	part := clitest.Write(t, "part.json", strings.Join(lines[:50], "")+"\n"+strings.Join(lines[52:], ""))
	text, err := os.ReadFile("../../../../rules/builtin/aws_s3_unauthenticated_bucket_access_by_rare_source.yaml")
	if err != nil {
		t.Fatal(err)
	}
	longer := clitest.Write(t, "longer.yaml", strings.Replace(string(text), "history: 7d", "history: 30d", 1))
	for _, test := range []struct {
		args string
		want string // would, did, same, moved, added, gone of the new-terms rule
	}{
		{"--alerts " + saved, "92 92 92 0 0 0"},
		{"--alerts " + part, "92 90 90 0 2 0"},
		{"", "92 92 92 0 0 0"},
		{"--rules " + longer, "90 92 90 0 0 2"},
		{"--rules " + longer + " --alerts " + saved, "90 92 90 0 0 2"},
		{"--rules " + longer + " --state-dir " + t.TempDir(), "90 92 90 0 0 2"},
		{"--rules " + longer + " --only " + traffic.AllowlistRule, ""},
		{"--set rules.set=" + traffic.NewTermsRule + ".new_terms.history=30d --alerts " + saved, "90 92 90 0 0 2"},
	} {
		e := execute(t, nil, append(append([]string{"replay", "--json"}, strings.Fields(test.args)...), realRecords)...)
		var r report
		if err := json.Unmarshal([]byte(e.Stdout), &r); err != nil || e.Code != cli.ExitOK {
			t.Errorf("%s: exit code %d, %v\n%s", test.args, e.Code, err, e.Stderr)
			continue
		}
		got := ""
		for _, d := range r.Rules {
			if d.Rule == traffic.NewTermsRule {
				got = fmt.Sprint(d.Would, d.Did, d.Same, d.Moved, d.Added, d.Gone)
			}
		}
		if got != test.want || r.Records != 301 {
			t.Errorf("%s: %s of %d records, want %s", test.args, got, r.Records, test.want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "firstseen-replay-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestReplayText is what people see: a table, the differences, dead letters.
func TestReplayText(t *testing.T) {
	trail := clitest.Write(t, "trail", clitest.Anonymous("192.0.2.1")+"nonsense\n"+clitest.Anonymous("192.0.2.2")+"more nonsense\n"+clitest.Anonymous("192.0.2.3"))
	other := clitest.Write(t, "other", clitest.Anonymous("192.0.2.9"))
	alerts := clitest.Write(t, "alerts", execute(t, nil, "scan", clitest.Now, other).Stdout)
	e := execute(t, nil, "replay", "--only", traffic.NewTermsRule, "--alerts", alerts, "--limit", "2", trail)
	const at = "2026-01-31T10:00:00.000Z"
	line := func(sign, address, place string) string {
		return fmt.Sprintf("%s %s  %s read bucket acme-logs without credentials; this address was not seen before  [%s, %s]\n", sign, at, address, traffic.NewTermsRule, place)
	}
	want := "5 records in 1 file; compared with the alerts in " + alerts + "\n\n" +
		"RULE                                                   WOULD      DID     SAME    MOVED    ADDED     GONE\n" +
		"aws-s3-unauthenticated-bucket-access-by-rare-source        3        1        0        0        3        1\n\n" +
		"added\n" + line("+", "192.0.2.1", trail+":1") + line("+", "192.0.2.2", trail+":3") + "  and 1 more; --limit N shows more, --json all\n\n" +
		"gone\n" + line("-", "192.0.2.9", other+":1") + "\n" +
		"dead letters\n  2 unknown_shape, first at " + trail + ":2: "
	if !strings.HasPrefix(e.Stdout, want) || e.Code != cli.ExitOK {
		t.Errorf("exit code %d\n%s%s\nwant %s", e.Code, e.Stdout, e.Stderr, want)
	}
}

func TestReplayExitCodes(t *testing.T) {
	trail, none := clitest.Write(t, "trail", clitest.Anonymous("192.0.2.1")), clitest.Write(t, "none", "")
	config := clitest.Write(t, "firstseen.yml", "brokers: [127.0.0.1:1]\nsources: [{topic: logs}]\n")
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"--alerts " + none + " " + trail, cli.ExitOK, ""},
		{"--alerts " + none + " --fail-on-diff " + trail, cli.ExitFindings, ""},
		{"--fail-on-diff " + trail, cli.ExitOK, ""},
		{"missing.json", cli.ExitUsage, "missing.json: no such file"},
		{"--alerts missing.json " + trail, cli.ExitUsage, "--alerts: open missing.json: no such file"},
		{"--alerts " + trail + " " + trail, cli.ExitUsage, trail + ":1: this is no alert of ours"},
		{"--alerts " + none + " --against rules " + trail, cli.ExitUsage, "two things to compare with"},
		{"--against alerts " + trail, cli.ExitUsage, "--alerts FILE"},
		{"--from 7d " + trail, cli.ExitUsage, "--from, --to and --warm are for topics"},
		{"--rules missing.yaml " + trail, cli.ExitUsage, "missing.yaml: no such file"},
		{"--only x " + trail, cli.ExitUsage, "--only x: no rule with this id"},
		{"--state-dir missing " + trail, cli.ExitUsage, "missing"},
		{"", cli.ExitUsage, "sources"},
		{"-c " + config + " --from yesterday", cli.ExitUsage, `--from: "yesterday" is none of`},
		{"-c " + config + " --to logs/0", cli.ExitUsage, `--to: "logs/0" is not topic/partition:offset`},
		{"-c " + config + " --warm soon", cli.ExitUsage, `--warm: "soon" is not a duration`},
	} {
		e := execute(t, nil, append([]string{"replay"}, strings.Fields(test.args)...)...)
		if e.Code != test.code || !strings.Contains(e.Stderr, test.says) {
			t.Errorf("replay %s: exit code %d, want %d with %q:\n%s", test.args, e.Code, test.code, test.says, e.Stderr)
		}
		if test.code == cli.ExitUsage && e.Stdout != "" {
			t.Errorf("replay %s: a report before the error: %s", test.args, e.Stdout)
		}
	}
}
