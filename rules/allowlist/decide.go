package allowlist

import (
	"cmp"
	"net/netip"
	"slices"
)

// Decision is why an address or network is inside a list, or is not.
type Decision struct {
	Inside  *Entry  // the entry that counts: the narrowest around it, of equal ones the one that lasts longest; nil: outside
	Expired []Entry // the entries around it that have expired, the narrowest first
}

// Decide looks through the entries as they were written, at the event time in Unix milliseconds. It finds an entry where
// a Table of the same entries contains the network, and takes as long as there are entries: it is for one question of a
// person, a Table is for many.
func Decide(entries []Entry, network netip.Prefix, strict bool, at int64) Decision {
	var d Decision
	for _, e := range entries {
		if !strict {
			e.Network = unmap(e.Network)
		}
		switch {
		case e.Network.Bits() > network.Bits() || !e.Network.Contains(network.Addr()): // false for the other family, too
		case at >= e.Expires:
			d.Expired = append(d.Expired, e)
		case d.Inside == nil, cmp.Or(cmp.Compare(e.Network.Bits(), d.Inside.Network.Bits()), cmp.Compare(e.Expires, d.Inside.Expires)) > 0:
			d.Inside = &e
		}
	}
	slices.SortStableFunc(d.Expired, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.Network.Bits(), a.Network.Bits()), cmp.Compare(b.Expires, a.Expires))
	})
	return d
}
