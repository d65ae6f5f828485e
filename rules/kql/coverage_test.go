package kql

import (
	"fmt"
	"strings"
	"testing"

	"firstseen/schemas"

	"pgregory.net/rapid"
)

// met returns the coverage of a query after some records.
func met(t *testing.T, query string, records ...string) *Coverage {
	t.Helper()
	e := mustParse(t, query)
	layout := schemas.NewLayout(Fields(e))
	c := NewCoverage(e, func(field string) bool { return field == "event.module" })
	for _, record := range records {
		withEvent(t, layout, record, func(event *schemas.Event) {
			a, err := Answers(e, layout, event)
			if err != nil {
				t.Fatal(err)
			}
			c.Add(a)
		})
	}
	return c
}

// call is a CloudTrail record of an action by a user.
func call(provider, action, user string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","eventTime":"2026-01-01T00:00:00Z","eventSource":%q,"eventName":%q,"userIdentity":{"type":"IAMUser","userName":%q},`+
		`"resources":[{"type":"bucket","ARN":"a"},{"type":"object","ARN":"b"}]}`, provider, action, user)
}

func TestCoverage(t *testing.T) {
	const s3 = "s3.amazonaws.com"
	const query = `event.provider: s3.amazonaws.com and event.action: (GetObject or PutObject) and not user.name: x`
	const nestedQuery = `event.action: a or aws.cloudtrail.resources:{ type: bucket and arn: b }`
	for _, c := range []struct {
		query       string
		records     []string
		reached, of int
		missed      string
	}{
		{query, nil, 0, 7, `no test gets as far as event.provider: "s3.amazonaws.com"
no test gets as far as event.action: ("GetObject" or "PutObject")
no test gets as far as user.name: "x"`},
		{query, []string{call(s3, "GetObject", "ann")}, 3, 7, `no test is without event.provider: "s3.amazonaws.com"
no test has event.action: "PutObject"
no test is without event.action: ("GetObject" or "PutObject")
no test has user.name: "x"`},
		// What is out for another reason says nothing about the rest.
		{query, []string{call("ec2", "PutObject", "x")}, 1, 7, `no test has event.provider: "s3.amazonaws.com"
no test gets as far as event.action: ("GetObject" or "PutObject")
no test gets as far as user.name: "x"`},
		{query, []string{
			call("ec2", "GetObject", "ann"), call(s3, "GetObject", "ann"), call(s3, "PutObject", "x"), call(s3, "HeadObject", "ann"),
		}, 7, 7, ""},
		// An alternative is reached where the ones before it do not hold.
		{`user.name: x or event.action: a`, []string{call(s3, "a", "x")}, 1, 4, "no test is without user.name: \"x\"\nno test gets as far as event.action: \"a\""},
		{`user.name: x or event.action: a`, []string{call(s3, "a", "y"), call(s3, "b", "x")}, 3, 4, `no test is without event.action: "a"`},
		{`not (user.name: x and event.action: *)`, []string{call(s3, "a", "x"), call(s3, "a", "y")}, 3, 4, "no test is without event.action: *"},
		// A nested clause is one condition: of no element both hold.
		{nestedQuery, []string{call(s3, "b", "x")}, 2, 4, "no test has event.action: \"a\"\nno test has aws.cloudtrail.resources:{ type: \"bucket\" and arn: \"b\" }"},
		{`user.name: (a and b)`, []string{call(s3, "a", "a")}, 2, 4, "no test is without user.name: \"a\"\nno test has user.name: \"b\""},
		{``, []string{call(s3, "a", "a")}, 0, 0, ""},
		// What is the same in every record is nothing to be reached.
		{`event.module: aws and user.name: a`, []string{call(s3, "a", "a")}, 1, 2, `no test is without user.name: "a"`},
		{`*: * and user.name: a`, []string{call(s3, "a", "a")}, 1, 2, `no test is without user.name: "a"`},
	} {
		coverage := met(t, c.query, c.records...)
		reached, of := coverage.Reached()
		if missed := strings.Join(coverage.Missed(), "\n"); missed != c.missed || reached != c.reached || of != c.of {
			t.Errorf("%s\nof %s\nreaches %d of %d, want %d of %d, and says\n%s\nwant\n%s", c.query, c.records, reached, of, c.reached, c.of, missed, c.missed)
		}
	}
}

// Whatever the query: what is missed is what is not reached, more events never reach less, and a query that is one
// condition counts as it matches.
func TestCoverageLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := Parse(drawQuery(t, 3, "").spell(t))
		if err != nil {
			t.Fatal(err)
		}
		layout := schemas.NewLayout(Fields(e))
		d := schemas.NewDecoder(schemas.Config{Layout: layout})
		c := NewCoverage(e, func(string) bool { return false })
		before, yes, no := 0, 0, 0
		for range 20 {
			d.Decode(schemas.Message{Value: []byte(drawRecord(t)), Timestamp: 1_800_000_000_000}, sinkFunc(func(event *schemas.Event) {
				a, err := Answers(e, layout, event)
				if err != nil {
					t.Fatal(err)
				}
				if c.Add(a); a.Holds {
					yes++
				} else {
					no++
				}
			}))
			reached, of := c.Reached()
			if reached < before || reached > of || (len(c.Missed()) == 0) != (reached == of) {
				t.Fatalf("%s: %d of %d reached after %d, missed %q", e, reached, of, before, c.Missed())
			}
			before = reached
		}
		if len(c.Conditions) == 1 && c.Conditions[0].Query == e.String() && (c.Conditions[0].True != yes || c.Conditions[0].False != no) {
			t.Fatalf("%s alone counts for every event, %d and %d: %+v", e, yes, no, c.Conditions[0])
		}
	})
}
