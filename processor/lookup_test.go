package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas/wire"
	"firstseen/state"
	"firstseen/traffic"
)

// asked opens a lookup that is closed when the test ends.
func asked(t *testing.T, open func() (*Lookup, error)) *Lookup {
	t.Helper()
	l, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// knows compares what a lookup finds with the model: every address by itself, and the windows of every bucket.
func knows(t *testing.T, l *Lookup, model *traffic.Model, set *rules.Set) {
	t.Helper()
	n := 0
	for address, want := range model.Terms {
		if n++; n > 25 {
			break
		}
		got, err := l.Terms(t.Context(), []string{address})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Rule != traffic.NewTermsRule || !slices.Equal(got[0].Terms, []string{address}) || got[0].History != (7*24*time.Hour).Milliseconds() {
			t.Fatalf("%s: %+v", address, got)
		}
		if k := got[0].Term; k.FirstSeen != want.First.UnixMilli() || k.LastSeen != want.Last.UnixMilli() || k.Count != int64(want.Count) {
			t.Errorf("%s: %+v, want %+v", address, k, want)
		}
	}
	r := set.Rule(traffic.AllowlistRule)
	keys := map[string]int32{}
	for bucket := range model.Windows {
		group := r.ID() + "\x00Non-Approved IP access to S3 Bucket [" + bucket + "]"
		keys[string(stage.WindowKey(nil, r.State(), group))] = l.Partition([]byte(group))
	}
	values, err := l.Values(t.Context(), StageGroup, keys)
	if err != nil || len(values) != len(keys) || len(keys) < 20 {
		t.Fatalf("%d of %d windows: %v", len(values), len(keys), err)
	}
	for key, value := range values {
		var w wire.Window
		if err := wire.DecodeWindow(value, &w); err != nil {
			t.Fatal(err)
		}
		if want := model.Windows[bucketOf(w.Group)]; want == nil || w.Start != want.Start.Unix() || w.Count != int64(want.Alert.Count) {
			t.Errorf("window %q: %+v, want %+v", key, w, want)
		}
	}
}

func bucketOf(group string) string {
	_, title, _ := strings.Cut(group, "[")
	return strings.TrimSuffix(title, "]")
}

// TestLookup asks what a running worker remembers and has written, then its directory. Asking leaves no trace.
func TestLookup(t *testing.T) {
	t.Parallel()
	c, app := newTestCluster(t, embedded(t)), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 41, 3000, 2)
	w := startWorker(t, workerSpec{Brokers: c.brokers, App: app, Instance: "one", Dir: dir, Set: noCap})
	bad := &kgo.Record{Topic: app + "-cloudtrail", Partition: 1, Value: []byte(`{"eventVersion": `)}
	if err := produce(c.cl, append(inputs, bad), 0); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, 30*time.Second)
	cfg := testConfig(c.brokers, app, "asks", filepath.Join(t.TempDir(), "none"), set)
	if _, err := OpenLookupDir(dir, cfg); !errors.Is(err, state.ErrLocked) {
		t.Errorf("the directory of a running worker: %v", err)
	}
	undecided(t, c, app, set)
	before := c.ends(app)
	l := asked(t, func() (*Lookup, error) { return OpenLookup(t.Context(), cfg) })
	knows(t, l, model, set)
	if got, err := l.Terms(t.Context(), []string{"192.0.2.255"}); err != nil || len(got) != 0 {
		t.Errorf("an address that never came: %v, %v", got, err)
	}
	if h := l.History(set.Rule(traffic.NewTermsRule), ""); h.Start == wire.NoTime || h.HoldUntil != wire.NoTime || !l.HasRuleset(set.Hash()) {
		t.Errorf("control says too little: history %+v, ruleset %v", h, l.HasRuleset(set.Hash()))
	}
	if learned, err := l.Learned(t.Context(), bad.Topic, 0, 0); learned || err != nil {
		t.Errorf("the first record was learned: %v, %v", learned, err)
	}
	t.Run("empty", func(t *testing.T) { lookupEmpty(t, l, app) })
	t.Run("record", func(t *testing.T) { lookupRecord(t, l, app, bad) })
	t.Run("written", func(t *testing.T) { lookupWritten(t, l, model, bad) })
	for _, s := range []Stage{StageDetect, StageGroup} {
		if waiting, next, err := l.Waiting(t.Context(), s, l.InputTopic(s), 0); waiting || next <= 0 || err != nil {
			t.Errorf("%s: waiting %v at %d, %v", s, waiting, next, err)
		}
	}
	if after := c.ends(app); before[topicControl] == 0 || !maps.Equal(before, after) {
		t.Errorf("the topics ended at %v, and now at %v: something was written", before, after)
	}
	w.stop(t)
	if err := produce(c.cl, []*kgo.Record{{Topic: l.InputTopic(StageDetect), Partition: 1, Value: []byte("x")}}, 0); err != nil {
		t.Fatal(err)
	}
	if waiting, _, err := l.Waiting(t.Context(), StageDetect, l.InputTopic(StageDetect), 1); !waiting || err != nil {
		t.Errorf("a record that nobody processes: waiting %v, %v", waiting, err)
	}
	knows(t, asked(t, func() (*Lookup, error) { return OpenLookupDir(dir, cfg) }), model, set)

	cfg.App = "nobodys"
	if _, err := OpenLookup(t.Context(), cfg); !errors.Is(err, ErrNoTopic) {
		t.Errorf("another app: %v", err)
	}
}

