package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/devbroker"
	"firstseen/processor"
	"firstseen/rules"
	"firstseen/traffic"
)

// replayed is a deployment that has processed 20 days of traffic, spread over several partitions so that what belongs
// together stays together.
type replayed struct {
	t      *testing.T
	app    string
	addr   string
	cl     *kgo.Client
	file   string // its configuration
	cfg    processor.Config
	inputs []*kgo.Record
	start  time.Time // of the traffic
	model  *traffic.Model
	alerts int // that the model makes of all of it
}

// deploy sets up a deployment with a change to a rule, and makes traffic for it.
func deploy(t *testing.T, brokers, app, set string) *replayed {
	t.Helper()
	dir := t.TempDir()
	d := &replayed{t: t, app: app, addr: brokers, file: filepath.Join(dir, "firstseen.yml")}
	text := fmt.Sprintf("app: %s\nbrokers: [%s]\nsources: [{topic: %[1]s-cloudtrail}, {topic: %[1]s-s3access}]\nrules: {set: [%[3]q]}\n", app, brokers, set)
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, _, err := rules.Load(rules.LoadOptions{Set: []string{set}})
	if err != nil {
		t.Fatal(err)
	}
	if d.cl, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.cl.Close)
	d.cfg = processor.Config{
		App: app, Instance: "one", Client: []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.MetadataMinAge(100 * time.Millisecond)},
		Sources: []processor.Source{{Topic: app + "-cloudtrail"}, {Topic: app + "-s3access"}}, Rules: loaded, StateDir: filepath.Join(dir, "state"), Partitions: 4,
		Lanes:  map[processor.Stage]int{processor.StageIngest: 1},
		Timing: processor.Timing{Session: 10 * time.Second, Rebalance: 15 * time.Second, Heartbeat: 500 * time.Millisecond, Transaction: 8 * time.Second, Tick: time.Second},
	}
	o := traffic.Defaults()
	o.Seed, o.Rate, o.Trail, o.Anonymous, o.Outside, o.Addresses, o.Buckets = 3, 4000/(20*86400.), 0.5, 0.7, 0.7, 1200, 30
	g, err := traffic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	model, at := traffic.NewModel(), time.Time{}
	for range 4000 {
		r := g.Next()
		model.Add(&r)
		if r.Time.After(at) { // late ones arrive when they arrive
			at = r.Time
		}
		d.inputs = append(d.inputs, &kgo.Record{Topic: app + "-" + string(r.Kind), Partition: r.Partition(3), Value: r.Value, Timestamp: at})
	}
	d.start, d.model, d.alerts = o.Start, model, len(model.Alerts)
	forever := "-1" // the traffic is older than what brokers keep by default
	for _, s := range d.cfg.Sources {
		if _, err := kadm.NewClient(d.cl).CreateTopic(t.Context(), 3, -1, map[string]*string{"retention.ms": &forever}, s.Topic); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *replayed) produce(records []*kgo.Record) {
	d.t.Helper()
	if err := d.cl.ProduceSync(d.t.Context(), records...).FirstErr(); err != nil {
		d.t.Fatal(err)
	}
}

// work runs a worker, and while it does fn, until it has made as many alerts as fn says, suppressed ones included.
func (d *replayed) work(fn func() (alerts int)) {
	d.t.Helper()
	w, err := processor.New(d.cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			d.t.Errorf("worker: %v", err)
		}
	})
	defer running.Wait()
	defer stop()
	alerts, last := fn(), 0
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) { // between two questions to a broker
		if last = d.count(); last >= alerts {
			return
		}
	}
	d.t.Fatalf("%d alerts, want %d", last, alerts)
}

