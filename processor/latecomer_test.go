package processor

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
	"firstseen/schemas"
)

// latecomer is a deployment whose rules change while it runs. Days are those of the records, also Kafka's.
type latecomer struct {
	*cluster
	app string
	in  *inside
}

// rules has the worker change to the built-in rules and these files.
func (l *latecomer) rules(texts ...string) {
	l.t.Helper()
	dir := l.t.TempDir()
	for n, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", n)), []byte(text), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	set := mustLoad(l.t, rules.LoadOptions{Paths: []string{dir}, Set: noCap})
	if err := l.in.SetRules(context.Background(), set); err != nil {
		l.t.Fatal(err)
	}
}

// read sends a record of an address on a day and returns what comes of it, a line for each alert.
func (l *latecomer) read(address string, day int, want ...string) {
	l.t.Helper()
	at := day0.AddDate(0, 0, day)
	r := &kgo.Record{Topic: l.app + "-cloudtrail", Value: []byte(anonymous(address, at)), Timestamp: at}
	if err := l.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
	l.awaitDrained(l.app, 30*time.Second)
	var got []string
	for _, topic := range []string{".alerts", ".suppressed"} {
		for _, r := range l.cluster.read(l.app + topic) {
			var d document
			if err := json.Unmarshal(r.Value, &d); err != nil {
				l.t.Fatal(err)
			}
			if !d.Timestamp.Equal(at) || !slices.Contains(d.Firstseen.NewTerms.Values, address) {
				continue
			}
			rule, _, _ := strings.Cut(d.Rule.ID, "-")
			line := fmt.Sprintf("%s since day %v", rule, d.Firstseen.NewTerms.Start.Sub(day0).Hours()/24)
			if !d.Firstseen.NewTerms.Complete {
				line += ", incomplete"
			}
			if why := headerOf(r, "firstseen-suppressed"); why != "" {
				line += ", suppressed: " + why
			}
			got = append(got, line)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		l.t.Errorf("%s on day %d: %q, want %q", address, day, got, want)
	}
}

// ruleAddedLater goes through the life of a rule: it comes, changes what it remembers, what it looks at and what it
// says, goes, and comes back. The rule that was there from the beginning (aws-...) does not notice.
func ruleAddedLater(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{Set: noCap}))
	l := &latecomer{cluster: c, app: app, in: c.start(cfg)}
	l.read("192.0.2.1", 0, "aws since day 0, incomplete")

	l.rules(otherRule) // comes on day 0: what it finds is held back for one history
	l.read("192.0.2.1", 1, "other since day 0, incomplete, suppressed: learning")
	l.read("192.0.2.2", 6, "aws since day 0, incomplete", "other since day 0, incomplete, suppressed: learning")
	l.read("192.0.2.3", 7, "aws since day 0", "other since day 0")

	terms := strings.Replace(otherRule, "[source.address]", "[source.address, aws.cloudtrail.flattened.request_parameters.bucketName]", 1)
	l.rules(terms) // remembers something else: its history begins anew, on day 7
	l.read("192.0.2.3", 8, "other since day 7, incomplete, suppressed: learning")

	l.rules(otherRule) // as before, on day 8: it has its terms, but has missed a day
	l.read("192.0.2.3", 9)
	l.read("192.0.2.4", 9, "aws since day 0", "other since day 8, incomplete")

	l.rules(strings.Replace(otherRule, "severity: low", "severity: high", 1)) // says something else: nothing happens
	l.read("192.0.2.5", 15, "aws since day 0", "other since day 8")

	narrow := strings.Replace(otherRule, `query: '`, `query: 'event.action: "GetObject" and `, 1)
	l.rules(narrow) // looks at other events than before, on day 15
	l.read("192.0.2.6", 16, "aws since day 0", "other since day 15, incomplete")

	l.rules() // goes
	l.read("192.0.2.7", 17, "aws since day 0")
	l.in.stop()
	// Another comes at a restart.
	third := strings.NewReplacer("id: other", "id: third", "name: Other", "name: Third").Replace(otherRule)
	file := filepath.Join(t.TempDir(), "third.yaml")
	if err := os.WriteFile(file, []byte(third), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Rules = mustLoad(t, rules.LoadOptions{Paths: []string{file}, Set: noCap})
	l.in = c.start(cfg)
	l.in.awaitReady(c)
	l.read("192.0.2.1", 18, "aws since day 0", "third since day 17, incomplete, suppressed: learning")

	l.bootstrap("third", "192.0.2.30", 10)
	l.read("192.0.2.30", 15, "aws since day 0") // known, by a record that this deployment never read
	l.read("192.0.2.31", 18, "aws since day 0", "third since day 10")

	// The first comes back after more than a history: what it knew has expired, so it is as good as new.
	l.read("192.0.2.8", 26, "aws since day 0", "third since day 10")
	l.rules(third, otherRule)
	l.read("192.0.2.8", 27, "other since day 26, incomplete, suppressed: learning")
	l.read("192.0.2.9", 33, "aws since day 0", "other since day 26", "third since day 10")
}

