package literal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestIndex(t *testing.T) {
	m := NewMatcher("name", []Condition{
		{Key: "name", Values: []string{"Get", "größe/x"}, Clauses: [][]string{{"Get", "größe/x"}, {"alpha", "beta"}}},
		{Key: "name", Values: []string{"Put"}},
		{Key: "name", Values: []string{"Del"}, Clauses: [][]string{{"Delete"}}},
		{Key: "source", Values: []string{"s3"}, Clauses: [][]string{{"gamma"}}},
		{Clauses: [][]string{{"delta"}}},
	})
	for record, want := range map[string]bool{
		`{"name":"Get","x":"alpha"}`:                       true,
		`{"name":"Get","x":"gamma"}`:                       false,
		`{"name":"Put"}`:                                   true,
		`{"name":"Del"}`:                                   false,
		`{"name" : "List"}`:                                false,
		`{"name":"Gets","x":"alpha"}`:                      false,
		`{"name":"List","source":"s3","x":"gamma"}`:        true,
		`{"name":"List","source":"s4","x":"gamma"}`:        false,
		`{"name":"List","x":"delta"}`:                      true, // no value is asked for
		`{"x":"alpha"}`:                                    true, // no name: the parser says what that is
		"{\"name\" :\r\n\t \"Put\"}":                       true,
		`{"name":"größe/x","x":"beta"}`:                    true,
		`{"name":"gr\u00f6\u00dfe/x","x":"beta"}`:          true, // hidden
		`{"name":"gr\u00f6\u00dfe\/x"}`:                    true,
		`{"n\u0061me":"Put","name":"List"}`:                true, // the key, too
		`{"name":"P\nut"}`:                                 false,
		`{"name":"Put\"","x":1}`:                           false,
		`{"name":["Put","Get"]}`:                           true, // no string
		`{"name":12}`:                                      true,
		`{"name":null}`:                                    true,
		`{"name":"List","name":"Put"}`:                     true, // twice
		`{"name":"Put","name":"List"}`:                     true,
		`{"name":"List","in":{"name":"Put"}}`:              true, // at another level
		`{"name":"List","in":["name"]}`:                    true, // as a value
		`{"name":"List","in":"my name"}`:                   true,
		`{"name":"List","names":"x"}`:                      true, // part of another key
		`{"name":"List","x":"{\"name\":\"Put\"}"}`:         true, // in a record that is in a string
		`{"name":"List","x":"{\\\"name\\\":\\\"Put\\\"}"}`: true,
		`{"name"`:    true, // cut off
		`{"name":`:   true,
		`{"name":"P`: true,
		`name`:       true,
		strings.Repeat(`{"name":"List"}`, maxPlaces+1): true, // more than are looked at
		strings.Repeat(`{"name":"List"}`, maxPlaces-1): false,
	} {
		for range 2 {
			if got := m.Passes([]byte(record)); got != want {
				t.Errorf("%s: %v", record, got)
			}
		}
	}
}

// What is not looked for passes: values that JSON escapes, and what costs more than it spares.
func TestNotIndexed(t *testing.T) {
	numbers := func(n int) (texts []string) {
		for i := range n {
			texts = append(texts, fmt.Sprintf("%c%c", 'a'+i, 'A'+i))
		}
		return texts
	}
	if NewMatcher("name", []Condition{{Key: "name", Values: []string{`a"b`}}}) != nil {
		t.Error("a value with a quote is looked for")
	}
	if m := NewMatcher("name", []Condition{{Key: "name", Values: []string{`a"b`}, Clauses: [][]string{{"alpha"}}}}); m.Passes([]byte(`{"name":"x"}`)) {
		t.Error("without its value, the rest of a condition is not looked for")
	}
	if NewMatcher("name", []Condition{{Clauses: [][]string{numbers(20)}}}) != nil {
		t.Error("literals without a common byte are all looked for")
	}
	m := NewMatcher("name", []Condition{{Key: "name", Values: []string{"Get"}, Clauses: [][]string{numbers(20)}}})
	if !m.Passes([]byte(`{"name":"Get"}`)) || m.Passes([]byte(`{"name":"Put"}`)) {
		t.Error("a value with too many literals does not pass by itself")
	}
	if m := NewMatcher("name", nil); m.Passes([]byte(`{"name":"Get\u0061"}`)) || !m.Passes([]byte(`{"x":1}`)) {
		t.Error("without conditions something passes")
	}
}

// The matcher decides as the definition says, whatever it has seen before.
func TestMatcherKeepsToItsConditions(t *testing.T) {
	words := []string{"alpha", "beta", "gamma", "delta", "Kappa", "k_1"}
	word := rapid.SampledFrom(words)
	rapid.Check(t, func(t *rapid.T) {
		var conditions []Condition
		for range rapid.IntRange(1, 6).Draw(t, "conditions") {
			c := Condition{Key: rapid.SampledFrom([]string{"", "name", "source"}).Draw(t, "key")}
			if c.Key != "" {
				c.Values = rapid.SliceOfN(word, 1, 3).Draw(t, "values")
			}
			c.Clauses = rapid.SliceOfN(rapid.SliceOfN(word, 1, 3), 0, 3).Draw(t, "clauses")
			conditions = append(conditions, c)
		}
		m := NewMatcher("", conditions)
		for range 3 * maxWrong {
			record := map[string]any{"x": rapid.SliceOfN(word, 0, 3).Draw(t, "x")}
			for _, key := range []string{"name", "source"} {
				if rapid.IntRange(0, 4).Draw(t, key) > 0 {
					record[key] = word.Draw(t, key)
				}
			}
			text, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.ContainsFunc(conditions, func(c Condition) bool {
				if c.Key != "" && !slices.ContainsFunc(c.Values, func(v string) bool { return record[c.Key] == v }) {
					return false
				}
				return !slices.ContainsFunc(c.Clauses, func(clause []string) bool {
					return !slices.ContainsFunc(clause, func(l string) bool { return strings.Contains(string(text), l) })
				})
			})
			if got := m.Passes(text); got != want {
				t.Fatalf("%v\n%s: %v", conditions, text, got)
			}
		}
	})
}
