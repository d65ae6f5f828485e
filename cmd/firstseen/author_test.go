package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/processor"
	"firstseen/processor/history"
	"firstseen/traffic"
)

// TestRuleAuthorsHour is on the embedded broker; author_kafka_test.go has it on Apache Kafka.
func TestRuleAuthorsHour(t *testing.T) {
	t.Parallel()
	ruleAuthorsHour(t, clitest.Broker(t), "author", 8*time.Second)
}

// deletes is the rule that is written. %s is what it looks at.
const deletes = `
id: anonymous-deletes
name: Objects deleted without credentials
version: 1
description: Somebody without credentials deleted an object.
dataset: aws.cloudtrail
query: 'event.provider: "s3.amazonaws.com" and cloud.account.id: ("anonymous" or "ANONYMOUS_PRINCIPAL") and event.action: %s and event.outcome: success'
title: "{event.action} by {source.address}"
severity: high
tests:
  - name: deletes alert, reads do not
    log: {eventSource: s3.amazonaws.com, sourceIPAddress: 203.0.113.7, userIdentity: {type: AWSAccount, accountId: anonymous}}
    events:
      - {log: {eventName: GetObject}}
      - {name: the deletion, log: {eventName: DeleteObject}}
      - {after: 1s, name: another, log: {eventName: DeleteObject}}
    alerts:
      - {event: the deletion, severity: high, title: DeleteObject by 203.0.113.7}
      - {event: another}
`

// ruleAuthorsHour writes a rule while a worker is under load: a skeleton, a test that fails, the rule that passes it, a
// replay of what was recorded, and the file in its place. The worker takes it up without a restart: of the other rules
// no alert is lost or doubled, and the new one alerts once on every event that comes from then on, and on none before.
func ruleAuthorsHour(t *testing.T, brokers, app string, pace time.Duration) {
	d := &authoring{clitest.NewPast(t, brokers, app, traffic.NewTermsRule+".max_alerts=off")}
	dir := t.TempDir()
	draft, live := filepath.Join(dir, "anonymous-deletes.yaml"), filepath.Join(dir, "rules")
	page := clitest.FreeAddress(t)
	config := fmt.Sprintf("app: %s\ninstance: one\nbrokers: [%s]\nsources: [{topic: %[1]s-cloudtrail}, {topic: %[1]s-s3access}]\npartitions: 4\nlearning: none\n"+
		"state: {dir: %[3]q}\nhttp: {listen: %[4]q}\nrules: {paths: [%[5]q], set: [%[6]q]}\n",
		app, brokers, filepath.Join(dir, "state"), page, live, traffic.NewTermsRule+".max_alerts=off")
	if err := os.Mkdir(live, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.File, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := d.runWorker(page)
	defer stop()
	quarter, half := make(chan struct{}), make(chan struct{})
	sent := make(chan error, 1)
	go func() { sent <- d.send(pace, quarter, half) }()
	<-quarter

	expect := func(want int, part string, args ...string) string {
		t.Helper()
		e := execute(t, nil, args...)
		if e.Code != want || !strings.Contains(e.Stdout+e.Stderr, part) {
			t.Fatalf("%v: exit code %d, want %d and %q\n%s%s", args, e.Code, want, part, e.Stdout, e.Stderr)
		}
		return e.Stdout
	}
	expect(cli.ExitOK, draft, "rules", "new", "anonymous-deletes", "--kind", "query", "--dataset", "aws.cloudtrail", "-o", draft)
	expect(cli.ExitOK, "PASS", "test", draft)
	d.write(draft, fmt.Sprintf(deletes, "PutObject"))
	expect(cli.ExitFindings, "FAIL", "test", draft)
	d.write(draft, fmt.Sprintf(deletes, "DeleteObject"))
	expect(cli.ExitOK, "PASS", "test", draft)
	var replayed struct{ Rules []struct{ Added, Did int64 } }
	if err := json.Unmarshal([]byte(expect(cli.ExitOK, "", "replay", "-c", d.File, "--rules", draft, "--only", "anonymous-deletes", "--from", "earliest", "--json")), &replayed); err != nil {
		t.Fatal(err)
	}
	if len(replayed.Rules) != 1 || replayed.Rules[0].Added < 20 || replayed.Rules[0].Did != 0 {
		t.Errorf("replay: %+v", replayed.Rules)
	}
	before := d.committed()
	if err := os.Rename(draft, filepath.Join(live, "anonymous-deletes.yaml")); err != nil {
		t.Fatal(err)
	}
	clitest.AwaitHTTP(t, "http://"+page+"/metrics", `firstseen_rules_reloads_total{result="ok"} 1`)
	after := d.ends()
	d.write(filepath.Join(live, "broken.yaml"), "id: broken\n")
	clitest.AwaitHTTP(t, "http://"+page+"/readyz", "broken.yaml")
	clitest.AwaitHTTP(t, "http://"+page+"/metrics", `firstseen_rules_reloads_total{result="failed"} 1`)
	clitest.AwaitHTTP(t, "http://"+page+"/metrics", "firstseen_rules_refused 1")
	if err := os.Remove(filepath.Join(live, "broken.yaml")); err != nil {
		t.Fatal(err)
	}
	clitest.AwaitHTTP(t, "http://"+page+"/metrics", "firstseen_rules_refused 0")
	close(half)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	d.judge(before, after, stop)
}

// authoring is a deployment that a rule is written for.
type authoring struct{ *clitest.Past }

func (d *authoring) write(file, text string) {
	d.T.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		d.T.Fatal(err)
	}
}

