package explain

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
)

// settled explains an event when the workers have processed it.
func settled(a *clitest.Deployment, event string, args ...string) view {
	a.T.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // between two questions to a broker
		v := explained(a.T, "", append(args, "-c", a.Config, event)...)
		if v.Message.State != onTheWay {
			return v
		}
		if time.Since(began) > 20*time.Second {
			a.T.Fatalf("%s is not processed: %+v", event, v.Message)
		}
	}
}

// An event in Kafka is explained by what the workers have written about it: the alert and where it is, the window it
// joined, the dead letter; and by what they know where they wrote nothing.
func TestExplainKafka(t *testing.T) {
	var early string
	a := clitest.Deploy(t, commands(), func(a *clitest.Deployment) {
		early = a.Add("cloudtrail", clitest.AnonymousRead("z", "203.0.113.9", "2026-01-02T00:00:00Z"))
	})
	line := func(id, at string) string {
		return strings.Replace(clitest.AccessLine("192.0.2.2", "31/Jan/2026:"+at+":00 +0000", "wget"), "3E57427F33A59F07", id, 1)
	}
	first := a.Add("cloudtrail", clitest.AnonymousRead("a", "203.0.113.7", "2026-01-02T00:00:00Z"))
	second := a.Add("cloudtrail", clitest.AnonymousRead("b", "203.0.113.7", "2026-01-02T03:00:00Z"))
	file := a.Add("cloudtrail", `{"Records":[`+strings.Replace(clitest.AnonymousRead("c", "203.0.113.8", "2026-01-02T00:00:00Z"), "anonymous", "1111", 1)+
		`,`+clitest.AnonymousRead("d", "203.0.113.8", "2026-01-20T00:00:00Z")+`]}`)
	again := a.Add("cloudtrail", clitest.AnonymousRead("e", "203.0.113.7", "2026-01-12T00:00:00Z"))
	third := a.Add("cloudtrail", clitest.AnonymousRead("f", "203.0.113.7", "2026-01-13T00:00:00Z"))
	a.Add("cloudtrail", clitest.AnonymousRead("g", "203.0.113.7", "2026-01-14T00:00:00Z"))
	broken := a.Add("cloudtrail", strings.Replace(clitest.AnonymousRead("x", "203.0.113.7", "2026-01-14T00:00:00Z"), "}}", ",}}", 1))
	unparsed := a.Add("cloudtrail", `{"eventVersion":"1.10","eventName":"GetObject",}`)
	deleted := a.Add("cloudtrail", strings.Replace(clitest.AnonymousRead("y", "203.0.113.7", "2026-01-14T00:00:00Z"), "GetObject", "DeleteObject", 1))
	opens, joins := a.Add("s3access", line("R1", "10:00")), a.Add("s3access", line("R2", "10:10"))
	nameless := strings.Replace(strings.ReplaceAll(line("-", "10:05"), "acme-logs", "acme-two"), "192.0.2.2", "10.0.0.1/8", 1)
	pair := a.Add("s3access", nameless+strings.Replace(nameless, "10.0.0.1/8", "192.0.2.2", 1))
	late := a.Add("s3access", line("R4", "09:10"))
	refused := a.Add("s3access", strings.Replace(line("R3", "10:20"), "192.0.2.2", "10.0.0.1/8", 1))
	for _, c := range []struct {
		event, rule, decision, says string
		args                        []string
	}{
		{early, clitest.NewTermsRule, wasLearned, "it was only learned", nil},
		{deleted, "shadowed", madeHeld, "reason shadow, it is at ask.suppressed/", nil},
		{deleted, clitest.NewTermsRule, noAlert, "does not tell", nil},
		{first, clitest.NewTermsRule, madeAlert, "203.0.113.7 read bucket acme-logs without credentials; this address was not seen before", nil},
		{second, clitest.NewTermsRule, noAlert, "203.0.113.7 was seen 3h before (history 7d)", nil},
		{file, clitest.NewTermsRule, noMatch, `cloud.account.id is "1111"`, []string{"--index=0"}},
		{file, clitest.NewTermsRule, madeAlert, "203.0.113.8 read bucket acme-logs", []string{"--index=1"}},
		{again, clitest.NewTermsRule, madeAlert, "was not seen in the 7 days before, last at 2026-01-02T03:00:00Z", nil},
		{third, clitest.NewTermsRule, noAlert, "does not tell when it was last seen before this event, and no alert was found", nil},
		{opens, clitest.IPListRule, madeAlert, "the address is outside every allowlisted network", nil},
		{joins, clitest.IPListRule, joinedWindow, "it is in the window of alert ", nil},
		{late, clitest.IPListRule, joinedWindow, "it came late", nil},
		{refused, clitest.IPListRule, isDead, "host bits", nil},
	} {
		v := settled(a, c.event, c.args...)
		r := v.of(t, c.rule)
		if r.Decision != c.decision || !strings.Contains(r.Answer, c.says) || v.Message.State == onTheWay || v.Store.Unlike {
			t.Errorf("%s %v: %s, %s\nwant %s, %s\n%+v", c.event, c.args, r.Decision, r.Answer, c.decision, c.says, v.Store)
		}
	}
	for _, event := range []string{broken, refused} {
		if v := settled(a, event); v.Dead == nil || !strings.HasPrefix(v.Store.Dead, "ask.dlq/") || !strings.HasPrefix(v.Answer[0], "Dead letter (") {
			t.Errorf("%s: %+v %+v", event, v.Dead, v.Store)
		}
	}
	if v := settled(a, unparsed); v.Dead == nil || v.Store.Dead != "" || !strings.HasPrefix(v.Answer[0], "No alert: no rule can match the record, so workers do not parse it") {
		t.Errorf("%s: %+v %+v", unparsed, v.Dead, v.Store)
	}
	// Of two records without an id of their own, each has what was written about it, and the window of its group alone.
	if v := settled(a, pair, "--index=0"); v.Dead == nil || v.of(t, clitest.IPListRule).Decision != isDead {
		t.Errorf("the first of %s: %+v %+v", pair, v.Dead, v.Rules)
	}
	if v := settled(a, pair, "--index=1"); v.Dead != nil || v.of(t, clitest.IPListRule).Decision != madeAlert {
		t.Errorf("the second of %s: %+v %+v", pair, v.Dead, v.Rules)
	}
	window := settled(a, opens).of(t, clitest.IPListRule).Outcomes[0].ID
	for _, f := range settled(a, joins).of(t, clitest.IPListRule).Outcomes[0].Alerts {
		if f.ID != window {
			t.Errorf("%s is in the window of alert %s, and %s is shown", joins, window, f.ID)
		}
	}
	alerts := settled(a, again).of(t, clitest.NewTermsRule).Outcomes[0]
	if len(alerts.Alerts) != 1 || alerts.Alerts[0].ID != alerts.ID || alerts.Alerts[0].Previous != "2026-01-02T03:00:00.000Z" ||
		!strings.HasPrefix(alerts.Alerts[0].Place, "ask.alerts/") || !alerts.Seen.Newer || alerts.Seen.Count != 6 {
		t.Errorf("%+v\n%+v", alerts, alerts.Seen)
	}
	// The same record from a file is told by its own id.
	v := explained(t, clitest.AnonymousRead("e", "203.0.113.7", "2026-01-12T00:00:00Z"), "-c", a.Config, "-")
	if r := v.of(t, clitest.NewTermsRule); r.Decision != madeAlert || r.Outcomes[0].ID != alerts.ID || v.Message.State != nowhere {
		t.Errorf("from a file: %+v", r)
	}
	t.Run("state get", func(t *testing.T) { stateGet(t, a) })
	t.Run("asked wrongly", func(t *testing.T) { askedWrongly(t, a) })

	a.Stop()
	unread := a.Add("cloudtrail", clitest.AnonymousRead("h", "203.0.113.7", "2026-01-15T00:00:00Z"))
	v = explained(t, "", "-c", a.Config, unread)
	if r := v.of(t, clitest.NewTermsRule); r.Decision != isWaiting || !strings.Contains(r.Answer, "group ask.ingest is at offset") {
		t.Errorf("not read: %+v", r)
	}
	if v := explained(t, "", "-c", a.Config, "--set", "rules.set="+clitest.NewTermsRule+".new_terms.history=3d", first); !v.Store.Unlike {
		t.Error("other rules than the worker's: that is not said")
	}
	v = explained(t, clitest.AnonymousRead("h", "203.0.113.7", "2026-01-15T00:00:00Z"), "--state", a.State, "-")
	if r := v.of(t, clitest.NewTermsRule); r.Decision != wouldNotAlert || !strings.Contains(r.Answer, "203.0.113.7 was seen 1d before") {
		t.Errorf("from the directory of a stopped worker: %+v", r)
	}
}

