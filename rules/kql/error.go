package kql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is why a query was refused.
type Error struct {
	Offset     int    // byte offset in the query
	Message    string // what is wrong there
	Suggestion string // what to write instead, "" when there is no good guess
}

func (e *Error) Error() string {
	if e.Suggestion == "" {
		return e.Message
	}
	return e.Message + " (" + e.Suggestion + ")"
}

func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return i
		}
	}
	return len(s)
}

// unexpected explains the token at hand from what stands before it.
func (p *parser) unexpected() error {
	written := p.query[p.tok.at:p.tok.to]
	e := &Error{Offset: p.tok.at, Message: fmt.Sprintf("%s is not expected here", written)}
	last := ""
	if p.prev.to > 0 {
		last = p.query[p.prev.at:p.prev.to]
	}
	afterValue := p.prev.kind == literal || p.prev.kind == parenClose || p.prev.kind == braceClose
	switch {
	case p.tok.kind == atEnd && !afterValue:
		e.Message, e.Suggestion = fmt.Sprintf("the query ends after %s", last), "a value or a condition must follow"
	case p.tok.kind == atEnd && len(p.opened) > 0:
		open := p.opened[len(p.opened)-1]
		e.Offset, e.Message = open.at, fmt.Sprintf("this %s is never closed", p.query[open.at:open.to])
	case (p.tok.kind == parenClose || p.tok.kind == braceClose) && len(p.opened) == 0:
		e.Message = fmt.Sprintf("this %s closes nothing", written)
	case p.tok.kind == parenClose && !afterValue:
		e.Message = fmt.Sprintf("a value or a condition is missing between %s and )", last)
	case p.tok.kind == keywordNot && p.prev.kind == colon:
		e.Suggestion = "write not in front of the field, or in parentheses: field: (not value)"
	case (p.tok.kind == keywordAnd || p.tok.kind == keywordOr || p.tok.kind == keywordNot) && !afterValue:
		e.Suggestion = fmt.Sprintf("something is missing before it; if it is a value, write %q", written)
	case p.tok.kind == comparison && p.prev.kind == colon:
		e.Suggestion = fmt.Sprintf("write field %s value, without the colon", written)
	case p.tok.kind == colon || p.tok.kind == comparison:
		e.Suggestion = p.stray(last, written)
	case afterValue && (p.tok.kind == literal || p.tok.kind == parenOpen || p.tok.kind == keywordNot):
		e.Suggestion = p.missing(last)
	}
	return e
}

// stray is the hint for an operator behind a value.
func (p *parser) stray(value, operator string) string {
	if i := strings.LastIndexAny(value, " \t\n"); p.prev.kind == literal && !p.prev.quoted && i >= 0 {
		return fmt.Sprintf("and or or is missing before %s", value[i+1:])
	}
	if p.prev.kind == literal && !p.prev.quoted {
		return fmt.Sprintf("put the value that begins with %s%s in quotes", value, operator)
	}
	return "a field name must stand before it"
}

// missing is the hint for a literal where an operator belongs.
func (p *parser) missing(last string) string {
	if p.tok.kind == literal && !p.tok.quoted && strings.HasPrefix(p.query[p.tok.at:], ",") {
		return "separate values with or, not with a comma"
	}
	if p.prev.kind == literal && p.tok.quoted && !p.prev.quoted {
		return fmt.Sprintf("write %s: %s", last, p.query[p.tok.at:p.tok.to])
	}
	return "and or or is missing before it"
}

// The rest refuses what Kibana would take as text to search for, but what was surely meant as an operator.

var foreign = []struct{ word, suggestion string }{
	{"&&", "write and"}, {"||", "write or"}, {"==", "write field: value"}, {"=", "write field: value"},
	{"!=", "write not field: value"}, {"=~", "write field: value, with * as wildcard"},
}

// foreignWord refuses the operators of other languages as words of a bare literal.
func foreignWord(query string, t token, words int) error {
	if t.quoted {
		return nil
	}
	text := query[t.at:t.to]
	for _, f := range foreign[:words] {
		for i := 0; i < len(text); {
			n := strings.Index(text[i:], f.word)
			if n < 0 {
				break
			}
			i += n
			before, after := i == 0 || spaces(text[i-1:]) > 0, text[i+len(f.word):]
			if before && (after == "" || spaces(after) > 0) {
				return &Error{Offset: t.at + i, Message: f.word + " is no operator of this language", Suggestion: f.suggestion + ", or put it in quotes if it belongs to the value"}
			}
			i += len(f.word)
		}
	}
	return nil
}

func foreignValue(query string, t token) error {
	if t.quoted {
		return nil
	}
	text := query[t.at:t.to]
	first, _ := utf8.DecodeRuneInString(text)
	switch {
	case strings.ContainsRune("“”‘’", first), first == '\'' && len(text) > 1 && strings.HasSuffix(text, "'"):
		return &Error{Offset: t.at, Message: "values are quoted with \"", Suggestion: fmt.Sprintf(`write "%s"`, strings.Trim(text, "“”‘’'"))}
	case first == '[' && strings.Contains(text, " TO "):
		return &Error{Offset: t.at, Message: "[a TO b] is no range of this language", Suggestion: "write field >= a and field <= b"}
	}
	return foreignWord(query, t, 2)
}

func foreignField(query string, t token) error {
	if text := query[t.at:t.to]; !t.quoted && strings.HasPrefix(text, "!") {
		return &Error{Offset: t.at, Message: "! is no operator of this language", Suggestion: "write not " + strings.TrimSpace(text[1:])}
	}
	return foreignWord(query, t, len(foreign))
}

// foreignClause looks at a value without a field, which is where `a=b` ends up.
func (p *parser) foreignClause(t token) error {
	text := p.query[t.at:t.to]
	if i := strings.IndexByte(text, '='); !t.quoted && i > 0 && strings.IndexFunc(strings.TrimRight(text[:i], "=!~ "), notName) < 0 {
		name := strings.TrimRight(text[:i], "=!~ ")
		want := name + ": " + strings.TrimLeft(text[i:], "=~ ")
		if strings.HasSuffix(text[:i], "!") {
			want = "not " + want
		}
		if strings.HasSuffix(want, " ") { // the value is the next token: a = "b"
			want += p.query[p.tok.at:p.tok.to]
		}
		return &Error{Offset: t.at + len(name), Message: "= is no operator of this language", Suggestion: "write " + strings.TrimSpace(want)}
	}
	return foreignWord(p.query, t, len(foreign))
}
