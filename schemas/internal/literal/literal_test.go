package literal

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyOf are conditions without values, each of some clauses.
func anyOf(conditions ...[][]string) (list []Condition) {
	for _, c := range conditions {
		list = append(list, Condition{Clauses: c})
	}
	return list
}

func TestMatcher(t *testing.T) {
	clauses := func(c ...[]string) [][]string { return c }
	one := []string{"alpha", "be/ta"}
	for _, test := range []struct {
		name       string
		conditions []Condition
		record     string
		want       bool
	}{
		{"no conditions", nil, "x", false},
		{"a condition without clauses", anyOf(nil), "x", true},
		{"a clause that nothing fulfils", anyOf(clauses([]string{})), "x", false},
		{"first literal", anyOf(clauses(one)), `{"a":"alpha"}`, true},
		{"other literal", anyOf(clauses(one)), `{"a":"be/ta"}`, true},
		{"no literal", anyOf(clauses(one)), `{"a":"gamma"}`, false},
		{"nearly", anyOf(clauses(one)), "alph", false},
		{"at the end", anyOf(clauses(one)), "xalpha", true},
		{"both clauses", anyOf(clauses(one, []string{"gamma"})), "gamma alpha", true},
		{"one of two clauses", anyOf(clauses(one, []string{"gamma"})), "alpha", false},
		{"one of two conditions", anyOf(clauses(one), clauses([]string{"gamma"})), "gamma", true},
		{"a clause of each of two conditions", anyOf(clauses(one, []string{"gamma"}), clauses([]string{"delta"}, []string{"zeta"})), "alpha delta", false},
		{"a condition that nothing fulfils, and another", anyOf(clauses([]string{}), clauses(one)), "alpha", true},
		{"hidden by an escape", anyOf(clauses(one)), `{"a":"\u0061lpha"}`, true},
		{"slash escaped", anyOf(clauses(one)), `{"a":"be\/ta"}`, true},
		{"escape in a string in a string", anyOf(clauses(one)), `{"a":"{\"b\":\"\\u0061lpha\"}"}`, true},
		{"slash escaped there", anyOf(clauses(one)), `{"a":"{\"b\":\"be\\/ta\"}"}`, true},
		{"other escapes", anyOf(clauses(one)), `{"a":"x\n\\ \""}`, false},
		{"ends in a backslash", anyOf(clauses(one)), `\`, false},
		{"literal that JSON escapes", anyOf(clauses([]string{`a"b`})), "x", true},
		{"such a literal beside another", anyOf(clauses([]string{`a"b`}, one)), "x", false},
		{"literal that no text has", anyOf(clauses([]string{"a\uFFFDb"})), "x", true},
		{"empty literal", anyOf(clauses([]string{""})), "x", true},
		{"more literals than are worth looking for", anyOf(clauses(strings.Split(strings.Repeat("text ", maxSearches), " "))), "x", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := NewMatcher("", test.conditions)
			for range 2 { // the order of the clauses moves
				if got := m.Passes([]byte(test.record)); got != test.want {
					t.Error(got)
				}
			}
		})
	}
}

func TestNeedle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[abY_"]{1,4}`).Draw(t, "text")
		record := rapid.StringMatching(`[abY_"]{0,40}`).Draw(t, "record")
		n := New(text)
		if got := n.Index([]byte(record)); got != strings.Index(record, text) {
			t.Fatalf("%q in %q: %d", text, record, got)
		}
	})
}

func TestSearches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.StringMatching(`[abkB_"]{1,5}`), 1, 8).Draw(t, "texts")
		record := rapid.StringMatching(`[abkB_"]{0,40}`).Draw(t, "record")
		c := newClause(texts)
		want := slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(record, text) })
		if got := c.holds([]byte(record)); got != want {
			t.Fatalf("%q in %q: %v", texts, record, got)
		}
		if len(c.searches) > len(texts) {
			t.Fatalf("%d searches for %q", len(c.searches), texts)
		}
	})
}
