package rulefile

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// source is a text that nodes were read from: a rule file, or the value of an override.
type source struct {
	name  string
	lines []string
}

func newSource(name, text string) *source {
	return &source{name: name, lines: strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")}
}

// at returns where the byte at the offset of a scalar's value stands in the text, as a line and a column from 1.
//
// YAML folds lines, strips indents and resolves escapes, so an offset in the value of a query says nothing about the
// file. But what is not white space stands in both in the same order: the two are walked side by side.
func (s *source) at(n *yaml.Node, offset int) (line, col int) {
	if n.Kind != yaml.ScalarNode || n.Line < 1 || n.Line > len(s.lines) {
		return n.Line, n.Column
	}
	r, value := s.reader(n), n.Value
	for i := 0; i < min(offset, len(value)); {
		if isSpace(value[i]) {
			i++
			continue
		}
		r.skipSpace()
		i += r.next()
	}
	if offset < len(value) && !isSpace(value[offset]) { // else it is right after what comes before
		r.skipSpace()
	}
	return r.place()
}

// reader walks over the text of one scalar.
type reader struct {
	lines     []string
	line, pos int // indexes into lines and the line's bytes
	style     yaml.Style
}

func (s *source) reader(n *yaml.Node) *reader {
	r := &reader{lines: s.lines, line: n.Line - 1, style: n.Style}
	text := s.lines[r.line]
	for range n.Column - 1 {
		_, size := utf8.DecodeRuneInString(text[r.pos:])
		r.pos += size
	}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0: // the text begins below the | or >
		r.line, r.pos = r.line+1, 0
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && r.pos < len(text):
		r.pos++
	}
	return r
}

// skipSpace steps over white space, line ends, and in double quotes the escapes that stand for them.
func (r *reader) skipSpace() {
	for r.line < len(r.lines) {
		text := r.lines[r.line]
		for r.pos < len(text) {
			switch {
			case isSpace(text[r.pos]):
				r.pos++
			case r.style&yaml.DoubleQuotedStyle != 0 && text[r.pos] == '\\' && strings.IndexByte("ntr \r", at(text, r.pos+1)) >= 0:
				r.pos += 2 // a backslash that ends the line included
			default:
				return
			}
		}
		r.line, r.pos = r.line+1, 0
	}
}

// at is the byte of the text at i, and the line end where the text ends.
func at(text string, i int) byte {
	if i < len(text) {
		return text[i]
	}
	return '\r'
}

// next steps over what stands for one character and returns its length in the value.
func (r *reader) next() int {
	if r.line >= len(r.lines) || r.pos >= len(r.lines[r.line]) {
		return 1
	}
	text := r.lines[r.line][r.pos:]
	_, size := utf8.DecodeRuneInString(text)
	switch {
	case r.style&yaml.SingleQuotedStyle != 0 && strings.HasPrefix(text, "''"):
		r.pos += 2
		return 1
	case r.style&yaml.DoubleQuotedStyle != 0 && text[0] == '\\' && len(text) > 1:
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[1]]
		r.pos += min(2+digits, len(text))
		return max(1, escaped(text[1], text[2:min(2+digits, len(text))]))
	}
	r.pos += size
	return size
}

// place is the position reached; past the end of the text it is the end.
func (r *reader) place() (line, col int) {
	if r.line >= len(r.lines) {
		r.line = len(r.lines) - 1
		r.pos = len(r.lines[r.line])
	}
	return r.line + 1, utf8.RuneCountInString(r.lines[r.line][:min(r.pos, len(r.lines[r.line]))]) + 1
}

// escaped is the length in UTF-8 of the character that a double-quoted escape stands for.
func escaped(kind byte, digits string) int {
	switch kind {
	case 'N', '_':
		return 2
	case 'L', 'P':
		return 3
	case 'x', 'u', 'U':
		code := rune(0)
		for _, c := range strings.ToLower(digits) {
			code = code<<4 | rune(strings.IndexRune("0123456789abcdef", c))
		}
		return utf8.RuneLen(code)
	}
	return 1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
