package kql

import (
	"testing"

	"firstseen/schemas"
)

// elasticQuery is the query of the rule for unauthenticated bucket access.
const elasticQuery = `event.dataset: "aws.cloudtrail"
    and event.provider: "s3.amazonaws.com"
    and event.action: ("GetObject" or "PutObject" or "ListObjects" or "DeleteObject" or "ListBucket")
    and event.outcome: "success"
    and aws.cloudtrail.user_identity.type: ("AWSAccount" or "Unknown")
    and cloud.account.id: "anonymous"`

// Whatever is parsed without an error has a canonical form that means the same, compiles or is refused, and can be asked.
func FuzzParse(f *testing.F) {
	f.Add(elasticQuery)
	for _, c := range grammar {
		f.Add(c.query)
	}
	for _, c := range refused {
		f.Add(c.query[:min(len(c.query), 1000)])
	}
	f.Fuzz(func(t *testing.T, query string) {
		e, err := Parse(query)
		if err != nil {
			if at := err.(*Error).Offset; at < 0 || at > len(query) {
				t.Fatalf("offset %d of %d bytes", at, len(query))
			}
			return
		}
		again, err := Parse(e.String())
		if err != nil {
			t.Fatalf("canonical form %q: %v", e, err)
		}
		if tree(again.root) != tree(e.root) || again.String() != e.String() {
			t.Fatalf("canonical form %q is read as %q", e, again)
		}
		Required(e, func(field string) ([]string, bool) { return []string{field}, true })
		OneOf(e, func(string) bool { return true })
		if m, err := Compile(e, schemas.NewLayout(Fields(e))); err == nil {
			m.Match(&schemas.Event{})
			m.Explain(&schemas.Event{})
		}
	})
}

func TestElasticQuery(t *testing.T) {
	if !matches(t, elasticQuery, trailRecord) {
		t.Error("an anonymous GetObject does not match")
	}
}

// Neither a match nor a miss allocates.
func TestMatchAllocatesNothing(t *testing.T) {
	for name, query := range benchmarkQueries {
		m, layout := mustCompile(t, query)
		withEvent(t, layout, trailRecord, func(e *schemas.Event) {
			if n := testing.AllocsPerRun(100, func() { m.Match(e) }); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		})
	}
}

var benchmarkQueries = map[string]string{
	"elastic-match": elasticQuery,
	"elastic-miss":  elasticQuery + ` and event.action: PutObject`,
	"wildcards":     `event.action: (Get* or *Acl) and user_agent.original: *Mozilla*x* and not source.*: 10.0.0.0/8`,
	"typed":         `source.ip: (10.0.0.0/8 or 203.0.113.0/24) and @timestamp > 2020 and aws.cloudtrail.read_only: true`,
	"nested":        `aws.cloudtrail.resources:{ type: "AWS::S3::Bucket" and arn: *acme-logs and not account_id: x }`,
}

func BenchmarkMatch(b *testing.B) {
	for name, query := range benchmarkQueries {
		b.Run(name, func(b *testing.B) {
			m, layout := mustCompile(b, query)
			withEvent(b, layout, trailRecord, func(e *schemas.Event) {
				b.ReportAllocs()
				for b.Loop() {
					m.Match(e)
				}
			})
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(elasticQuery); err != nil {
			b.Fatal(err)
		}
	}
}
