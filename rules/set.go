package rules

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"firstseen/rules/kql"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// Set is the rules of a worker. It is immutable and shared by goroutines.
type Set struct {
	strict    bool
	rules     []*Rule                       // by id
	byDataset [schemas.S3Access + 1][]*Rule // those that are not off
	layout    *schemas.Layout
	filters   map[schemas.Dataset]*schemas.Filter
	encoded   []byte
	hash      [sha256.Size]byte
}

// newSet compiles the rules. files are where they were read, by id; it may be nil.
func newSet(texts []*rulefile.Rule, files map[string]string, strict bool) (*Set, error) {
	texts = slices.Clone(texts)
	slices.SortFunc(texts, func(a, b *rulefile.Rule) int { return strings.Compare(a.ID, b.ID) })
	var names []string
	for _, t := range texts {
		names = append(names, fieldNames(t)...)
	}
	s := &Set{strict: strict, layout: schemas.NewLayout(slices.DeleteFunc(names, func(n string) bool { return n == "" }))}
	for _, t := range texts {
		r, err := compile(t, files[t.ID], strict, s.layout)
		if err != nil {
			return nil, err
		}
		s.rules = append(s.rules, r)
		if t.Mode != rulefile.Off {
			s.byDataset[r.dataset] = append(s.byDataset[r.dataset], r)
		}
	}
	s.filters = map[schemas.Dataset]*schemas.Filter{}
	for _, d := range []schemas.Dataset{schemas.CloudTrail, schemas.S3Access} {
		if f := filter(d, s.byDataset[d]); f != nil {
			s.filters[d] = f
		}
	}
	var err error
	if s.encoded, err = json.Marshal(encodedSet{encodedFormat, strict, texts}); err != nil {
		return nil, fmt.Errorf("encode rules: %w", err)
	}
	s.hash = sha256.Sum256(s.encoded)
	return s, nil
}

// Hash is the SHA-256 of Encode. Records name by it the rules that made them.
func (s *Set) Hash() [32]byte { return s.hash }

// Strict says whether the set takes its rules to the letter.
func (s *Set) Strict() bool { return s.strict }

// Layout has a slot for every field that a rule uses.
func (s *Set) Layout() *schemas.Layout { return s.layout }

// Filters has, for each dataset, what every record contains that a rule can match. A dataset without an entry has no
// such condition.
func (s *Set) Filters() map[schemas.Dataset]*schemas.Filter { return s.filters }

// Rules returns all rules by id, those that are off too. The slice is the set's own.
func (s *Set) Rules() []*Rule { return s.rules }

// Rule returns the rule with the id, nil if there is none.
func (s *Set) Rule(id string) *Rule {
	i, ok := slices.BinarySearchFunc(s.rules, id, func(r *Rule, id string) int { return strings.Compare(r.ID(), id) })
	if !ok {
		return nil
	}
	return s.rules[i]
}

// Match calls yield for each rule that matches the event, in the order of their ids. With an error the rule could not be
// evaluated on this event: it neither matches nor does not, and the event belongs to the dead letters. An event that no
// rule matches costs no allocation.
func (s *Set) Match(e *schemas.Event, yield func(*Rule, error)) {
	if int(e.Dataset) >= len(s.byDataset) {
		return
	}
	for _, r := range s.byDataset[e.Dataset] {
		if ok, err := r.match(e); ok || err != nil {
			yield(r, err)
		}
	}
}

// maxClauses bounds the filter of a dataset; leaving a clause out only lets more records pass.
const maxClauses = 16

// filter returns what records of the dataset must contain for any of its rules to match: the rules' conditions,
// distributed over the or between them. It is nil where there is no such condition; without rules nothing passes.
func filter(d schemas.Dataset, rules []*Rule) *schemas.Filter {
	clauses := [][]string{{}}
	for _, r := range rules {
		var own, either [][]string
		if r.query != nil {
			own = kql.Required(r.query, func(field string) bool { return verbatim(d, canonicalName(field)) })
		}
		for _, a := range clauses {
			for _, b := range own {
				literals := slices.Concat(a, b)
				slices.Sort(literals)
				either = append(either, slices.Compact(literals))
			}
		}
		slices.SortStableFunc(either, func(a, b []string) int { return len(a) - len(b) })
		clauses = either[:min(len(either), maxClauses)]
	}
	if len(clauses) == 0 {
		return nil
	}
	return &schemas.Filter{Clauses: clauses}
}

// copied are the fields whose values stand in a record as they are, JSON escapes aside. What is derived is not there,
// as event.outcome is not; nor are numbers and times, which have several spellings, and keys, which are URL-encoded.
var copied = map[schemas.Dataset][]string{
	schemas.CloudTrail: {
		"event.id", "event.provider", "event.action", "cloud.region", "cloud.account.id", "source.address", "user.id",
		"user.name", "user_agent.original", "tls.version", "tls.cipher", "tls.client.server_name",
		"aws.cloudtrail.event_type", "aws.cloudtrail.event_category", "aws.cloudtrail.error_code",
		"aws.cloudtrail.error_message", "aws.cloudtrail.recipient_account_id", "aws.cloudtrail.vpc_endpoint_id",
		"aws.cloudtrail.user_identity.type", "aws.cloudtrail.user_identity.arn",
		"aws.cloudtrail.user_identity.access_key_id", "aws.cloudtrail.user_identity.invoked_by",
		"aws.cloudtrail.resources.arn", "aws.cloudtrail.resources.type", "aws.cloudtrail.resources.account_id",
	},
	schemas.S3Access: {
		"event.action", "client.user.id", "aws.s3access.bucket_owner", "aws.s3access.bucket", "aws.s3access.requester",
		"aws.s3access.request_id", "aws.s3access.operation",
	},
}

func verbatim(d schemas.Dataset, field string) bool {
	return slices.Contains(copied[d], field) ||
		d == schemas.CloudTrail && strings.HasPrefix(field, "aws.cloudtrail.flattened.")
}
