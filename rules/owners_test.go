package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const byOwner = `
id: by-owner
name: By owner
dataset: aws.cloudtrail
query: 'event.action: CreateKeyPair and not source.as.organization.name: Example*'
severity: low
`

// A rule that needs a database of networks is refused without one, and only then: it would never match, or always.
func TestRulesThatNeedNetworks(t *testing.T) {
	load := func(text string, o LoadOptions) (*Set, []Warning, error) {
		file := filepath.Join(t.TempDir(), "rule.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o.Paths, o.NoBuiltin = []string{file}, true
		return Load(o)
	}
	const want = "rule by-owner: source.as.organization.name is looked up in a database of networks, and none is named"
	if _, _, err := load(byOwner, LoadOptions{}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, warnings, err := load(byOwner, LoadOptions{Unready: true}); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].String(), want) {
		t.Errorf("%v %v", warnings, err)
	}
	if _, _, err := load(byOwner+"mode: off\n", LoadOptions{}); err != nil {
		t.Errorf("a rule that is off: %v", err)
	}
	if _, _, err := load(byOwner, LoadOptions{ASN: "/no/such.mmdb"}); err == nil || !strings.Contains(err.Error(), "database of networks: open /no/such.mmdb") {
		t.Errorf("%v", err)
	}
}
