package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	lateWindows = "id: late.windows\nname: Lists\ndataset: aws.cloudtrail\nquery: 'event.action: ListBuckets'\nseverity: low\ndedup: {period: 1h}\n"
	lateTerms   = "id: late.terms\nname: Lists\ndataset: aws.cloudtrail\nquery: 'event.action: ListBuckets'\nseverity: low\nnew_terms: {fields: [source.address], history: 7d}\n"
)

// addAt writes a message with a Kafka timestamp.
func (a *asking) addAt(at time.Time, value string) string {
	a.t.Helper()
	r := &kgo.Record{Topic: "cloudtrail", Value: []byte(value), Timestamp: at}
	if err := a.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		a.t.Fatal(err)
	}
	return fmt.Sprintf("cloudtrail/0/%d", r.Offset)
}

// Of an event that was written before a rule came, the answer says that and nothing about windows and terms that others
// made since. About an event of the minute around it nothing is claimed.
func TestExplainRuleCameLater(t *testing.T) {
	a := askWorker(t, func(*asking) {})
	listed := func(id, address, at string) string {
		return strings.Replace(anonymousRead(id, address, "2026-01-02T"+at+":00Z"), "GetObject", "ListBuckets", 1)
	}
	before, after := time.Now().Add(-10*time.Minute), time.Now().Add(10*time.Minute)
	first := a.addAt(before, listed("a", "203.0.113.7", "00:00"))
	inside := a.addAt(before, listed("b", "203.0.113.7", "02:10"))
	about := a.addAt(time.Now(), listed("c", "203.0.113.9", "04:00"))
	a.settled(about)
	late := t.TempDir()
	for name, text := range map[string]string{"windows.yaml": lateWindows, "terms.yaml": lateTerms} {
		if err := os.WriteFile(filepath.Join(late, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, rule := range []string{"late.windows", "late.terms"} {
		if r := a.settled(first, "--rules", late).of(t, rule); r.Decision != notInForce || !strings.Contains(r.Answer, "was not in force: no worker has run with it") {
			t.Errorf("a rule of nobody's: %s, %s", r.Decision, r.Answer)
		}
	}
	for name, text := range map[string]string{"windows.yaml": lateWindows, "terms.yaml": lateTerms} {
		if err := os.WriteFile(filepath.Join(a.rules, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for began := time.Now(); a.settled(first).Store.Unlike; time.Sleep(50 * time.Millisecond) { // between two questions to a broker
		if time.Since(began) > 20*time.Second {
			t.Fatal("the worker does not take up the rules")
		}
	}
	opens := a.addAt(after, listed("d", "203.0.113.7", "02:00"))
	joins := a.addAt(after, listed("e", "203.0.113.8", "02:20"))
	for _, c := range []struct{ event, rule, decision, says string }{
		{opens, "late.windows", madeAlert, "Alert "},
		{opens, "late.terms", madeHeld, "reason learning"},
		{joins, "late.windows", joinedWindow, "it is in the window of alert "},
		{first, "late.windows", notInForce, "the rule came at "},
		{first, "late.terms", notInForce, "what had been read by then it did not look at; no alert was found"},
		{inside, "late.windows", notInForce, "the rule came at "},
		{inside, "late.terms", notInForce, "the rule came at "},
		{about, "late.windows", notKnown, "as it is now is not known; no alert was found"},
		{about, "late.terms", notKnown, "as it is now is not known; no alert was found"},
	} {
		if r := a.settled(c.event).of(t, c.rule); r.Decision != c.decision || !strings.Contains(r.Answer, c.says) {
			t.Errorf("%s: %s, %s\nwant %s, %s", c.event, r.Decision, r.Answer, c.decision, c.says)
		}
	}
}
