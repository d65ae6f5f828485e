package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/devbroker"
)

// asking is a deployment of one worker that events are explained of.
type asking struct {
	t      *testing.T
	cl     *kgo.Client
	config string
	rules  string // directory
	state  string
	stop   func()
}

// shadowRule has its alerts suppressed, each match one.
const shadowRule = "id: shadowed\nname: Deletions\ndataset: aws.cloudtrail\nquery: 'event.provider: s3.amazonaws.com and event.action: DeleteObject'\nseverity: low\nmode: shadow\n"

// askWorker runs a worker on an embedded broker until the test stops it, or ends. What before writes is there when the
// deployment begins.
func askWorker(t *testing.T, before func(*asking)) *asking {
	t.Helper()
	broker, err := devbroker.Start(devbroker.Options{Topics: []devbroker.Topic{{Name: "cloudtrail", Partitions: 2}, {Name: "s3access", Partitions: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	a := &asking{t: t, state: filepath.Join(t.TempDir(), "state"), rules: filepath.Dir(write(t, "shadow.yaml", shadowRule))}
	http := freeAddress(t)
	a.config = write(t, "firstseen.yml", fmt.Sprintf("app: ask\ninstance: one\nbrokers: [%q]\nsources: [{topic: cloudtrail}, {topic: s3access}]\npartitions: 4\nstate: {dir: %q}\nhttp: {listen: %q}\nrules: {paths: [%q]}\n",
		broker.Addr(), a.state, http, a.rules))
	if a.cl, err = kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.cl.Close)
	before(a)
	ctx, cancel := context.WithCancel(context.Background())
	var out lockedBuffer
	code := make(chan int, 1)
	go func() { code <- run(&cli.App{Ctx: ctx, Stdout: &out, Stderr: &out}, []string{"run", "-c", a.config}) }()
	ended := false
	a.stop = func() {
		if cancel(); !ended {
			ended = true
			if got := <-code; got != cli.ExitOK {
				t.Errorf("run: exit code %d\n%s", got, out.String())
			}
		}
	}
	t.Cleanup(a.stop)
	awaitHTTP(t, "http://"+http+"/readyz", "ready")
	return a
}

// add writes a message to partition 0 and returns its place.
func (a *asking) add(topic, value string) string {
	a.t.Helper()
	r := &kgo.Record{Topic: topic, Value: []byte(value)}
	if err := a.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		a.t.Fatal(err)
	}
	return fmt.Sprintf("%s/0/%d", topic, r.Offset)
}

// settled explains an event when the workers have processed it.
func (a *asking) settled(event string, args ...string) explainView {
	a.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // between two questions to a broker
		v := explained(a.t, "", append(args, "-c", a.config, event)...)
		if v.Message.State != onTheWay {
			return v
		}
		if time.Since(began) > 20*time.Second {
			a.t.Fatalf("%s is not processed: %+v", event, v.Message)
		}
	}
}

// An event in Kafka is explained by what the workers have written about it: the alert and where it is, the window it
// joined, the dead letter; and by what they know where they wrote nothing.
func TestExplainKafka(t *testing.T) {
	var early string
	a := askWorker(t, func(a *asking) {
		early = a.add("cloudtrail", anonymousRead("z", "203.0.113.9", "2026-01-02T00:00:00Z"))
	})
	line := func(id, at string) string {
		return strings.Replace(accessLine("192.0.2.2", "31/Jan/2026:"+at+":00 +0000", "wget"), "3E57427F33A59F07", id, 1)
	}
	first := a.add("cloudtrail", anonymousRead("a", "203.0.113.7", "2026-01-02T00:00:00Z"))
	second := a.add("cloudtrail", anonymousRead("b", "203.0.113.7", "2026-01-02T03:00:00Z"))
	file := a.add("cloudtrail", `{"Records":[`+strings.Replace(anonymousRead("c", "203.0.113.8", "2026-01-02T00:00:00Z"), "anonymous", "1111", 1)+
		`,`+anonymousRead("d", "203.0.113.8", "2026-01-20T00:00:00Z")+`]}`)
	again := a.add("cloudtrail", anonymousRead("e", "203.0.113.7", "2026-01-12T00:00:00Z"))
	third := a.add("cloudtrail", anonymousRead("f", "203.0.113.7", "2026-01-13T00:00:00Z"))
	a.add("cloudtrail", anonymousRead("g", "203.0.113.7", "2026-01-14T00:00:00Z"))
	broken := a.add("cloudtrail", strings.Replace(anonymousRead("x", "203.0.113.7", "2026-01-14T00:00:00Z"), "}}", ",}}", 1))
	unparsed := a.add("cloudtrail", `{"eventVersion":"1.10","eventName":"GetObject",}`)
	deleted := a.add("cloudtrail", strings.Replace(anonymousRead("y", "203.0.113.7", "2026-01-14T00:00:00Z"), "GetObject", "DeleteObject", 1))
	opens, joins := a.add("s3access", line("R1", "10:00")), a.add("s3access", line("R2", "10:10"))
	nameless := strings.Replace(strings.ReplaceAll(line("-", "10:05"), "acme-logs", "acme-two"), "192.0.2.2", "10.0.0.1/8", 1)
	pair := a.add("s3access", nameless+strings.Replace(nameless, "10.0.0.1/8", "192.0.2.2", 1))
	late := a.add("s3access", line("R4", "09:10"))
	refused := a.add("s3access", strings.Replace(line("R3", "10:20"), "192.0.2.2", "10.0.0.1/8", 1))
	for _, c := range []struct {
		event, rule, decision, says string
		args                        []string
	}{
		{early, newTermsRule, wasLearned, "it was only learned", nil},
		{deleted, "shadowed", madeHeld, "reason shadow, it is at ask.suppressed/", nil},
		{deleted, newTermsRule, noAlert, "does not tell", nil},
		{first, newTermsRule, madeAlert, "203.0.113.7 read bucket acme-logs without credentials; this address was not seen before", nil},
		{second, newTermsRule, noAlert, "203.0.113.7 was seen 3h before (history 7d)", nil},
		{file, newTermsRule, noMatch, `cloud.account.id is "1111"`, []string{"--index=0"}},
		{file, newTermsRule, madeAlert, "203.0.113.8 read bucket acme-logs", []string{"--index=1"}},
		{again, newTermsRule, madeAlert, "was not seen in the 7 days before, last at 2026-01-02T03:00:00Z", nil},
		{third, newTermsRule, noAlert, "does not tell when it was last seen before this event, and no alert was found", nil},
		{opens, ipListRule, madeAlert, "the address is outside every allowlisted network", nil},
		{joins, ipListRule, joinedWindow, "it is in the window of alert ", nil},
		{late, ipListRule, joinedWindow, "it came late", nil},
		{refused, ipListRule, isDead, "host bits", nil},
	} {
		v := a.settled(c.event, c.args...)
		r := v.of(t, c.rule)
		if r.Decision != c.decision || !strings.Contains(r.Answer, c.says) || v.Message.State == onTheWay || v.Store.Unlike {
			t.Errorf("%s %v: %s, %s\nwant %s, %s\n%+v", c.event, c.args, r.Decision, r.Answer, c.decision, c.says, v.Store)
		}
	}
	for _, event := range []string{broken, refused} {
		if v := a.settled(event); v.Dead == nil || !strings.HasPrefix(v.Store.Dead, "ask.dlq/") || !strings.HasPrefix(v.Answer[0], "Dead letter (") {
			t.Errorf("%s: %+v %+v", event, v.Dead, v.Store)
		}
	}
	if v := a.settled(unparsed); v.Dead == nil || v.Store.Dead != "" || !strings.HasPrefix(v.Answer[0], "No alert: no rule can match the record, so workers do not parse it") {
		t.Errorf("%s: %+v %+v", unparsed, v.Dead, v.Store)
	}
	// Of two records without an id of their own, each has what was written about it, and the window of its group alone.
	if v := a.settled(pair, "--index=0"); v.Dead == nil || v.of(t, ipListRule).Decision != isDead {
		t.Errorf("the first of %s: %+v %+v", pair, v.Dead, v.Rules)
	}
	if v := a.settled(pair, "--index=1"); v.Dead != nil || v.of(t, ipListRule).Decision != madeAlert {
		t.Errorf("the second of %s: %+v %+v", pair, v.Dead, v.Rules)
	}
	window := a.settled(opens).of(t, ipListRule).Outcomes[0].ID
	for _, f := range a.settled(joins).of(t, ipListRule).Outcomes[0].Alerts {
		if f.ID != window {
			t.Errorf("%s is in the window of alert %s, and %s is shown", joins, window, f.ID)
		}
	}
	alerts := a.settled(again).of(t, newTermsRule).Outcomes[0]
	if len(alerts.Alerts) != 1 || alerts.Alerts[0].ID != alerts.ID || alerts.Alerts[0].Previous != "2026-01-02T03:00:00.000Z" ||
		!strings.HasPrefix(alerts.Alerts[0].Place, "ask.alerts/") || !alerts.Seen.Newer || alerts.Seen.Count != 6 {
		t.Errorf("%+v\n%+v", alerts, alerts.Seen)
	}
	// The same record from a file is told by its own id.
	v := explained(t, anonymousRead("e", "203.0.113.7", "2026-01-12T00:00:00Z"), "-c", a.config, "-")
	if r := v.of(t, newTermsRule); r.Decision != madeAlert || r.Outcomes[0].ID != alerts.ID || v.Message.State != nowhere {
		t.Errorf("from a file: %+v", r)
	}
	t.Run("state get", func(t *testing.T) { stateGet(t, a) })
	t.Run("asked wrongly", func(t *testing.T) { askedWrongly(t, a) })

	a.stop()
	unread := a.add("cloudtrail", anonymousRead("h", "203.0.113.7", "2026-01-15T00:00:00Z"))
	v = explained(t, "", "-c", a.config, unread)
	if r := v.of(t, newTermsRule); r.Decision != isWaiting || !strings.Contains(r.Answer, "group ask.ingest is at offset") {
		t.Errorf("not read: %+v", r)
	}
	if v := explained(t, "", "-c", a.config, "--set", "rules.set="+newTermsRule+".new_terms.history=3d", first); !v.Store.Unlike {
		t.Error("other rules than the worker's: that is not said")
	}
	v = explained(t, anonymousRead("h", "203.0.113.7", "2026-01-15T00:00:00Z"), "--state", a.state, "-")
	if r := v.of(t, newTermsRule); r.Decision != wouldNotAlert || !strings.Contains(r.Answer, "203.0.113.7 was seen 1d before") {
		t.Errorf("from the directory of a stopped worker: %+v", r)
	}
}

func stateGet(t *testing.T, a *asking) {
	e := execute(t, nil, "state", "get", "-c", a.config, "--json", "203.0.113.7")
	var got []termView
	if err := json.Unmarshal([]byte(e.stdout), &got); err != nil || len(got) != 1 {
		t.Fatalf("exit code %d, %v\n%s%s", e.code, err, e.stdout, e.stderr)
	}
	if v := got[0]; v.Rule != newTermsRule || v.First != "2026-01-02T00:00:00Z" || v.Last != "2026-01-14T00:00:00Z" || v.New != "2026-01-21T00:00:00Z" || v.Count != 6 {
		t.Errorf("got %+v", v)
	}
	if e := execute(t, nil, "state", "get", "-c", a.config, "--rule", newTermsRule+"x", "203.0.113.7"); e.code != cli.ExitUsage || !strings.Contains(e.stderr, `no such rule (did you mean "`+newTermsRule+`"?)`) {
		t.Errorf("a rule of nobody's: exit code %d\n%s", e.code, e.stderr)
	}
	if e := execute(t, nil, "state", "get", "--state", a.state, "203.0.113.7"); e.code != cli.ExitGuarantee || !strings.Contains(e.stderr, "in use by a running worker or scan: leave --state out and give -c FILE") {
		t.Errorf("the directory of a running worker: exit code %d\n%s", e.code, e.stderr)
	}
}

func askedWrongly(t *testing.T, a *asking) {
	for _, c := range []struct {
		event, says string
		code        int
	}{
		{"cloudtrail/0/1000", "no committed record of cloudtrail/0 has offset 1000", cli.ExitUsage},
		{"cloudtrail/7/0", "cloudtrail has no partition 7, it has 2", cli.ExitUsage},
		{"nothing/0/0", "the topic does not exist: nothing", cli.ExitUsage},
		{"cloudtrail/0/3", "the message has 2 records: say which one with --index N\n  --index 0", cli.ExitUsage},
	} {
		e := execute(t, nil, "explain", "-c", a.config, c.event)
		if e.code != c.code || !strings.Contains(e.stderr, c.says) {
			t.Errorf("%s: exit code %d, %q; want %d, %q", c.event, e.code, e.stderr, c.code, c.says)
		}
	}
	e := execute(t, nil, "explain", "-c", a.config, "--set", "app=other", "cloudtrail/0/0")
	if e.code != cli.ExitGuarantee || !strings.Contains(e.stderr, `no worker of app "other" has run here yet`) {
		t.Errorf("another app: exit code %d, %s", e.code, e.stderr)
	}
}

// Without a broker that answers a file is explained all the same, and the exit code says that something is missing.
func TestExplainUnreachable(t *testing.T) {
	e := execute(t, strings.NewReader(anonymousRead("e", "203.0.113.7", "2026-01-10T00:00:00Z")), "explain", "--set", "brokers="+freeAddress(t), "-")
	if e.code != cli.ExitGuarantee || !strings.HasPrefix(e.stdout, "Rule "+newTermsRule+" matches, and whether it alerts is not known") || !strings.Contains(e.stderr, "cannot reach Kafka") {
		t.Errorf("exit code %d\n%s%s", e.code, e.stdout, e.stderr)
	}
}
