package kql

import (
	"slices"
	"testing"

	"firstseen/schemas"

	"pgregory.net/rapid"
)

// What a part answers follows from its parts, and what the query answers is what the matcher decides.
func TestAnswersAgreeWithTheMatcher(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := Parse(drawQuery(t, 3, "").spell(t))
		if err != nil {
			t.Fatal(err)
		}
		layout := schemas.NewLayout(append(Fields(e), "aws.cloudtrail.resources.*"))
		m, err := Compile(e, layout)
		if err != nil {
			t.Fatal(err)
		}
		record := drawRecord(t)
		schemas.NewDecoder(schemas.Config{Layout: layout}).Decode(schemas.Message{Value: []byte(record), Timestamp: 1_800_000_000_000}, sinkFunc(func(event *schemas.Event) {
			a, err := Answers(e, layout, event)
			if err != nil {
				t.Fatalf("%s: %v", e, err)
			}
			if a.Query != e.String() || a.Holds != m.Match(event) {
				t.Fatalf("%s: answered %v to %s", e, a, record)
			}
			if got := follow(t, a, nil); got != a.Holds {
				t.Fatalf("%s\n%+v\ndoes not follow from its parts", e, a)
			}
			decisive := a.Decisive()
			if got := follow(t, a, decisive); got == a.Holds && !repeats(a) {
				t.Fatalf("%s\nwould not answer otherwise if these did: %v", e, decisive)
			}
			var one, other []Condition
			for _, c := range a.Conditions() {
				one = append(one, Condition{Query: c.Query, Holds: c.Holds})
			}
			for _, c := range m.Explain(event) {
				other = append(other, Condition{Query: c.Query, Holds: c.Holds})
			}
			if !slices.Equal(one, other) {
				t.Fatalf("conditions %v, the matcher's are %v", one, other)
			}
		}))
	})
}

// follow decides by the parts of an answer, as if those in flip had answered the opposite. A nested clause is not the
// sum of its parts, as they need not be true of the same element.
func follow(t *rapid.T, a Answer, flip []Answer) bool {
	own := a.Holds
	switch a.Op {
	case "not":
		own = !follow(t, a.Parts[0], flip)
	case "and", "or":
		own = a.Op == "and"
		for _, p := range a.Parts {
			if follow(t, p, flip) == (a.Op == "or") {
				own = a.Op == "or"
			}
		}
	default:
		if slices.ContainsFunc(flip, func(f Answer) bool { return f.Query == a.Query }) {
			own = !own
		}
	}
	if flip == nil && own != a.Holds {
		t.Fatalf("%+v does not follow from its parts", a)
	}
	return own
}

// repeats says whether a condition is there twice, so that the test cannot tell one from the other.
func repeats(a Answer) bool {
	seen := map[string]bool{}
	var again func(a Answer) bool
	again = func(a Answer) bool {
		if len(a.Parts) > 0 {
			return slices.ContainsFunc(a.Parts, again)
		}
		before := seen[a.Query]
		seen[a.Query] = true
		return before
	}
	return again(a)
}

// Only what is wrong is named: of a conjunction the conditions that fail, of alternatives all of them.
func TestDecisive(t *testing.T) {
	for query, want := range map[string][]string{
		`event.provider: s3* and event.action: (PutObject or DeleteObject)`: {`event.action: "PutObject"`, `event.action: "DeleteObject"`},
		`event.action: (PutObject or GetObject)`:                            {`event.action: "GetObject"`},
		`not event.action: GetObject and event.provider: *`:                 {`event.action: "GetObject"`},
		`aws.cloudtrail.resources:{ type: x and arn: * }`:                   {`aws.cloudtrail.resources:{ type: "x" and arn: * }`},
	} {
		e := mustParse(t, query)
		layout := schemas.NewLayout(Fields(e))
		withEvent(t, layout, trailRecord, func(event *schemas.Event) {
			a, err := Answers(e, layout, event)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range a.Decisive() {
				got = append(got, d.Query)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: decided by %q, want %q", query, got, want)
			}
		})
	}
}
