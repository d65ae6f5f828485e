package allowlist

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

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

// Parse reads a whole list, of the file with that name. It returns every good entry and every error, so that a file is
// mended in one go.
func Parse(name, text string) ([]Entry, []*SyntaxError) {
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
			entry.File, entry.Line = name, number
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
			werr = entry.parseOption(word)
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

// parseOption reads what may follow the network.
func (e *Entry) parseOption(word string) *SyntaxError {
	name, value, ok := strings.Cut(word, "=")
	switch {
	case !ok:
		return &SyntaxError{Message: fmt.Sprintf("%q after the network: only expires= and owner= are known, and a comment begins with #", clip(word))}
	case name == "expires" && e.Expires != Never, name == "owner" && e.Owner != "":
		return &SyntaxError{Message: name + "= is there twice"}
	case name == "expires":
		return e.parseExpires(value)
	case name == "owner" && value == "":
		return &SyntaxError{Message: "owner= needs a word, like owner=netops"}
	case name == "owner":
		e.Owner = value
		return nil
	}
	err := &SyntaxError{Message: fmt.Sprintf("unknown option %q", clip(name))}
	for _, known := range []string{"expires", "owner"} {
		if name != "" && (strings.HasPrefix(known, strings.ToLower(name[:1])) || strings.HasSuffix(name, known[1:])) {
			err.Suggestion = known
		}
	}
	return err
}

// parseExpires reads a day, which counts to its end in UTC, or an instant.
func (e *Entry) parseExpires(value string) *SyntaxError {
	at, err := time.Parse(time.RFC3339, value)
	if day, derr := time.Parse(time.DateOnly, value); derr == nil {
		at, err = day.AddDate(0, 0, 1), nil
	}
	if at = at.UTC(); err == nil && at.Year() >= 1 && at.Year() <= 9999 {
		e.Expires = at.UnixMilli()
		return nil
	}
	return &SyntaxError{Message: fmt.Sprintf("expires=%s is not a date: write 2026-12-31 (to the end of that day, UTC) or 2026-12-31T12:00:00Z", clip(value))}
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}