// runWorker runs the run command until stop is called, which fails the test if it does not end well.
func (d *authoring) runWorker(page string) (stop func()) {
	d.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var out clitest.Buffer
	code := make(chan int, 1)
	go func() { code <- run(&cli.App{Ctx: ctx, Stdout: &out, Stderr: &out}, []string{"run", "-c", d.File}) }()
	d.T.Cleanup(func() {
		if d.T.Failed() {
			d.T.Logf("the worker said:\n%s", out.String())
		}
	})
	clitest.AwaitHTTP(d.T, "http://"+page+"/readyz", "ready")
	stopped := false
	return func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if got := <-code; got != cli.ExitOK {
			d.T.Errorf("run: exit code %d\n%s", got, out.String())
		}
	}
}

// send writes the records: a half over the pace, with a quarter of which quarter is closed, and when half is closed the
// rest.
func (d *authoring) send(pace time.Duration, quarter, half chan struct{}) error {
	const steps = 100
	began := time.Now()
	for i := range steps {
		switch i {
		case steps / 4:
			close(quarter)
		case steps / 2:
			<-half
		}
		batch := d.Inputs[i*len(d.Inputs)/steps : (i+1)*len(d.Inputs)/steps]
		if err := d.Client.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
			return err
		}
		time.Sleep(time.Until(began.Add(pace * time.Duration(i+1) / steps))) // the load is what this is for
	}
	return nil
}

// committed returns the offsets that ingest has committed, and ends those behind the last records there are, by topic and
// partition.
func (d *authoring) committed() map[string]int64 {
	d.T.Helper()
	offsets, err := kadm.NewClient(d.Client).FetchOffsets(d.T.Context(), d.App+".ingest")
	if err != nil {
		d.T.Fatal(err)
	}
	at := map[string]int64{}
	offsets.Each(func(o kadm.OffsetResponse) { at[fmt.Sprint(o.Topic, "/", o.Partition)] = o.At })
	return at
}

func (d *authoring) ends() map[string]int64 {
	d.T.Helper()
	list, err := kadm.NewClient(d.Client).ListEndOffsets(d.T.Context(), d.App+"-cloudtrail")
	if err != nil {
		d.T.Fatal(err)
	}
	at := map[string]int64{}
	list.Each(func(o kadm.ListedOffset) { at[fmt.Sprint(o.Topic, "/", o.Partition)] = o.Offset })
	return at
}

