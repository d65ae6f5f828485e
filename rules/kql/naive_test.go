package kql

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstseen/schemas"

	"pgregory.net/rapid"
)

// The naive language: a query is a tree of these, which writes itself in one of many spellings and decides by the plainest
// possible means. It shares no code with the parser or the matcher.
type (
	naive interface {
		spell(t *rapid.T) string
		holds(s *situation, elem int32) bool // elem -1: any
	}
	naiveGroup struct {
		word string
		kids []naive
	}
	naiveNot    struct{ kid naive }
	naiveNested struct {
		path string
		kid  naive
	}
	naiveLeaf struct {
		path, name string // the field is path.name
		op         string
		literal    string
		pattern    bool
	}
	naiveValues struct { // field: ( tree )
		path, name string
		values     naive // of leaves
	}
	naiveValue struct{ naiveLeaf } // a leaf inside a value group
)

// situation is an event with its layout.
type situation struct {
	*schemas.Event
	*schemas.Layout
}

func (n naiveGroup) spell(t *rapid.T) string {
	var parts []string
	for _, k := range n.kids {
		s := k.spell(t)
		if _, ok := k.(naiveGroup); ok || rapid.IntRange(0, 9).Draw(t, "parens") == 0 {
			s = "(" + s + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " "+cased(t, n.word)+" ")
}

func (n naiveNot) spell(t *rapid.T) string {
	s := n.kid.spell(t)
	if _, ok := n.kid.(naiveGroup); ok {
		s = "(" + s + ")"
	}
	return cased(t, "not") + " " + s
}

func (n naiveNested) spell(t *rapid.T) string {
	return n.path + space(t) + ":" + space(t) + "{" + space(t) + n.kid.spell(t) + space(t) + "}"
}

func (n naiveLeaf) spell(t *rapid.T) string {
	if n.name == "*" && n.op == ":" && rapid.Bool().Draw(t, "no field") {
		return n.spellValue(t)
	}
	return n.name + space(t) + n.op + space(t) + n.spellValue(t)
}

func (n naiveValue) spell(t *rapid.T) string { return n.spellValue(t) }

func (n naiveValues) spell(t *rapid.T) string {
	return n.name + space(t) + ":" + space(t) + "(" + space(t) + n.values.spell(t) + space(t) + ")"
}

func (n naiveLeaf) spellValue(t *rapid.T) string {
	if !n.pattern && rapid.Bool().Draw(t, "quoted") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(n.literal) + `"`
	}
	bare := `\():<>"{}`
	if !n.pattern {
		bare += "*"
	}
	var b strings.Builder
	for _, r := range n.literal {
		switch {
		case strings.ContainsRune(bare, r):
			b.WriteString(`\` + string(r))
		case r == '\'' || r == '=' || r != '*' && rapid.IntRange(0, 30).Draw(t, "escape") == 0:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return regexp.MustCompile(`(?i)(^|\s)(and|or|not)(\s|$)`).ReplaceAllString(b.String(), `$1\$2$3`)
}

func cased(t *rapid.T, word string) string {
	return rapid.SampledFrom([]string{word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:]}).Draw(t, "case")
}

func space(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", " ", "\n\t", "\u00a0"}).Draw(t, "space")
}

func (n naiveGroup) holds(s *situation, elem int32) bool {
	count := 0
	for _, k := range n.kids {
		if k.holds(s, elem) {
			count++
		}
	}
	return n.word == "or" && count > 0 || count == len(n.kids)
}

func (n naiveNot) holds(s *situation, elem int32) bool { return !n.kid.holds(s, elem) }

func (n naiveValues) holds(s *situation, elem int32) bool { return n.values.holds(s, elem) }

// holds tries every index an element can have, as far as anything at all is known of such an element.
func (n naiveNested) holds(s *situation, _ int32) bool {
	slot, _ := s.Slot(n.path + ".*")
	for elem := range int32(10) {
		exists := slices.ContainsFunc(s.Values(slot), func(v schemas.Value) bool { return v.Elem == elem })
		if exists && n.kid.holds(s, elem) {
			return true
		}
	}
	return false
}

func (n naiveLeaf) holds(s *situation, elem int32) bool {
	field := qualify(n.path, n.name)
	if field == "*" && n.pattern && n.literal == "*" {
		return true
	}
	if field == "@timestamp" {
		at := time.UnixMilli(s.Time).UTC().Format(time.RFC3339)
		return n.holdsFor("date", schemas.Value{Text: []byte(at)})
	}
	slot, ok := s.Slot(field)
	if !ok {
		panic("no slot for " + field)
	}
	for _, v := range s.Values(slot) {
		if (elem < 0 || elem == v.Elem) && n.holdsFor(schemas.FieldType(field).String(), v) {
			return true
		}
	}
	return false
}

func (n naiveLeaf) holdsFor(kind string, v schemas.Value) bool {
	text := string(v.Text)
	if n.pattern {
		expr := strings.ReplaceAll(regexp.QuoteMeta(n.literal), `\*`, `.*`)
		return regexp.MustCompile(`(?s)\A` + expr + `\z`).MatchString(text)
	}
	switch kind {
	case "date": // RFC 3339 in UTC sorts as text; a part of a date is its first bytes
		cut := text[:min(len(text), len(n.literal))]
		return ordered(strings.Compare(cut, n.literal), n.op)
	case "long":
		a, errA := strconv.ParseFloat(text, 64)
		b, errB := strconv.ParseFloat(n.literal, 64)
		return errA == nil && errB == nil && a == b && ordered(0, n.op) || a < b && ordered(-1, n.op) || a > b && ordered(1, n.op)
	case "ip":
		a, err := netip.ParseAddr(text)
		return err == nil && n.holdsAddress(a)
	}
	if n.op == ":" {
		a, err := netip.ParseAddr(text)
		inside := strings.Contains(n.name, "*") && err == nil && isAddress(n.literal) && n.holdsAddress(a)
		return text == n.literal || inside
	}
	a, errA := strconv.ParseFloat(text, 64)
	b, errB := strconv.ParseFloat(n.literal, 64)
	if v.Kind == schemas.Number && errA == nil && errB == nil {
		return a < b && ordered(-1, n.op) || a > b && ordered(1, n.op) || a == b && ordered(0, n.op)
	}
	return ordered(strings.Compare(text, n.literal), n.op)
}

func isAddress(s string) bool {
	_, errA := netip.ParseAddr(s)
	_, errP := netip.ParsePrefix(s)
	return errA == nil || errP == nil
}

// holdsAddress compares addresses as strings of 128 zeros and ones.
func (n naiveLeaf) holdsAddress(a netip.Addr) bool {
	binary := func(a netip.Addr) string {
		var b strings.Builder
		for _, x := range a.As16() {
			fmt.Fprintf(&b, "%08b", x)
		}
		return b.String()
	}
	address, size, isPrefix := strings.Cut(n.literal, "/")
	want, cut := netip.MustParseAddr(address), 128
	if isPrefix {
		cut, _ = strconv.Atoi(size)
		if want.Is4() {
			cut += 96
		}
	}
	return ordered(strings.Compare(binary(a)[:cut], binary(want)[:cut]), n.op)
}

func ordered(c int, op string) bool {
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return c == 0
}