// undecided writes to the changelog what must not be believed: in a transaction that is aborted, and in one that is open
// until the test ends.
func undecided(t *testing.T, c *cluster, app string, set *rules.Set) {
	t.Helper()
	value, err := wire.AppendTerm(nil, &wire.Term{FirstSeen: 1, LastSeen: 2, Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []bool{false, true} {
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers), kgo.TransactionalID(fmt.Sprint(app, "-undecided-", open)), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		key := stage.TermKey(nil, set.Rule(traffic.NewTermsRule).State(), []string{"192.0.2.255"})
		r := &kgo.Record{Topic: app + "." + topicDetectLog, Partition: partition([]byte("192.0.2.255"), 4), Key: key, Value: value}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		end := func() {
			if err := cl.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
				t.Error(err)
			}
		}
		if open {
			t.Cleanup(end)
		} else {
			end()
		}
	}
}

// ends is where the deployment's topics end, by their suffix, partitions summed.
func (c *cluster) ends(app string) map[string]int64 {
	c.t.Helper()
	ends := map[string]int64{}
	for _, suffix := range []string{topicControl, topicDetectLog, topicGroupLog, topicCandidates} {
		listed, err := c.adm.ListEndOffsets(context.Background(), app+"."+suffix)
		if err != nil {
			c.t.Fatal(err)
		}
		listed.Each(func(o kadm.ListedOffset) { ends[suffix] += o.Offset })
	}
	return ends
}

// A partition in which nothing is left to come is given up, one with records is not.
func lookupEmpty(t *testing.T, l *Lookup, app string) {
	topic := app + ".control"
	ends, err := l.adm.ListCommittedOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	for at, left := range map[int64]int{0: 1, end.Offset: 0} {
		rest := map[int32]int64{0: at}
		if err := l.dropEmpty(t.Context(), topic, rest); err != nil || len(rest) != left {
			t.Errorf("from offset %d of %d: %d partitions left, want %d: %v", at, end.Offset, len(rest), left, err)
		}
	}
}

func lookupRecord(t *testing.T, l *Lookup, app string, bad *kgo.Record) {
	got, err := l.Record(t.Context(), bad.Topic, bad.Partition, bad.Offset)
	if err != nil || string(got.Value) != string(bad.Value) || got.Offset != bad.Offset {
		t.Errorf("got %v, %v", got, err)
	}
	if next, err := l.Committed(t.Context(), StageIngest, bad.Topic, bad.Partition); err != nil || next <= bad.Offset {
		t.Errorf("ingest is at %d, %v, but all was processed", next, err)
	}
	for _, c := range []struct {
		topic     string
		partition int32
		offset    int64
		want      error
		says      string
	}{
		{bad.Topic, bad.Partition, bad.Offset + 1, ErrNoRecord, "no committed record"},
		{bad.Topic, 9, 0, ErrNoRecord, "no partition 9, it has 2"},
		{app + "-nothing", 0, 0, ErrNoTopic, app + "-nothing"},
	} {
		if _, err := l.Record(t.Context(), c.topic, c.partition, c.offset); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s/%d/%d: %v, want %q", c.topic, c.partition, c.offset, err, c.says)
		}
	}
}

