package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
)

const listedRule = `id: acme.list
name: Outside
dataset: aws.s3access
allowlist:
  field: remoteip
  networks: [10.0.0.0/8, '203.0.113.0/25 expires=2026-06-30 # lab']
  files: [office.txt, partners.txt]
dedup: {by: [bucket], period: 60m}
severity: low
`

// The entry that decides is named with file and line, owner, comment and expiry; without one, those that have expired.
func TestAllowlistCheck(t *testing.T) {
	dir := filepath.Dir(clitest.Write(t, "list.yaml", listedRule))
	rule, office := filepath.Join(dir, "list.yaml"), filepath.Join(dir, "office.txt")
	writeTo(t, office, "# offices\n203.0.113.0/24 expires=2026-12-31 owner=netops # head office\n2001:db8::/32\n")
	writeTo(t, filepath.Join(dir, "partners.txt"), "10.1.0.0/16 owner=sales\n")
	const ip = "AWS.S3.ServerAccess.IPWhitelist"
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--rules", rule, "--rule", "acme.list", "--at", "2026-12-31T23:59:59Z", "203.0.113.200", "2001:db8::1"}, cli.ExitOK,
			"203.0.113.200  inside   acme.list: 203.0.113.0/24 at OFFICE:2, expires 2027-01-01T00:00:00Z, owner netops (head office)\n" +
				"2001:db8::1  inside   acme.list: 2001:db8::/32 at OFFICE:3\n"},
		{[]string{"--rules", rule, "--rule", "acme.list", "--at", "2026-07-01T00:00:00Z", "203.0.113.7"}, cli.ExitOK,
			"203.0.113.7  inside   acme.list: 203.0.113.0/24 at OFFICE:2, expires 2027-01-01T00:00:00Z, owner netops (head office)\n" +
				"    expired: 203.0.113.0/25 at RULE:6, expires 2026-07-01T00:00:00Z (lab)\n"},
		{[]string{"--rules", rule, "--rule", "acme.list", "--at", "2027-01-01T00:00:00Z", "203.0.113.7"}, cli.ExitFindings,
			"203.0.113.7  outside  acme.list: in none of its 5 entries, so it alerts\n" +
				"    expired: 203.0.113.0/25 at RULE:6, expires 2026-07-01T00:00:00Z (lab)\n" +
				"    expired: 203.0.113.0/24 at OFFICE:2, expires 2027-01-01T00:00:00Z, owner netops (head office)\n"},
		{[]string{"--rules", rule, "10.1.2.3"}, cli.ExitOK,
			"10.1.2.3  inside   " + ip + ": 10.0.0.0/8 at builtin/aws_s3_access_ip_allowlist.yaml:24\n" +
				"10.1.2.3  inside   acme.list: 10.1.0.0/16 at DIR/partners.txt:1, owner sales\n"},
		{[]string{"--rules", rule, "--at", "2026-07-01T00:00:00Z", "203.0.113.200"}, cli.ExitFindings, // of one list, not of the other
			"203.0.113.200  outside  " + ip + ": in none of its 1 entry, so it alerts\n" +
				"203.0.113.200  inside   acme.list: 203.0.113.0/24 at OFFICE:2, expires 2027-01-01T00:00:00Z, owner netops (head office)\n"},
		{[]string{"--set", ip + ".allowlist.networks=['192.0.2.0/24 owner=me']", "192.0.2.0/25", "192.0.0.0/16"}, cli.ExitFindings,
			"192.0.2.0/25  inside   " + ip + ": 192.0.2.0/24 at --set " + ip + ".allowlist.networks:1, owner me\n" +
				"192.0.0.0/16  outside  " + ip + ": in none of its 1 entry, so it alerts\n"},
		{[]string{"--set", ip + ".allowlist.networks=[]", "192.0.2.1"}, cli.ExitFindings,
			"192.0.2.1  outside  " + ip + ": its allowlist is empty, so every address alerts\n"},
		{[]string{"::ffff:10.1.2.3"}, cli.ExitOK, "::ffff:10.1.2.3  inside   " + ip + ": 10.0.0.0/8 at builtin/aws_s3_access_ip_allowlist.yaml:24\n"},
		{[]string{"--strict", "::ffff:10.1.2.3"}, cli.ExitFindings, "::ffff:10.1.2.3  outside  " + ip + ": in none of its 1 entry, so it alerts\n"},
	} {
		e := execute(t, nil, append([]string{"allowlist", "check"}, c.args...)...)
		got := strings.NewReplacer(rule, "RULE", office, "OFFICE", dir, "DIR").Replace(e.Stdout)
		if e.Code != c.code || got != c.want || e.Stderr != "" {
			t.Errorf("%v: exit code %d, want %d; got\n%swant\n%s%s", c.args, e.Code, c.code, got, c.want, e.Stderr)
		}
	}
}

func TestAllowlistCheckAsJSON(t *testing.T) {
	config := clitest.Write(t, "firstseen.yml", "rules: {overrides: {AWS.S3.ServerAccess.IPWhitelist: {allowlist: {networks: [192.0.2.0/24 expires=2026-12-31 owner=me]}}}}\n")
	e := execute(t, nil, "allowlist", "check", "-c", config, "--json", "--at", "2027-01-01T00:00:00Z", "192.0.2.1")
	var answers []listAnswer
	if err := json.Unmarshal([]byte(e.Stdout), &answers); err != nil || len(answers) != 1 || e.Code != cli.ExitFindings {
		t.Fatalf("%v in %s, exit code %d %s", err, e.Stdout, e.Code, e.Stderr)
	}
	a := answers[0]
	if a.Address != "192.0.2.1" || a.Inside || a.Entry != nil || len(a.Expired) != 1 || a.Expired[0].Owner != "me" ||
		a.Expired[0].Expires != "2027-01-01T00:00:00Z" || a.Expired[0].File != "override AWS.S3.ServerAccess.IPWhitelist.allowlist" {
		t.Errorf("got %s", e.Stdout)
	}
}

func TestAllowlistCheckOfNothing(t *testing.T) {
	for want, args := range map[string][]string{
		`source "10.0.0.1/8": host bits set`:                                                                   {"10.0.0.1/8"},
		`source "example.com": not an IP address`:                                                              {"example.com"},
		`no rule "acme" with an allowlist is loaded`:                                                           {"--rule", "acme", "10.0.0.1"},
		`(did you mean "AWS.S3.ServerAccess.IPWhitelist"?)`:                                                    {"--rule", "AWS.S3.ServerAccess.IPWhitlist", "10.0.0.1"},
		"has no allowlist; those with one: AWS.S3.ServerAccess.IPWhitelist":                                    {"--rule", "aws-s3-unauthenticated-bucket-access-by-rare-source", "10.0.0.1"},
		"no rule with an allowlist is loaded":                                                                  {"--set", "AWS.S3.ServerAccess.IPWhitelist.mode=off", "10.0.0.1"},
		`expected "<ip> ..."`:                                                                                  {},
		`parsing time "2026-12-31" as "2006-01-02T15:04:05Z07:00"`:                                             {"--at", "2026-12-31", "10.0.0.1"},
		`preset nosuch: there is no such preset, only AWS.S3.ServerAccess.Error, AWS.S3.ServerAccess.Insecure`: {"--preset", "nosuch", "10.0.0.1"},
	} {
		e := execute(t, nil, append([]string{"allowlist", "check"}, args...)...)
		if e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, want) {
			t.Errorf("%v: exit code %d, %s, want %s", args, e.Code, e.Stderr, want)
		}
	}
}

func writeTo(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
