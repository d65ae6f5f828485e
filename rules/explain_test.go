package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"firstseen/schemas"
	"firstseen/traffic"
)

// explained says what Explain and Match make of a record, by rule.
func explained(t *testing.T, s *Set, record string, do func(*schemas.Event, *Explanation)) {
	t.Helper()
	d := schemas.NewDecoder(schemas.Config{Layout: s.Layout(), Strict: s.Strict()})
	d.Decode(schemas.Message{Value: []byte(record), Timestamp: testTime, Now: testTime}, each{t, func(e *schemas.Event) {
		matched, failed := map[string]bool{}, map[string]error{}
		s.Match(e, func(r *Rule, err error) { matched[r.ID()], failed[r.ID()] = err == nil, err })
		for _, r := range s.Rules() {
			x, err := s.Explain(r, e)
			if err != nil {
				t.Fatalf("rule %s: %v", r.ID(), err)
			}
			if x.Matches() != matched[r.ID()] || (x.Because == RuleFailed) != (failed[r.ID()] != nil) {
				t.Fatalf("rule %s: explained by %s, but Match says %v, %v to %s", r.ID(), x.Because, matched[r.ID()], failed[r.ID()], record)
			}
			do(e, &x)
		}
	}})
}

// reasoned checks that what is said about a decision bears it out.
func reasoned(t *testing.T, e *schemas.Event, x *Explanation) {
	t.Helper()
	query, except := x.Query == nil || x.Query.Holds, x.Except != nil && x.Except.Holds
	allowed := x.Lookup.Inside != nil
	var want []Because
	switch {
	case x.Rule.Dataset() != e.Dataset:
		want = []Because{OtherDataset}
	case x.Rule.Mode() == "off":
		want = []Because{SwitchedOff}
	case !query:
		want = []Because{QueryFails}
	case except:
		want = []Because{Excepted}
	case x.Rule.Text().Allowlist != nil && x.Source == "":
		want = []Because{NoSource}
	case allowed:
		want = []Because{Allowed}
	case x.Rule.HasTerms() && len(x.Terms) == 0:
		want = []Because{NoTerms, RuleFailed}
	default:
		want = []Because{Matched, RuleFailed}
	}
	if !slices.Contains(want, x.Because) {
		t.Fatalf("rule %s: decided by %s, but what is said about it makes it one of %v:\n%+v", x.Rule.ID(), x.Because, want, x)
	}
}

// The explanation's decision is that of Match, and follows from its parts, for real traffic under rules of every form.
func TestExplainAgreesWithMatch(t *testing.T) {
	files := []string{
		"id: every\nname: R\ndataset: aws.cloudtrail\nseverity: low\n",
		"id: off\nname: R\ndataset: aws.cloudtrail\nseverity: low\nmode: off\n",
		"id: except\nname: R\ndataset: aws.cloudtrail\nseverity: low\nquery: 'event.action: (Get* or List*)'\nexcept: 'source.ip: 0.0.0.0/1 or user.name: *'\n",
		"id: terms\nname: R\ndataset: aws.cloudtrail\nseverity: low\nquery: 'not event.outcome: failure'\nnew_terms: {fields: [user.name, event.action], history: 1d}\n",
		"id: lines\nname: R\ndataset: aws.s3access\nseverity: low\nquery: 'httpstatus >= 300 or operation: REST.GET.*'\n" +
			"except: 'requester: *'\nallowlist: {field: remoteip, networks: [0.0.0.0/3, '64.0.0.0/2 expires=2025-01-10']}\n",
	}
	o := LoadOptions{}
	for i, f := range files {
		o.Paths = append(o.Paths, write(t, fmt.Sprintf("r%d.yaml", i), f))
	}
	s := mustLoad(t, o)
	options := traffic.Defaults()
	options.Anonymous, options.Outside, options.Rate = 0.3, 0.5, 0.01
	g, err := traffic.New(options)
	if err != nil {
		t.Fatal(err)
	}
	met := map[Because]int{}
	for range 4000 {
		r := g.Next()
		explained(t, s, string(r.Value), func(e *schemas.Event, x *Explanation) {
			reasoned(t, e, x)
			met[x.Because]++
		})
	}
	for _, b := range []Because{OtherDataset, SwitchedOff, QueryFails, Excepted, Allowed, NoTerms, Matched} {
		if met[b] == 0 {
			t.Errorf("nothing was decided by %s: %v", b, met)
		}
	}
}

// What decides about an access-log record, in the order in which it is looked at, and what is said about it.
func TestExplainAllowlist(t *testing.T) {
	s := mustLoad(t, LoadOptions{Set: []string{ipList + ".query=bucket: watched", ipList + ".allowlist.networks=[10.0.0.0/8, 10.1.0.0/16, '192.0.2.0/24 expires=2025-12-31']"}})
	for _, c := range []struct{ record, because, says string }{
		{accessFrom(`"10.1.2.3"`, "other"), "query", `bucket: "watched"`},
		{accessFrom(`"-"`, "watched"), "no_source", ""},
		{accessFrom(`"10.1.2.3"`, "watched"), "allowlist", "10.1.0.0/16"},
		{accessFrom(`"10.2.2.3"`, "watched"), "allowlist", "10.0.0.0/8"},
		{accessFrom(`"192.0.2.1"`, "watched"), "match", "expired [192.0.2.0/24 expires=2026-01-01T00:00:00Z]"},
		{accessFrom(`"11.0.0.1"`, "watched"), "match", "Non-Approved IP access to S3 Bucket [watched]"},
		{accessFrom(`"10.0.0.1/8"`, "watched"), "error", "host bits"},
		{anonymous("anonymous", "203.0.113.7", ""), "dataset", ""},
	} {
		explained(t, s, c.record, func(_ *schemas.Event, x *Explanation) {
			if x.Rule.ID() != ipList {
				return
			}
			says := []string{x.Title, fmt.Sprint(x.Lookup.Inside), fmt.Sprint("expired ", x.Lookup.Expired), errors.Join(errors.New(""), x.Err).Error()}
			if x.Query != nil {
				for _, d := range x.Query.Decisive() {
					says = append(says, d.Query)
				}
			}
			if string(x.Because) != c.because || !strings.Contains(strings.Join(says, "\n"), c.says) {
				t.Errorf("%s: %s, %q; want %s and %q", c.record, x.Because, says, c.because, c.says)
			}
		})
	}
}

// A rule with terms names each combination that is looked up, as it is looked up.
func TestExplainTerms(t *testing.T) {
	s, _ := ruleFor(t, false, "new_terms: {fields: [source.address, aws.cloudtrail.resources.arn], history: 7d}\n")
	record := anonymous("anonymous", "::ffff:203.0.113.7", `,"resources":[{"ARN":"a"},{"ARN":"b"},{"ARN":"a"}]`)
	explained(t, s, record, func(_ *schemas.Event, x *Explanation) {
		want := [][]string{{"203.0.113.7", "a"}, {"203.0.113.7", "b"}}
		if x.Because != Matched || !slices.EqualFunc(x.Terms, want, slices.Equal) {
			t.Errorf("%s, terms %q, want %q", x.Because, x.Terms, want)
		}
	})
	explained(t, s, anonymous("anonymous", "203.0.113.7", ""), func(_ *schemas.Event, x *Explanation) {
		if x.Because != NoTerms || len(x.Terms) != 0 {
			t.Errorf("%s, terms %q without a resource", x.Because, x.Terms)
		}
	})
}
