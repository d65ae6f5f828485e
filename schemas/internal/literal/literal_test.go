package literal

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMatcher(t *testing.T) {
	clauses := func(c ...[]string) [][]string { return c }
	one := []string{"alpha", "be/ta"}
	for _, test := range []struct {
		name    string
		clauses [][]string
		record  string
		want    bool
	}{
		{"none", nil, "x", true},
		{"no clauses", clauses(), "x", true},
		{"a clause that nothing fulfils", clauses([]string{}), "x", false},
		{"first literal", clauses(one), `{"a":"alpha"}`, true},
		{"other literal", clauses(one), `{"a":"be/ta"}`, true},
		{"no literal", clauses(one), `{"a":"gamma"}`, false},
		{"nearly", clauses(one), "alph", false},
		{"at the end", clauses(one), "xalpha", true},
		{"both clauses", clauses(one, []string{"gamma"}), "gamma alpha", true},
		{"one of two clauses", clauses(one, []string{"gamma"}), "alpha", false},
		{"hidden by an escape", clauses(one), `{"a":"\u0061lpha"}`, true},
		{"slash escaped", clauses(one), `{"a":"be\/ta"}`, true},
		{"escaped backslash", clauses(one), `{"a":"x\n\\u0061lpha\""}`, false},
		{"other escapes", clauses(one), `{"a":"x\n\\ \""}`, false},
		{"ends in a backslash", clauses(one), `\`, false},
		{"literal that JSON escapes", clauses([]string{`a"b`}), "x", true},
		{"literal that no text has", clauses([]string{"a\uFFFDb"}), "x", true},
		{"empty literal", clauses([]string{""}), "x", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the order of the clauses moves
				if got := NewMatcher(test.clauses).Passes([]byte(test.record)); got != test.want {
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