func stateGet(t *testing.T, a *clitest.Deployment) {
	e := execute(t, nil, "state", "get", "-c", a.Config, "--json", "203.0.113.7")
	var got []struct {
		Rule  string
		First string `json:"first_seen"`
		Last  string `json:"last_seen"`
		New   string `json:"new_after"`
		Count int64
	}
	if err := json.Unmarshal([]byte(e.Stdout), &got); err != nil || len(got) != 1 {
		t.Fatalf("exit code %d, %v\n%s%s", e.Code, err, e.Stdout, e.Stderr)
	}
	if v := got[0]; v.Rule != clitest.NewTermsRule || v.First != "2026-01-02T00:00:00Z" || v.Last != "2026-01-14T00:00:00Z" || v.New != "2026-01-21T00:00:00Z" || v.Count != 6 {
		t.Errorf("got %+v", v)
	}
	if e := execute(t, nil, "state", "get", "-c", a.Config, "--rule", clitest.NewTermsRule+"x", "203.0.113.7"); e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, `no such rule (did you mean "`+clitest.NewTermsRule+`"?)`) {
		t.Errorf("a rule of nobody's: exit code %d\n%s", e.Code, e.Stderr)
	}
	if e := execute(t, nil, "state", "get", "--state", a.State, "203.0.113.7"); e.Code != cli.ExitGuarantee || !strings.Contains(e.Stderr, "in use by a running worker or scan: leave --state out and give -c FILE") {
		t.Errorf("the directory of a running worker: exit code %d\n%s", e.Code, e.Stderr)
	}
}

