package kql

import (
	"slices"
	"testing"
)

func TestDoubts(t *testing.T) {
	for query, want := range map[string][]string{
		`bucket: acme-*`:                       nil,
		`bucket: "acme-*"`:                     {`bucket is compared with "acme-*", star and all: outside of quotes a star stands for any characters`},
		`not bucket: "*"`:                      {`bucket is compared with "*", star and all: outside of quotes a star stands for any characters`},
		`bucket: * and requester: ("a" or b*)`: nil,
		`*: *`:                                 nil,
		`bucket: a and acme`:                   {`"acme" is looked for in every field: write field: value, and the operators and, or, not in small letters`},
	} {
		e, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := Doubts(e); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