// bootstrap teaches a rule from files: an address on a day, and then every day until today.
func (l *latecomer) bootstrap(rule, address string, day int) {
	l.t.Helper()
	off := mustLoad(l.t, rules.LoadOptions{Paths: []string{l.in.cfg.Rules.Rule(rule).File()}, NoBuiltin: true})
	cfg := testConfig(l.brokers, l.app, "command", l.t.TempDir(), l.in.cfg.Rules)
	done, err := Bootstrap(context.Background(), cfg, off, func(fn func(schemas.Message) error) error {
		for d := day; d <= 17; d++ {
			at := day0.AddDate(0, 0, d)
			if err := fn(schemas.Message{Value: []byte(anonymous(address, at)), Timestamp: -1, Now: at.UnixMilli(), File: "old.json"}); err != nil {
				return err
			}
			address = "192.0.2.32"
		}
		return nil
	}, func(_ *schemas.Message, d schemas.DeadLetter) { l.t.Errorf("dead letter: %+v", d) }, false)
	if err != nil {
		l.t.Fatal(err)
	}
	want := BootstrappedRule{Rule: rule, Start: day0.AddDate(0, 0, day).UnixMilli(), Extended: true, Released: true}
	if done.Matches != 8 || len(done.Rules) != 1 || done.Rules[0] != want {
		l.t.Errorf("%+v, want %+v", done, want)
	}
}

// rulesInForce: a rule goes and comes back while instances come and go. What has been in force since an instance was last
// there counts, and for a new one what the last of them ran, not what any ever has. When the rule is back, all that was
// read before has been deleted.
func rulesInForce(t *testing.T, brokers string) {
	b := newBeginner(t, brokers, 1)
	file := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(file, []byte(otherRule), 0o600); err != nil {
		t.Fatal(err)
	}
	without, with := b.cfg.Rules, mustLoad(t, rules.LoadOptions{Paths: []string{file}, Set: noCap})
	state := with.Rule("other").State()
	key := prefixRule + hex.EncodeToString(state[:])
	run := func(instance string, set *rules.Set) *inside {
		cfg := b.cfg
		cfg.Instance, cfg.Rules, cfg.StateDir = instance, set, filepath.Join(t.TempDir(), "state")
		in := b.start(cfg)
		in.awaitReady(b.cluster)
		return in
	}
	b.send(b.record("cloudtrail", 0, "192.0.2.1", time.Hour))
	in := run("one", with)
	b.awaitDrained(b.app, 30*time.Second)
	in.stop()
	run("two", with).stop()
	if v := b.note(key); v != nil {
		t.Errorf("the rule was there from the beginning, but is noted: %s", v)
	}
	run("three", without).stop()
	ends := kadm.Offsets{}
	ends.Add(kadm.Offset{Topic: b.app + "-cloudtrail", At: 1})
	if _, err := b.adm.DeleteRecords(context.Background(), ends); err != nil {
		t.Fatal(err)
	}
	run("one", with).stop()
	var n ruleNote
	back := b.note(key)
	if err := json.Unmarshal(back, &n); err != nil || n.Start < b.now.Add(-time.Hour).Truncate(time.Second).UnixMilli() {
		t.Errorf("%v: the note %+v does not say that the rule's history begins behind what was read without it", err, n)
	}
	in = run("four", with)
	if v := b.note(key); string(v) != string(back) {
		t.Errorf("the rule has been there since %s, but that has become %s", back, v)
	}
	// A bootstrap that has read nothing releases nothing.
	if err := os.WriteFile(file, []byte(strings.NewReplacer("id: other", "id: third", "name: Other", "name: Third").Replace(otherRule)), 0o600); err != nil {
		t.Fatal(err)
	}
	third := mustLoad(t, rules.LoadOptions{Paths: []string{file}, Set: noCap})
	if err := in.SetRules(context.Background(), third); err != nil {
		t.Fatal(err)
	}
	only := mustLoad(t, rules.LoadOptions{Paths: []string{file}, NoBuiltin: true})
	done, err := Bootstrap(context.Background(), testConfig(brokers, b.app, "command", t.TempDir(), third), only,
		func(func(schemas.Message) error) error { return nil }, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(done.Rules) != 1 || done.Rules[0].Released {
		t.Errorf("a bootstrap of nothing: %+v", done)
	}
	in.stop()
}