func askedWrongly(t *testing.T, a *clitest.Deployment) {
	for _, c := range []struct {
		event, says string
		code        int
	}{
		{"cloudtrail/0/1000", "no committed record of cloudtrail/0 has offset 1000", cli.ExitUsage},
		{"cloudtrail/7/0", "cloudtrail has no partition 7, it has 2", cli.ExitUsage},
		{"nothing/0/0", "the topic does not exist: nothing", cli.ExitUsage},
		{"cloudtrail/0/3", "the message has 2 records: say which one with --index N\n  --index 0", cli.ExitUsage},
	} {
		e := execute(t, nil, "explain", "-c", a.Config, c.event)
		if e.Code != c.code || !strings.Contains(e.Stderr, c.says) {
			t.Errorf("%s: exit code %d, %q; want %d, %q", c.event, e.Code, e.Stderr, c.code, c.says)
		}
	}
	e := execute(t, nil, "explain", "-c", a.Config, "--set", "app=other", "cloudtrail/0/0")
	if e.Code != cli.ExitGuarantee || !strings.Contains(e.Stderr, `no worker of app "other" has run here yet`) {
		t.Errorf("another app: exit code %d, %s", e.Code, e.Stderr)
	}
}

// Without a broker that answers a file is explained all the same, and the exit code says that something is missing.
func TestExplainUnreachable(t *testing.T) {
	e := execute(t, strings.NewReader(clitest.AnonymousRead("e", "203.0.113.7", "2026-01-10T00:00:00Z")), "explain", "--set", "brokers="+clitest.FreeAddress(t), "-")
	if e.Code != cli.ExitGuarantee || !strings.HasPrefix(e.Stdout, "Rule "+clitest.NewTermsRule+" matches, and whether it alerts is not known") || !strings.Contains(e.Stderr, "cannot reach Kafka") {
		t.Errorf("exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
}
