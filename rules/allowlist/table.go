package allowlist

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/gaissmai/bart"
)

// Table answers whether an address or a network is inside an entry that has not expired. It is immutable and may be
// shared by goroutines.
type Table struct {
	networks bart.Table[int64] // the value is the latest expiry of the network and all networks around it
	strict   bool
}

// NewTable makes a table. By default an IPv4-mapped IPv6 address, here and in what is asked, is the IPv4 address it
// maps; strict keeps it IPv6.
func NewTable(entries []Entry, strict bool) *Table {
	t := &Table{strict: strict}
	for _, e := range Normal(entries, strict) { // sorted: a network comes after those around it, within its family
		expires := e.Expires
		if _, around, ok := t.networks.LookupPrefixLPM(e.Network); ok {
			expires = max(expires, around)
		}
		t.networks.Insert(e.Network, expires)
	}
	return t
}

// Contains reports whether the network, a single address included, is a subnet of an entry that counts at the event
// time, in Unix milliseconds.
func (t *Table) Contains(network netip.Prefix, at int64) bool {
	// The longest entry around it is inside all the others, and its expiry is the latest of them all.
	_, expires, ok := t.networks.LookupPrefixLPM(network)
	return ok && at < expires
}

// Parse reads the source of a request as this table compares it; see ParseSource.
func (t *Table) Parse(source []byte) (netip.Prefix, error) { return ParseSource(source, t.strict) }

var errHostBits = errors.New("host bits set")

// ParseSource reads an IP address, or a network in CIDR form without host bits: no netmask form, leading zero, blank or
// port. The zone of an address is dropped, and an IPv4-mapped address becomes IPv4 unless strict.
// A good source costs no allocation.
func ParseSource(source []byte, strict bool) (netip.Prefix, error) {
	p, err := parsePrefix(unsafe.String(unsafe.SliceData(source), len(source)))
	if err != nil {
		// netip's errors hold the text, which is the caller's buffer.
		err := errors.New("not an IP address or network")
		if p.IsValid() {
			err = errHostBits
		}
		return netip.Prefix{}, fmt.Errorf("source %q: %w", clip(string(source)), err)
	}
	if !strict {
		p = unmap(p)
	}
	return p, nil
}

// parsePrefix reads an address or a network. With errHostBits the network is returned as written.
func parsePrefix(s string) (netip.Prefix, error) {
	if strings.IndexByte(s, '/') < 0 {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a.WithZone(""), a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.Masked() != p {
		return p, errHostBits
	}
	return p, nil
}

// unmap turns an IPv4-mapped network into the IPv4 network. One shorter than /96 has host bits, so it was refused.
func unmap(p netip.Prefix) netip.Prefix {
	if !p.Addr().Is4In6() || p.Bits() < 96 {
		return p
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
}
