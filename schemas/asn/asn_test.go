package asn

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// write makes a file of that type in which 203.0.113.0/24 and 2001:db8::/32 have an owner.
func write(t *testing.T, kind string) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: kind, RecordSize: 24, IncludeReservedNetworks: true, Description: map[string]string{"en": "of a test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"203.0.113.0/24", "2001:db8::/32"} {
		_, block, _ := net.ParseCIDR(network)
		value := mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64496), "autonomous_system_organization": mmdbtype.String("Example, Inc.")}
		if err := tree.Insert(block, value); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "asn.mmdb")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOwner(t *testing.T) {
	d, err := Open(write(t, "GeoLite2-ASN"))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{"203.0.113.7": true, "::ffff:203.0.113.7": true, "2001:db8::1": true, "198.51.100.1": false, "::1": false} {
		number, organization, ok := d.Owner(netip.MustParseAddr(addr))
		if ok != want || ok && (number != 64496 || organization != "Example, Inc.") {
			t.Errorf("%s: %d %q %v", addr, number, organization, ok)
		}
	}
}

// A file that is something else, or broken, is refused when it is opened.
func TestOpenRefuses(t *testing.T) {
	whole := write(t, "GeoLite2-ASN")
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "short.mmdb")
	if err := os.WriteFile(short, content[:len(content)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		write(t, "GeoLite2-City"):       `a database of the type "GeoLite2-City" does not have autonomous systems`,
		short:                           "invalid MaxMind DB",
		filepath.Join(t.TempDir(), "x"): "no such file",
	} {
		if _, err := Open(file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
