package why

import (
	"fmt"
	"time"

	"firstseen/rules/allowlist"
)

// Entry is an entry of an allowlist, where it is written.
type Entry struct {
	Network string `json:"network"`
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Expires string `json:"expires,omitempty"` // RFC 3339
	Owner   string `json:"owner,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// Entries are the entry that decides, nil if none does, and those around the address that have expired.
func Entries(d allowlist.Decision) (inside *Entry, expired []Entry) {
	if d.Inside != nil {
		e := newEntry(*d.Inside)
		inside = &e
	}
	for _, e := range d.Expired {
		expired = append(expired, newEntry(e))
	}
	return inside, expired
}

func newEntry(e allowlist.Entry) Entry {
	out := Entry{Network: e.Network.String(), File: e.File, Line: e.Line, Owner: e.Owner, Comment: e.Comment}
	if e.Expires != allowlist.Never {
		out.Expires = time.UnixMilli(e.Expires).UTC().Format(time.RFC3339)
	}
	return out
}

// String is network, place, expiry, owner and comment, as far as there are any.
func (e Entry) String() string {
	text := e.Network + " at " + e.File
	if e.Line > 0 {
		text += fmt.Sprintf(":%d", e.Line)
	}
	if e.Expires != "" {
		text += ", expires " + e.Expires
	}
	if e.Owner != "" {
		text += ", owner " + e.Owner
	}
	if e.Comment != "" {
		text += " (" + e.Comment + ")"
	}
	return text
}
