package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
)

const (
	elastic = "../../rules/imported/testdata/elastic/"
	panther = "../../rules/imported/testdata/panther/"
)

// One rule goes to standard output; several need a directory, in which nothing is replaced unasked. What comes out is
// what lint and test take.
func TestImport(t *testing.T) {
	out := t.TempDir()
	e := execute(t, nil, "import", "elastic", elastic+"query.toml")
	if e.Code != cli.ExitOK || !strings.Contains(e.Stdout, "\nid: 0d9c3a54-5d0c-4a53-9a7e-3f6f3a0f8c11\n") || e.Stderr != "1 rule imported, 0 not\n" {
		t.Errorf("%+v", e)
	}
	if e = execute(t, nil, "import", "elastic", elastic); e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "name a directory with -o") {
		t.Errorf("%+v", e)
	}
	if e = execute(t, nil, "import", "elastic", elastic, "-o", out); e.Code != cli.ExitOK || !strings.Contains(e.Stderr, "new_terms.toml: rule.building_block_type: ") {
		t.Errorf("%+v", e)
	}
	if e = execute(t, nil, "import", "panther", panther, "-o", out); e.Code != cli.ExitOK || !strings.HasSuffix(e.Stderr, "2 rules imported, 0 not\n") {
		t.Errorf("%+v", e)
	}
	if e = execute(t, nil, "lint", out); e.Code != cli.ExitOK || !strings.HasPrefix(e.Stderr, "6 rules checked") ||
		!strings.Contains(e.Stdout, "warning: rule 5c5a8f20-8f5d-4b3e-8c43-7a7d0a0c6f02: source.as.number is looked up in a database of networks") {
		t.Errorf("%+v", e)
	}
	if e = execute(t, nil, "test", filepath.Join(out, "errors.yaml")); e.Code != cli.ExitOK {
		t.Errorf("Panther's tests of a rule whose logic is ours: %+v", e)
	}

	edited := filepath.Join(out, "query.yaml")
	if err := os.WriteFile(edited, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e = execute(t, nil, "import", "elastic", elastic, "-o", out); e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, edited+" is there and differs: --force replaces it\n") {
		t.Errorf("%+v", e)
	}
	if text := readFile(t, edited); text != "mine" {
		t.Errorf("the file was replaced by %s", text)
	}
	if e = execute(t, nil, "import", "elastic", elastic, "-o", out, "--force"); e.Code != cli.ExitOK || readFile(t, edited) == "mine" {
		t.Errorf("%+v", e)
	}
}

// What cannot be imported is said with its reason, and does not keep the rest from it.
func TestImportRefuses(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	text := readFile(t, elastic+"query.toml")
	for name, text := range map[string]string{
		"a.toml": text,
		"b.toml": strings.Replace(text, `type = "query"`, `type = "eql"`, 1),
		"c.toml": text,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := execute(t, nil, "import", "elastic", dir, "-o", out)
	for _, want := range []string{
		filepath.Join(dir, "b.toml") + `: rule.type: "eql" cannot be carried, only query, new_terms, threshold`,
		filepath.Join(dir, "c.toml") + ": its id 0d9c3a54-5d0c-4a53-9a7e-3f6f3a0f8c11 is also that of " + filepath.Join(dir, "a.toml"),
		"1 rule imported, 2 not",
	} {
		if e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, want) {
			t.Errorf("exit code %d, no %s in\n%s", e.Code, want, e.Stderr)
		}
	}
	if e = execute(t, nil, "import", "panther", dir); e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "no file ending in .yml or .yaml") {
		t.Errorf("%+v", e)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A rule by who announces the address runs with a database of networks and is refused without.
func TestScanByNetworkOwner(t *testing.T) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-ASN", IncludeReservedNetworks: true, Description: map[string]string{"en": "of a test"}})
	if err != nil {
		t.Fatal(err)
	}
	_, network, _ := net.ParseCIDR("203.0.113.0/24")
	if err := tree.Insert(network, mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64496), "autonomous_system_organization": mmdbtype.String("Example, Inc.")}); err != nil {
		t.Fatal(err)
	}
	var content strings.Builder
	if _, err := tree.WriteTo(&content); err != nil {
		t.Fatal(err)
	}
	database := clitest.Write(t, "asn.mmdb", content.String())
	rule := clitest.Write(t, "rule.yaml", `id: acme.owner
name: By owner
dataset: aws.cloudtrail
query: 'event.action: GetObject and source.as.organization.name: (* and not Cloud*)'
title: "From {source.as.organization.name}"
severity: low
`)
	records := ""
	for _, address := range []string{"203.0.113.7", "198.51.100.1"} {
		records += `{"eventVersion":"1.11","eventTime":"2026-03-10T12:10:14Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","sourceIPAddress":"` + address + `"}` + "\n"
	}
	log := clitest.Write(t, "log.json", records)
	e := execute(t, nil, "scan", "--no-builtin", "--rules", rule, "--asn", database, log)
	if e.Code != cli.ExitOK || strings.Count(e.Stdout, "\n") != 1 || !strings.Contains(e.Stdout, "From Example, Inc.") {
		t.Errorf("%+v", e)
	}
	e = execute(t, nil, "scan", "--no-builtin", "--rules", rule, log)
	if e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "rule acme.owner: source.as.organization.name is looked up in a database of networks, and none is named") {
		t.Errorf("%+v", e)
	}
}
