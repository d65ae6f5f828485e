package rules

import (
	"errors"
	"fmt"

	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// TestResult is the outcome of one test of a rule.
type TestResult struct {
	Rule, Name string
	Want, Got  bool   // whether the rule matches, and has terms to look up if it is for new terms
	NotRun     string // why the test was not run; usually empty
	Err        error  // the record could not be decoded, or the rule not be evaluated on it

	Explanation Explanation         // of a record that could be decoded: what decided, in whatever mode the rule is
	Values      map[string][]string // what the record has, by canonical name, of the fields that the rule uses
}

// Passed says whether the test passed. A rule that has an error on the record neither matches nor does not.
func (t TestResult) Passed() bool { return t.Err == nil && t.NotRun == "" && t.Got == t.Want }

// testTime is the event time of a test's record that has none of its own, 2026-01-01: tests read no clock.
const testTime = rulefile.ScenarioStart

// RunTests runs the rule's tests of single records.
func RunTests(s *Set, r *Rule) []TestResult {
	var results []TestResult
	for _, test := range r.text.Tests {
		results = append(results, RunTest(s, r, test))
	}
	return results
}

// RunTest runs a test of a single record, which need not be of the rule's own file: the record is decoded as one of the
// rule's dataset, and the rule looks at it, in whatever mode it is. It is a match if the rule would make something of it
// with nothing seen before.
func RunTest(s *Set, r *Rule, test rulefile.Test) TestResult {
	result := TestResult{Rule: r.ID(), Name: test.Name, Want: test.Want, NotRun: test.NotRun}
	if test.NotRun != "" {
		return result
	}
	decoder := schemas.NewDecoder(schemas.Config{Layout: s.layout, Strict: s.strict})
	sink := &testSink{set: s, rule: r, values: map[string][]string{}}
	stats := decoder.Decode(testMessage(r, test.Log, testTime), sink)
	if sink.err == nil && stats.Events != 1 {
		sink.err = fmt.Errorf("want one record of %s, got %d", r.dataset, stats.Events)
	}
	result.Got, result.Err = sink.explained.Because == Matched, sink.err
	result.Explanation, result.Values = sink.explained, sink.values
	return result
}

// testMessage is a record of a test as it comes at the time, in Unix milliseconds.
func testMessage(r *Rule, log []byte, at int64) schemas.Message {
	format := map[schemas.Dataset]schemas.Format{schemas.CloudTrail: schemas.FormatCloudTrail, schemas.S3Access: schemas.FormatS3Access}
	return schemas.Message{Value: log, Format: format[r.dataset], Timestamp: at, Now: at}
}

// testSink evaluates a rule on the event it is given.
type testSink struct {
	set       *Set
	rule      *Rule
	explained Explanation
	values    map[string][]string
	err       error
}

func (t *testSink) Event(e *schemas.Event) {
	if e.Dataset != t.rule.dataset {
		t.err = fmt.Errorf("want a record of %s, got one of %s", t.rule.dataset, e.Dataset)
		return
	}
	x, err := t.set.explain(t.rule, e)
	t.explained, t.err = x, errors.Join(t.err, err, x.Err)
	for _, name := range fieldNames(t.rule.text) {
		slot, ok := t.set.layout.Slot(name)
		name = canonicalName(name)
		if _, done := t.values[name]; done || !ok {
			continue
		}
		for _, v := range e.Values(slot) {
			t.values[name] = append(t.values[name], string(v.Text))
		}
	}
}

func (t *testSink) Dead(l schemas.DeadLetter) {
	t.err = errors.Join(t.err, fmt.Errorf("%s: %s", l.Reason, l.Detail))
}