// made is the open alerts: how many of the new rule by the place of their event, and how many of the others by id.
func (d *authoring) made() (deletes, others map[string]int) {
	d.T.Helper()
	cfg := d.Worker
	cfg.Sources = []processor.Source{{Topic: d.App + ".alerts"}}
	r, err := history.Open(d.T.Context(), cfg, history.Earliest, history.Latest)
	if err != nil {
		d.T.Fatal(err)
	}
	deletes, others = map[string]int{}, map[string]int{}
	err = r.Each(d.T.Context(), func(rec *kgo.Record) error {
		var a struct {
			Rule      struct{ ID string }
			Firstseen struct {
				Alert  struct{ ID, Status string }
				Origin struct {
					Topic     string
					Partition int32
					Offset    int64
				}
				Suppressed struct{ Count int64 } // of an alert that says that a cap was reached
			}
		}
		if err := json.Unmarshal(rec.Value, &a); err != nil {
			return err
		}
		own := &a.Firstseen
		switch {
		case own.Alert.ID == "":
			return fmt.Errorf("this is no alert: %s", rec.Value)
		case own.Alert.Status != "open" || own.Suppressed.Count > 0:
		case a.Rule.ID == "anonymous-deletes":
			deletes[place(own.Origin.Topic, own.Origin.Partition, own.Origin.Offset)]++
		default:
			others[own.Alert.ID]++
		}
		return nil
	})
	if err != nil {
		d.T.Fatal(err)
	}
	return deletes, others
}

func place(topic string, partition int32, offset int64) string {
	return fmt.Sprint(topic, "/", partition, "/", offset)
}

// matches are the places of the records that the new rule is about, found without any of the program's code.
func (d *authoring) matches() map[string]bool {
	all := map[string]bool{}
	next := map[string]int64{}
	for _, r := range d.Inputs {
		partition := fmt.Sprint(r.Topic, "/", r.Partition)
		offset := next[partition]
		next[partition]++
		var e struct {
			EventSource, EventName, ErrorCode string
			UserIdentity                      struct{ AccountID string }
		}
		if json.Unmarshal(r.Value, &e) == nil && e.EventSource == "s3.amazonaws.com" && e.EventName == "DeleteObject" && e.ErrorCode == "" &&
			(e.UserIdentity.AccountID == "anonymous" || e.UserIdentity.AccountID == "ANONYMOUS_PRINCIPAL") {
			all[place(r.Topic, r.Partition, offset)] = true
		}
	}
	return all
}

// judge waits for the alerts that must come, stops the worker, and looks for others: of records that were decided
// before the rule was there, which is what had been committed then, and for alerts that are there twice.
func (d *authoring) judge(before, after map[string]int64, stop func()) {
	d.T.Helper()
	matches := d.matches()
	must, may := 0, 0
	var deletes, others map[string]int
	missing := func() (n int) {
		deletes, others = d.made()
		must, may = 0, 0
		for m := range matches {
			at := strings.LastIndex(m, "/")
			offset, _ := strconv.ParseInt(m[at+1:], 10, 64)
			switch {
			case offset >= after[m[:at]]:
				must++
				if deletes[m] == 0 {
					n++
				}
			case offset >= before[m[:at]]:
				may++
			case deletes[m] > 0:
				d.T.Errorf("%s had been decided before there was the rule", m)
			}
		}
		return n + max(0, d.Alerts-len(others))
	}
	for deadline := time.Now().Add(time.Minute); missing() > 0; time.Sleep(100 * time.Millisecond) { // between two questions to a broker
		if time.Now().After(deadline) || d.T.Failed() {
			d.T.Fatalf("%d alerts are missing", missing())
		}
	}
	stop()
	if missing() > 0 || len(others) != d.Alerts {
		d.T.Errorf("%d alerts of the other rules, want %d", len(others), d.Alerts)
	}
	for what, n := range deletes {
		if n > 1 || !matches[what] {
			d.T.Errorf("%d alerts about %s, of which the rule knows: %v", n, what, matches[what])
		}
	}
	for id, n := range others {
		if n > 1 {
			d.T.Errorf("alert %s is there %d times", id, n)
		}
	}
	d.T.Logf("%d records match the new rule: %d after it was taken up, %d meanwhile; %d alerts of it, %d of the others", len(matches), must, may, len(deletes), len(others))
	if must < 20 {
		d.T.Errorf("only %d records for the new rule: the test shows too little", must)
	}
}
