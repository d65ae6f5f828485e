package processor

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
	"firstseen/traffic"
)

// firstDay is a deployment that begins on topics with ten days of history, in partitions of very different length, while
// records go on coming. Any address may be anywhere in the history; a live record's address has one partition.
type firstDay struct {
	seed          uint64
	history, live int // records
	set           []string
	pace          time.Duration // over which the live ones are produced
	noGate        bool
}

// shares of the history that the partitions have: the first reaches live long after the others. The fifth is empty, the
// last has one record that is too old to be learned.
var shares = []float64{0.7, 0.9, 0.98, 1, 1, 1}

// records makes the history, with the timestamps of the time when it was written, the live records, and the model of
// what must come of the live ones, whose own ids are in ids.
func (d firstDay) records(t *testing.T, app string) (history, live []*kgo.Record, ids map[string]bool, model *traffic.Model) {
	t.Helper()
	o := traffic.Defaults()
	o.Seed, o.Trail, o.Anonymous, o.Outside, o.Addresses, o.Buckets, o.Late, o.Duplicates = d.seed, 0.8, 0.8, 0.7, 5000, 30, 0, 0
	begin := time.Now().Add(-10 * 24 * time.Hour)
	o.Start, o.Rate = begin, float64(d.history)/(10*24*time.Hour-50*time.Minute).Seconds()
	g, err := traffic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(d.seed, 3))
	model = traffic.NewModel()
	for range d.history {
		r := g.Next()
		if r.Rule == traffic.NewTermsRule { // what is learned opens no window
			model.Add(&r)
		}
		p, x := int32(0), rnd.Float64()
		for x >= shares[p] && r.Partition(2) == 0 { // half of the addresses are known in the longest only
			p++
		}
		history = append(history, &kgo.Record{Topic: app + "-" + string(r.Kind), Partition: p, Value: r.Value, Timestamp: r.Time})
	}
	old := g.Next()
	history = append(history, &kgo.Record{Topic: app + "-cloudtrail", Partition: 5, Value: old.Value, Timestamp: begin})
	model.Alerts = nil
	o.Seed, o.Start, o.Rate = d.seed, time.Now().Add(-50*time.Minute), float64(d.live)/(40*time.Minute).Seconds()
	if g, err = traffic.New(o); err != nil { // the same addresses: they follow from the seed
		t.Fatal(err)
	}
	ids = map[string]bool{}
	for range d.live {
		r := g.Next()
		r.EventID, r.Value = again(r.EventID, r.Value)
		model.Add(&r)
		ids[r.EventID] = true
		live = append(live, &kgo.Record{Topic: app + "-" + string(r.Kind), Partition: r.Partition(len(shares)), Value: r.Value})
	}
	return history, live, ids, model
}

// again gives a record of the second generator ids that the first has not given.
func again(id string, value []byte) (string, []byte) {
	own, rest, _ := strings.Cut(id, ":")
	changed := own[:len(own)-1] + "x"
	if rest != "" {
		id = changed + ":" + rest
	} else {
		id = changed
	}
	return id, []byte(strings.Replace(string(value), own, changed, 1))
}

// run returns the verdict over the live records, and how many alerts there were about others. On a busy machine all may be
// learned before two workers were killed: then it is tried with other seeds, whose verdicts count as well.
func (d firstDay) run(t *testing.T, brokers string) (v verdict, early int) {
	for range 3 {
		var learning int
		if v, early, learning = d.attempt(t, brokers); learning >= 2 || v != (verdict{}) || early > 0 {
			return v, early
		}
		d.seed++
	}
	t.Error("too few kills while learning, three times: the test shows too little")
	return v, early
}

// attempt also returns how many workers were killed while they learned.
func (d firstDay) attempt(t *testing.T, brokers string) (v verdict, early, learning int) {
	c := newTestCluster(t, brokers)
	app := newApp()
	c.createSources(app, int32(len(shares)), nil)
	set := mustLoad(t, rules.LoadOptions{Set: d.set})
	history, live, ids, model := d.records(t, app)
	if err := c.cl.ProduceSync(context.Background(), history...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var workers []*worker
	var dirs []string
	for n := range 3 { // they start together
		spec := workerSpec{Brokers: brokers, App: app, Instance: fmt.Sprintf("w%d", n), Dir: filepath.Join(t.TempDir(), "state"),
			Set: d.set, Faults: true, NoGate: d.noGate, Learning: Learning{Mode: LearnHistory}, Messages: 100}
		workers, dirs = append(workers, startWorker(t, spec)), append(dirs, spec.Dir)
	}
	c.await("the deployment is founded", time.Minute, func() bool {
		topics, err := c.adm.ListTopics(context.Background(), app+".control")
		if err != nil || topics.Error() != nil {
			return false
		}
		for _, r := range c.read(app + ".control") {
			if string(r.Key) == PrefixLearn+"0000" {
				return true
			}
		}
		return false
	})
	produced := make(chan error, 1)
	go func() { produced <- produce(c.cl, live, d.pace) }()
	kills := c.kill(workers, produced, rand.New(rand.NewPCG(d.seed, 4)), 300*time.Millisecond, 600*time.Millisecond, func(*worker) {
		if !c.learned(app) {
			learning++
		}
	})
	c.awaitDrained(app, 2*time.Minute)
	for _, w := range workers {
		w.stop(t)
	}
	alerts := append(c.read(app+".alerts"), suppressedByCap(c.read(app+".suppressed"))...)
	var about []*kgo.Record
	for _, a := range alerts {
		switch status, id := alertOf(t, a); {
		case status == "overflow" || status == "closed" && strings.Contains(string(a.Value), "cap on alerts"):
		case !ids[id]:
			early++
		default:
			about = append(about, a)
		}
	}
	v = judge(t, model, about, readStates(t, dirs, 4), set)
	v.terms = 0 // which of an address's records was read first depends on the partitions
	t.Logf("seed %d: %d records of history, %d live; %d kills, %d of them while learning; of %d alerts: %s; %d about what was learned",
		d.seed, len(history), len(live), kills, learning, len(model.Alerts), v, early)
	return v, early, learning
}

// learned reports whether every source partition's committed offset is at live.
func (c *cluster) learned(app string) bool {
	var r Round
	for _, rec := range c.read(app + ".control") {
		if string(rec.Key) == PrefixLearn+"0000" {
			if err := json.Unmarshal(rec.Value, &r); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	offsets, err := c.adm.FetchOffsets(context.Background(), app+".ingest")
	if err != nil {
		return false
	}
	for topic, l := range r.Topics {
		for p, live := range l.Live {
			if o, ok := offsets.Lookup(topic, int32(p)); !ok || o.At < live {
				return false
			}
		}
	}
	return true
}

func suppressedByCap(records []*kgo.Record) (held []*kgo.Record) {
	for _, r := range records {
		for _, h := range r.Headers {
			if h.Key == "firstseen-suppressed" && string(h.Value) == "cap" {
				held = append(held, r)
			}
		}
	}
	return held
}

// alertOf returns an alert's status and the own id of the event it is about.
func alertOf(t *testing.T, r *kgo.Record) (status, id string) {
	t.Helper()
	var doc struct {
		Firstseen struct {
			Alert  struct{ Status string }
			Origin struct {
				EventID string `json:"event_id"`
			}
		}
	}
	if err := json.Unmarshal(r.Value, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Firstseen.Alert.Status, doc.Firstseen.Origin.EventID
}
