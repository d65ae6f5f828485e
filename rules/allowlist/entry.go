// Package allowlist reads lists of networks and tells whether an address is inside one of them.
//
// A list has one entry a line, in a rule file as an element of a list, in a file of its own as a line:
//
//	192.0.2.0/24
//	2001:db8::/32     expires=2026-12-31            # partner, contract ends
//	198.51.100.7      expires=2026-07-01T12:00:00Z  # an address is a network of one
package allowlist

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Never is the Expires of an entry without an expiry.
const Never int64 = math.MaxInt64

// Entry is one network of a list.
type Entry struct {
	Network netip.Prefix // without host bits, as written: an IPv4-mapped network stays IPv6 here
	Expires int64        // Unix milliseconds of event time from which the entry no longer counts; Never
	Comment string       // what follows the #, for people
}

// A SyntaxError says what is wrong with a line and where.
type SyntaxError struct {
	Line, Col  int // from 1, columns in characters
	Message    string
	Suggestion string // what was probably meant; may be empty
}

func (e *SyntaxError) Error() string {
	if e.Suggestion == "" {
		return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Message)
	}
	return fmt.Sprintf("%d:%d: %s (did you mean %q?)", e.Line, e.Col, e.Message, e.Suggestion)
}

// Parse reads a whole list. It returns every good entry and every error, so that a file is mended in one go.
func Parse(text string) ([]Entry, []*SyntaxError) {
	var entries []Entry
	var errs []*SyntaxError
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		entry, ok, err := ParseLine(line)
		switch {
		case err != nil:
			err.Line = number
			errs = append(errs, err)
		case ok:
			entries = append(entries, entry)
		}
	}
	return entries, errs
}

// ParseLine reads one line. A blank line or a comment alone is no entry: ok is false.
func ParseLine(line string) (entry Entry, ok bool, err *SyntaxError) {
	text, comment, _ := cutComment(line)
	entry = Entry{Expires: Never, Comment: strings.TrimSpace(comment)}
	for i, word := range words(text) {
		var werr *SyntaxError
		if i.n == 0 {
			entry.Network, werr = parseNetwork(word)
		} else {
			entry.Expires, werr = parseOption(word)
		}
		if werr == nil && i.n > 1 {
			werr = &SyntaxError{Message: fmt.Sprintf("%q is too much: a line is a network, then expires=, then a # comment", word)}
		}
		if werr != nil {
			werr.Line, werr.Col = 1, utf8.RuneCountInString(line[:i.at])+1
			return Entry{}, false, werr
		}
		ok = true
	}
	return entry, ok, nil
}

// cutComment splits a line at a # that begins it or follows white space, as YAML does.
func cutComment(line string) (text, comment string, found bool) {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i], line[i+1:], true
		}
	}
	return line, "", false
}

type wordAt struct{ n, at int } // which word, and its byte offset

func words(text string) func(func(wordAt, string) bool) {
	return func(yield func(wordAt, string) bool) {
		n := 0
		for i := 0; i < len(text); {
			if strings.IndexByte(" \t\r\n", text[i]) >= 0 {
				i++
				continue
			}
			end := i
			for end < len(text) && strings.IndexByte(" \t\r\n", text[end]) < 0 {
				end++
			}
			if !yield(wordAt{n, i}, text[i:end]) {
				return
			}
			n++
			i = end
		}
	}
}

func parseNetwork(word string) (netip.Prefix, *SyntaxError) {
	p, err := parsePrefix(word)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, errHostBits):
		return p, &SyntaxError{Message: fmt.Sprintf("%q has host bits set", word), Suggestion: p.Masked().String()}
	}
	return p, &SyntaxError{Message: fmt.Sprintf("%q is not an IPv4 or IPv6 network", clip(word))}
}

func parseOption(word string) (int64, *SyntaxError) {
	value, ok := strings.CutPrefix(word, "expires=")
	if !ok {
		name, _, isOption := strings.Cut(word, "=")
		if !isOption {
			return 0, &SyntaxError{Message: fmt.Sprintf("%q after the network: only expires= is known, and a comment begins with #", clip(word))}
		}
		return 0, &SyntaxError{Message: fmt.Sprintf("unknown option %q", clip(name)), Suggestion: "expires"}
	}
	// A day counts to its end, in UTC; an instant is the first at which the entry is gone.
	at, err := time.Parse(time.RFC3339, value)
	if day, derr := time.Parse(time.DateOnly, value); derr == nil {
		at, err = day.AddDate(0, 0, 1), nil
	}
	if at = at.UTC(); err == nil && at.Year() >= 1 && at.Year() <= 9999 {
		return at.UnixMilli(), nil
	}
	return 0, &SyntaxError{Message: fmt.Sprintf("expires=%s is not a date: write 2026-12-31 (to the end of that day, UTC) or 2026-12-31T12:00:00Z", clip(value))}
}

// String is the entry as a line without its comment, the same for every spelling of the same entry.
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
// same come out the same; comments are dropped. Mapped networks become IPv4 unless strict.
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

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}
