package explain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstseen/cmd/firstseen/internal/clitest"
)

const (
	lateWindows = "id: late.windows\nname: Lists\ndataset: aws.cloudtrail\nquery: 'event.action: ListBuckets'\nseverity: low\ndedup: {period: 1h}\n"
	lateTerms   = "id: late.terms\nname: Lists\ndataset: aws.cloudtrail\nquery: 'event.action: ListBuckets'\nseverity: low\nnew_terms: {fields: [source.address], history: 7d}\n"
)

// Of an event that was written before a rule came, the answer says that and nothing about windows and terms that others
// made since. About an event of the minute around it nothing is claimed.
func TestExplainRuleCameLater(t *testing.T) {
	a := clitest.Deploy(t, commands(), func(*clitest.Deployment) {})
	listed := func(id, address, at string) string {
		return strings.Replace(clitest.AnonymousRead(id, address, "2026-01-02T"+at+":00Z"), "GetObject", "ListBuckets", 1)
	}
	before, after := time.Now().Add(-10*time.Minute), time.Now().Add(10*time.Minute)
	first := a.AddAt(before, listed("a", "203.0.113.7", "00:00"))
	inside := a.AddAt(before, listed("b", "203.0.113.7", "02:10"))
	about := a.AddAt(time.Now(), listed("c", "203.0.113.9", "04:00"))
	settled(a, about)
	late := t.TempDir()
	for name, text := range map[string]string{"windows.yaml": lateWindows, "terms.yaml": lateTerms} {
		if err := os.WriteFile(filepath.Join(late, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, rule := range []string{"late.windows", "late.terms"} {
		if r := settled(a, first, "--rules", late).of(t, rule); r.Decision != notInForce || !strings.Contains(r.Answer, "was not in force: no worker has run with it") {
			t.Errorf("a rule of nobody's: %s, %s", r.Decision, r.Answer)
		}
	}
	for name, text := range map[string]string{"windows.yaml": lateWindows, "terms.yaml": lateTerms} {
		if err := os.WriteFile(filepath.Join(a.Rules, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for began := time.Now(); settled(a, first).Store.Unlike; time.Sleep(50 * time.Millisecond) { // between two questions to a broker
		if time.Since(began) > 20*time.Second {
			t.Fatal("the worker does not take up the rules")
		}
	}
	opens := a.AddAt(after, listed("d", "203.0.113.7", "02:00"))
	joins := a.AddAt(after, listed("e", "203.0.113.8", "02:20"))
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
		if r := settled(a, c.event).of(t, c.rule); r.Decision != c.decision || !strings.Contains(r.Answer, c.says) {
			t.Errorf("%s: %s, %s\nwant %s, %s", c.event, r.Decision, r.Answer, c.decision, c.says)
		}
	}
}
