// Package allowlist reads lists of networks and tells whether an address is inside one of them.
//
// A list has one entry a line, in a rule file as an element of a list, in a file of its own as a line:
//
//	192.0.2.0/24
//	2001:db8::/32     expires=2026-12-31 owner=netops   # partner, contract ends
//	198.51.100.7      expires=2026-07-01T12:00:00Z      # an address is a network of one
//
// A day counts to its end, in UTC; an instant is the first at which the entry is gone, by the time of the event. The
// owner, one word, and the comment are for people: lists that differ in nothing else mean the same.
package allowlist

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// Never is the Expires of an entry without an expiry.
const Never int64 = math.MaxInt64

// Entry is one network of a list.
type Entry struct {
	Network netip.Prefix // without host bits, as written: an IPv4-mapped network stays IPv6 here
	Expires int64        // Unix milliseconds of event time from which the entry no longer counts; Never
	Owner   string       // who answers for the entry; may be empty
	Comment string       // what follows the #

	File string // where the entry was read, as given; empty where it was not read from a file
	Line int    // in File, from 1; 0: unknown
}

// String is the entry as a line without owner and comment, the same for every spelling of the same entry.
func (e Entry) String() string {
	if e.Expires == Never {
		return e.Network.String()
	}
	return e.Network.String() + " expires=" + time.UnixMilli(e.Expires).UTC().Format("2006-01-02T15:04:05.999Z07:00")
}

// MarshalJSON writes the entry as its line.
func (e Entry) MarshalJSON() ([]byte, error) { return json.Marshal(e.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Entry) UnmarshalJSON(b []byte) error {
	var line string
	if err := json.Unmarshal(b, &line); err != nil {
		return err
	}
	entry, ok, serr := ParseLine(line)
	if serr != nil {
		return serr
	}
	if !ok {
		return fmt.Errorf("empty allowlist entry")
	}
	*e = entry
	return nil
}

// Normal sorts the entries by network and joins those of the same network: the latest expiry counts. Lists that mean the
// same come out the same; owners, comments and places are dropped. Mapped networks become IPv4 unless strict.
func Normal(entries []Entry, strict bool) []Entry {
	out := make([]Entry, 0, len(entries))
	for _, e := range entries {
		if !strict {
			e.Network = unmap(e.Network)
		}
		out = append(out, Entry{Network: e.Network, Expires: e.Expires})
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(a.Network.Compare(b.Network), cmp.Compare(b.Expires, a.Expires))
	})
	return slices.CompactFunc(out, func(a, b Entry) bool { return a.Network == b.Network })
}
