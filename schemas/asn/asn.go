// Package asn says which autonomous system announces an address, from a file in MaxMind's format (MMDB) that a deployment
// brings along: GeoLite2 ASN, or one like it. Nothing is ever fetched.
package asn

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Database is a file of networks in memory. It is immutable and shared by goroutines.
type Database struct{ reader *maxminddb.Reader }

// record is what the file has for a network. Source: https://dev.maxmind.com/geoip/docs/databases/asn/.
type record struct {
	Number       uint32 `maxminddb:"autonomous_system_number"`
	Organization string `maxminddb:"autonomous_system_organization"`
}

// Open reads a file and checks all of it, so that no lookup can fail later.
func Open(file string) (*Database, error) {
	content, err := os.ReadFile(file) // not mapped: the file may be written over
	if err != nil {
		return nil, err
	}
	reader, err := maxminddb.OpenBytes(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if kind := reader.Metadata.DatabaseType; !strings.Contains(kind, "ASN") && !strings.Contains(kind, "ISP") {
		return nil, fmt.Errorf("%s: a database of the type %q does not have autonomous systems: want GeoLite2-ASN or one like it", file, kind)
	}
	if err := reader.Verify(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &Database{reader}, nil
}

// Owner returns the number and the organization of the autonomous system that announces the address. ok is false where
// the file has none.
func (d *Database) Owner(addr netip.Addr) (number uint32, organization string, ok bool) {
	var r record
	if err := d.reader.Lookup(addr.Unmap()).Decode(&r); err != nil || r.Number == 0 {
		return 0, "", false
	}
	return r.Number, r.Organization, true
}