// count is how many alerts there are, by id, those that say that a cap was reached not counted.
func (d *replayed) count() int {
	d.t.Helper()
	cfg := d.cfg
	cfg.Sources = []processor.Source{{Topic: d.app + ".alerts"}, {Topic: d.app + ".suppressed"}}
	r, err := processor.OpenRange(d.t.Context(), cfg, processor.Earliest, processor.Latest)
	if err != nil {
		return 0 // they are being created
	}
	ids := map[string]bool{}
	err = r.Each(d.t.Context(), func(rec *kgo.Record) error {
		if !strings.Contains(string(rec.Value), "cap on alerts reached") {
			ids[string(rec.Key)] = true
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return len(ids)
}

// day is a time of the traffic as the command line takes it.
func (d *replayed) day(n float64) string {
	return d.start.Add(time.Duration(n * 24 * float64(time.Hour))).UTC().Format(time.RFC3339)
}

// replay runs the command and returns its report.
func (d *replayed) replay(args ...string) (r replayReport) {
	d.t.Helper()
	e := execute(d.t, nil, append([]string{"replay", "-c", d.file, "--json"}, args...)...)
	if e.code != exitOK {
		d.t.Fatalf("replay %v: exit code %d\n%s", args, e.code, e.stderr)
	}
	if err := json.Unmarshal([]byte(e.stdout), &r); err != nil {
		d.t.Fatal(err)
	}
	return r
}

// sum adds up the rules of a report.
func (r replayReport) sum() (s ruleDiff) {
	for _, d := range r.Rules {
		s.Would, s.Did, s.Same, s.Moved, s.Added, s.Gone = s.Would+d.Would, s.Did+d.Did, s.Same+d.Same, s.Moved+d.Moved, s.Added+d.Added, s.Gone+d.Gone
		s.WouldCaps, s.DidCaps = s.WouldCaps+d.WouldCaps, s.DidCaps+d.DidCaps
	}
	return s
}

const noCapOnAlerts = traffic.NewTermsRule + ".max_alerts=off"

func embeddedBroker(t *testing.T) string {
	t.Helper()
	broker, err := devbroker.Start(devbroker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	return broker.Addr()
}

func TestReplayOfTheSameRules(t *testing.T) {
	d := replayOfTheSameRules(t, embeddedBroker(t), "same")
	d.writesNothing()
	d.produce(d.inputs[:1]) // there is no worker now
	unread := fmt.Sprintf("has not read all of %s/%d yet", d.inputs[0].Topic, d.inputs[0].Partition)
	if notes := d.replay("--from", "earliest").Notes; len(notes) != 1 || !strings.Contains(notes[0], unread) {
		t.Errorf("notes %q, want that the deployment %s", notes, unread)
	}
}

// replayOfTheSameRules replays what a worker has processed with the rules it had: all is the same, wherever the range
// begins and ends, if what the rules remember is read before it.
func replayOfTheSameRules(t *testing.T, brokers, app string) *replayed {
	d := deploy(t, brokers, app, noCapOnAlerts)
	d.produce(d.inputs)
	d.work(func() int { return d.alerts })
	trail, lines := d.cfg.Sources[0].Topic, d.cfg.Sources[1].Topic
	for _, test := range []struct {
		args string
		want int // alerts, at least
	}{
		{"--from earliest", d.alerts},
		{"--from " + d.day(10), d.alerts / 4},
		{"--from " + d.day(10) + " --to " + d.day(11.5), 20},
		{"--from " + d.day(10) + " --warm 9d12h --state-dir " + t.TempDir(), d.alerts / 4},
		{fmt.Sprintf("--from %[1]s/0:300,%[1]s/2:350,%[2]s/1:200,%[2]s/2:400 --to latest", trail, lines), 100},
		{fmt.Sprintf("--from earliest --to %s/1:300", trail), 100},
		{"--from latest", 0},
	} {
		r := d.replay(strings.Fields(test.args)...)
		s := r.sum()
		if s.Would != s.Did || s.Same != s.Did || s.Moved+s.Added+s.Gone != 0 || len(r.Notes) > 0 {
			t.Errorf("%s: %+v %v", test.args, s, r.Notes)
		}
		if s.Did < int64(test.want) {
			t.Errorf("%s: %d alerts, want %d at least", test.args, s.Did, test.want)
		}
		if against := d.replay(append(strings.Fields(test.args), "--against", "rules")...).sum(); fmt.Sprint(against) != fmt.Sprint(s) {
			t.Errorf("%s: against the rules %+v, against the alerts %+v", test.args, against, s)
		}
	}
	if s := d.replay("--from", d.day(10), "--warm", "0").sum(); s.Added == 0 || s.Gone > 0 {
		t.Errorf("without a warm-up addresses should be new that were not: %+v", s)
	}
	return d
}

// writesNothing compares the brokers before and after a replay.
func (d *replayed) writesNothing() {
	d.t.Helper()
	adm := kadm.NewClient(d.cl)
	look := func() string {
		topics, err := adm.ListTopics(d.t.Context())
		if err != nil {
			d.t.Fatal(err)
		}
		ends, err2 := adm.ListEndOffsets(d.t.Context(), topics.Names()...)
		groups, err3 := adm.ListGroups(d.t.Context())
		txns, err4 := adm.ListTransactions(d.t.Context(), nil, nil)
		if err2 != nil || err3 != nil || err4 != nil {
			d.t.Fatal(err2, err3, err4)
		}
		return fmt.Sprint(topics.Names(), ends.Offsets().Sorted(), groups.Groups(), txns.TransactionalIDs())
	}
	before := look()
	d.replay("--from", d.day(10), "--to", d.day(11))
	if after := look(); after != before {
		d.t.Errorf("before: %s\nafter:  %s", before, after)
	}
}

// TestReplayOfCandidates replays with other rules. The difference to the alerts of a worker is the one to a replay of
// the worker's rules.
func TestReplayOfCandidates(t *testing.T) {
	d := deploy(t, embeddedBroker(t), "candidates", noCapOnAlerts)
	d.produce(d.inputs)
	d.work(func() int { return d.alerts })
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	builtin := func(file string, changes ...string) string {
		text, err := os.ReadFile("../../rules/builtin/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.NewReplacer(changes...).Replace(string(text)); got != string(text) {
			return got
		}
		t.Fatalf("%s has changed: %q is not in it", file, changes)
		return ""
	}
	terms, list := "aws_s3_unauthenticated_bucket_access_by_rare_source.yaml", "aws_s3_access_ip_allowlist.yaml"
	for _, test := range []struct {
		name, file  string
		added, gone bool
	}{
		{"longer history", builtin(terms, "history: 7d", "history: 14d"), false, true},
		{"shorter history", builtin(terms, "history: 7d", "history: 1d"), true, false},
		{"an hour becomes a day", builtin(list, "period: 60m", "period: 24h"), false, true},
		{"another allowlist", builtin(list, "10.0.0.0/8", "128.0.0.0/1"), true, true},
		{"in shadow mode", builtin(list, "threshold: 1", "threshold: 1\nmode: shadow"), false, true},
		{"one rule more", strings.Replace(goodRule, `"acme-logs"`, "*", 1), true, false},
	} {
		args := []string{"--from", d.day(8), "--rules", write("candidate.yaml", test.file)}
		r := d.replay(args...)
		s := r.sum()
		if (s.Added > 0) != test.added || (s.Gone > 0) != test.gone || s.Same == 0 {
			t.Errorf("%s: %+v", test.name, s)
		}
		if s.Would != s.Same+s.Moved+s.Added || s.Did != s.Same+s.Moved+s.Gone {
			t.Errorf("%s: %+v does not add up", test.name, s)
		}
		if against := d.replay(append(args, "--against", "rules")...); fmt.Sprint(against.sum()) != fmt.Sprint(s) {
			t.Errorf("%s: against the rules %+v, against the alerts %+v", test.name, against.sum(), s)
		}
		if e := execute(t, nil, append([]string{"replay", "-c", d.file, "--fail-on-diff", "--limit", "1"}, args...)...); e.code != exitFindings {
			t.Errorf("%s: exit code %d with --fail-on-diff\n%s%s", test.name, e.code, e.stdout, e.stderr)
		}
	}
}

// TestReplayOfACap has a cap that is reached: which alerts are over it is a matter of order, so they count all the same.
func TestReplayOfACap(t *testing.T) {
	d := deploy(t, embeddedBroker(t), "capped", traffic.NewTermsRule+".max_alerts={count: 3, per: 24h}")
	d.produce(d.inputs)
	d.work(func() int { return d.alerts })
	for _, from := range []string{"earliest", d.day(9)} {
		r := d.replay("--from", from)
		s := r.sum()
		if s.Same != s.Did || s.Would != s.Did || s.Added+s.Gone+s.Moved != 0 {
			t.Errorf("from %s: %+v", from, s)
		}
		if s.WouldCaps < 5 || s.DidCaps < 1 { // a worker that catches up meets the partitions in another order
			t.Errorf("from %s: the cap was reached %d and %d times, the test shows too little", from, s.WouldCaps, s.DidCaps)
		}
	}
}

// TestReplayOfAThreshold ends ranges where windows are open whose alert was made later: by a match behind the range, so
// it is none of the range's.
func TestReplayOfAThreshold(t *testing.T) {
	d := deploy(t, embeddedBroker(t), "threshold", traffic.AllowlistRule+".threshold=2")
	alerts := 0
	for _, a := range d.model.Alerts {
		if a.Rule == traffic.NewTermsRule || a.Count > 1 {
			alerts++
		}
	}
	d.produce(d.inputs)
	d.work(func() int { return alerts })
	for n := range 12 {
		to := d.start.Add(12*24*time.Hour + time.Duration(n)*20*time.Minute).Format(time.RFC3339)
		r := d.replay("--from", d.day(10), "--to", to)
		if s := r.sum(); s.Same != s.Did || s.Would != s.Did || s.Added+s.Gone+s.Moved != 0 || s.Did < 40 {
			t.Errorf("to %s: %+v", to, s)
		}
	}
}

// TestReplayOfWhatWasLearned has a deployment that learned or skipped the first half: it made no alerts of that, and of
// what comes after it those that a replay makes.
func TestReplayOfWhatWasLearned(t *testing.T) {
	for _, test := range []struct {
		name string
		mode processor.LearningMode
	}{{"learned", processor.LearnEverything}, {"skipped", processor.SkipEverything}} {
		t.Run(test.name, func(t *testing.T) {
			d := deploy(t, embeddedBroker(t), test.name, traffic.AllowlistRule+".dedup.period=24h") // many windows would have begun before
			d.cfg.Learning = processor.Learning{Mode: test.mode}
			d.produce(d.inputs[:2000])
			d.work(func() int {
				d.awaitNote("learn/")
				d.produce(d.inputs[2000:])
				return int(d.replay("--from", "earliest").sum().Would)
			})
			for _, from := range []string{"earliest", d.day(9), d.day(14)} {
				r := d.replay("--from", from)
				s := r.sum()
				if s.Same != s.Did || s.Would != s.Did || s.Added+s.Gone+s.Moved != 0 || s.Did < 50 {
					t.Errorf("from %s: %+v", from, s)
				}
				if noted := len(r.Notes) == 1 && strings.Contains(r.Notes[0], "learned"); noted != (from != d.day(14)) {
					t.Errorf("from %s: notes %q", from, r.Notes)
				}
			}
		})
	}
}

// awaitNote waits for a record of control whose key begins so.
func (d *replayed) awaitNote(prefix string) {
	d.t.Helper()
	cfg := d.cfg
	cfg.Sources = []processor.Source{{Topic: d.app + ".control"}}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) { // between two questions to a broker
		r, err := processor.OpenRange(d.t.Context(), cfg, processor.Earliest, processor.Latest)
		if err != nil {
			continue // it is being created
		}
		found := false
		if err := r.Each(d.t.Context(), func(rec *kgo.Record) error {
			found = found || strings.HasPrefix(string(rec.Key), prefix)
			return nil
		}); err != nil {
			d.t.Fatal(err)
		}
		if found {
			return
		}
	}
	d.t.Fatalf("control has no record %s", prefix)
}