// lookupWritten finds each alert in the one partition where its id belongs, and the dead letter by its origin.
func lookupWritten(t *testing.T, l *Lookup, model *traffic.Model, bad *kgo.Record) {
	ids := map[string]bool{}
	complete, err := l.Since(t.Context(), WrittenAlerts, 0, nil, func(r *kgo.Record) { ids[string(r.Key)] = true })
	if err != nil || !complete || len(ids) != len(model.Alerts) {
		t.Fatalf("%d alerts, want %d: complete %v, %v", len(ids), len(model.Alerts), complete, err)
	}
	n := 0
	for id := range ids {
		if n++; n > 5 {
			break
		}
		found := 0
		if _, err := l.Since(t.Context(), WrittenAlerts, 0, []byte(id), func(r *kgo.Record) {
			if string(r.Key) == id {
				found++
			}
		}); err != nil || found == 0 {
			t.Errorf("alert %s is not where it belongs: %v", id, err)
		}
	}
	later := 0
	if _, err := l.Since(t.Context(), WrittenAlerts, time.Now().Add(time.Hour).UnixMilli(), nil, func(*kgo.Record) { later++ }); err != nil || later > 0 {
		t.Errorf("%d alerts of the future, %v", later, err)
	}
	var letters []string
	if _, err := l.Since(t.Context(), WrittenDeadLetters, 0, nil, func(r *kgo.Record) {
		for _, h := range r.Headers {
			if h.Key == "dlq-offset" {
				letters = append(letters, string(h.Value))
			}
		}
	}); err != nil || !slices.Equal(letters, []string{strconv.FormatInt(bad.Offset, 10)}) {
		t.Errorf("dead letters of offsets %v, want %d: %v", letters, bad.Offset, err)
	}
}

// Terms of a rule that is gone are found under its state id, and those of several fields by any of them.
func TestSplitTerms(t *testing.T) {
	set := mustLoad(t, rules.LoadOptions{Set: []string{traffic.NewTermsRule + ".new_terms.fields=[source.address, user_agent.original]"}})
	l := &Lookup{cfg: Config{Rules: set, Partitions: 16}, notes: &control{}}
	l.setShapes()
	known, gone := set.Rule(traffic.NewTermsRule).State(), wire.StateID{9}
	for _, c := range []struct {
		state wire.StateID
		terms []string
		given []string
		found bool
	}{
		{known, []string{"203.0.113.7", "curl"}, []string{"203.0.113.7"}, true},
		{known, []string{"203.0.113.7", "curl"}, []string{"curl"}, true},
		{known, []string{"203.0.113.7", "curl"}, []string{"curl", "203.0.113.7"}, true},
		{known, []string{"203.0.113.7", "curl"}, []string{"203.0.113.8"}, false},
		{known, []string{"203.0.113.7", "curl"}, []string{"203.0.113.7curl"}, false},
		{gone, []string{"203.0.113.7"}, []string{"203.0.113.7"}, true},
		{gone, []string{"203.0.113.7", "x", "y"}, []string{"y", "x"}, true},
		{gone, []string{"203.0.113.7", "x", "y"}, []string{"z"}, false},
	} {
		s, terms, ok := l.split(stage.TermKey(nil, c.state, c.terms), c.given)
		if ok != c.found || ok && (!slices.Equal(terms, c.terms) || (s.rule == "") != (c.state == gone)) {
			t.Errorf("%q asked for by %q: %q of rule %q, %v", c.terms, c.given, terms, s.rule, ok)
		}
	}
	if got := l.partitionsOf([]string{"203.0.113.7"}); !slices.Contains(got, l.Partition([]byte("203.0.113.7"))) || len(got) != 1 {
		t.Errorf("an address is looked for in partitions %v", got)
	}
	if got := l.partitionsOf([]string{"curl"}); got != nil {
		t.Errorf("a user agent alone is looked for in partitions %v only", got)
	}
}
