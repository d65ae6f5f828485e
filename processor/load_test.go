package processor

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/internal/proof"
	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/traffic"
)

// noCap switches off the cap on alerts, so that every finding is one alert.
var noCap = []string{traffic.NewTermsRule + ".max_alerts=off"}

// windowed has a dedup window for each address, so that every finding is decided on by the group stage, and is one alert.
var windowed = append([]string{traffic.NewTermsRule + ".dedup={by: [source.address], period: 60m}"}, noCap...)

// load makes n records over 20 days, many of which match, and the model of what must come of them.
func load(t *testing.T, app string, seed uint64, n int, partitions int) ([]*kgo.Record, *traffic.Model) {
	t.Helper()
	o := traffic.Defaults()
	o.Seed, o.Rate, o.Trail, o.Anonymous, o.Outside, o.Addresses, o.Buckets = seed, float64(n)/(20*86400), 0.5, 0.7, 0.7, 1200, 30
	g, err := traffic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	model, records := traffic.NewModel(), make([]*kgo.Record, n)
	for i := range records {
		r := g.Next()
		model.Add(&r)
		records[i] = &kgo.Record{Topic: app + "-" + string(r.Kind), Partition: r.Partition(partitions), Value: r.Value}
	}
	return records, model
}

// verdict is how a run differs from the model.
type verdict struct{ missing, duplicate, wrong, counts, terms, windows int }

func (v verdict) String() string {
	return fmt.Sprintf("%d missing, %d duplicate, %d wrong alerts, %d wrong counts of closed windows, %d wrong terms, %d wrong windows",
		v.missing, v.duplicate, v.wrong, v.counts, v.terms, v.windows)
}

// judge compares what subscribers saw, and what the stores remember, with the model.
func judge(t *testing.T, m *traffic.Model, alerts []*kgo.Record, stored *proof.States, set *rules.Set) verdict {
	t.Helper()
	seen := proof.NewAlerts()
	for _, a := range m.Alerts {
		w := m.Windows[a.Key]
		// The next window of a bucket closes the one before; the last ones are open still.
		seen.Expect(proof.Alert{Rule: a.Rule, EventID: a.EventID, Key: a.Key, Count: a.Count, Closed: a.Rule == traffic.AllowlistRule && w.Alert != a})
	}
	for _, r := range alerts {
		seen.Saw(r, false)
	}
	differences := seen.Differences()
	v := verdict{missing: differences.Of(proof.Missing), duplicate: differences.Of(proof.Duplicate), wrong: differences.Of(proof.Wrong), counts: differences.Of(proof.Count)}
	for _, d := range differences[:min(10, len(differences))] {
		t.Log(d)
	}
	termState := set.Rule(traffic.NewTermsRule).State()
	for address, w := range m.Terms {
		got := stored.Terms[string(stage.TermKey(nil, termState, []string{address}))]
		if got.FirstSeen != w.First.UnixMilli() || got.LastSeen != w.Last.UnixMilli() || got.Count != int64(w.Count) {
			v.terms++
		}
	}
	for _, w := range m.Windows {
		got := stored.Windows[w.Alert.Rule+" "+w.Alert.EventID]
		if got.Start != w.Start.Unix() || got.LastSeen != w.Last.UnixMilli() || got.Count != int64(w.Alert.Count) {
			v.windows++
		}
	}
	v.terms += max(0, len(stored.Terms)-len(m.Terms))
	v.windows += max(0, len(stored.Windows)-len(m.Windows))
	return v
}

// readStates reads the stores in dirs.
func readStates(t *testing.T, dirs []string, partitions int32) *proof.States {
	t.Helper()
	return readDisks(t, make([]vfs.FS, len(dirs)), dirs, partitions)
}

// readDisks reads stores, each on a disk of its own; nil is the disk.
func readDisks(t *testing.T, disks []vfs.FS, dirs []string, partitions int32) *proof.States {
	t.Helper()
	var all []proof.Disk
	for i, dir := range dirs {
		all = append(all, proof.Disk{Dir: dir, FS: disks[i]})
	}
	states, err := proof.ReadStates(all, partitions, func(dir string, err error) { t.Fatalf("%s: %v", dir, err) })
	if err != nil {
		t.Fatal(err)
	}
	return states
}
