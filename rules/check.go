package rules

import (
	"errors"
	"fmt"

	"firstseen/schemas"
)

// TestResult is the outcome of one test of a rule.
type TestResult struct {
	Rule, Name string
	Want, Got  bool  // whether the rule matches
	Err        error // the record could not be decoded, or the rule not be evaluated on it
}

// Passed says whether the test passed. A rule that has an error on the record neither matches nor does not.
func (t TestResult) Passed() bool { return t.Err == nil && t.Got == t.Want }

// testTime is the event time of a test's record that has none of its own, 2026-01-01: tests read no clock.
const testTime = 1_767_225_600_000

// RunTests runs the tests of single records: each is decoded as a record of the rule's dataset, and the rule looks at
// it, in whatever mode it is.
func RunTests(s *Set, r *Rule) []TestResult {
	format := map[schemas.Dataset]schemas.Format{
		schemas.CloudTrail: schemas.FormatCloudTrail, schemas.S3Access: schemas.FormatS3Access,
	}[r.dataset]
	decoder := schemas.NewDecoder(schemas.Config{Layout: s.layout, Strict: s.strict})
	var results []TestResult
	for _, test := range r.text.Tests {
		sink := &testSink{rule: r}
		stats := decoder.Decode(schemas.Message{Value: test.Log, Format: format, Timestamp: testTime, Now: testTime}, sink)
		if sink.err == nil && stats.Events != 1 {
			sink.err = fmt.Errorf("want one record of %s, got %d", r.dataset, stats.Events)
		}
		results = append(results, TestResult{Rule: r.ID(), Name: test.Name, Want: test.Want, Got: sink.matched, Err: sink.err})
	}
	return results
}

// testSink evaluates a rule on the events it is given.
type testSink struct {
	rule    *Rule
	matched bool
	err     error
}

func (t *testSink) Event(e *schemas.Event) {
	if e.Dataset != t.rule.dataset {
		t.err = fmt.Errorf("want a record of %s, got one of %s", t.rule.dataset, e.Dataset)
		return
	}
	matched, err := t.rule.match(e)
	t.matched, t.err = t.matched || matched, errors.Join(t.err, err)
}

func (t *testSink) Dead(l schemas.DeadLetter) {
	t.err = errors.Join(t.err, fmt.Errorf("%s: %s", l.Reason, l.Detail))
}
