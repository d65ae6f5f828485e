package processor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas/wire"
	"firstseen/state"
	"firstseen/traffic"
)

// noCap switches off the cap on alerts, so that every finding is one alert.
var noCap = []string{traffic.NewTermsRule + ".max_alerts=off"}

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
func judge(t *testing.T, m *traffic.Model, alerts []*kgo.Record, stored states, set *rules.Set) verdict {
	t.Helper()
	var v verdict
	want := map[string]*traffic.Alert{}
	for _, a := range m.Alerts {
		want[a.Rule+" "+a.EventID] = a
	}
	seen, closed := map[string]bool{}, map[string]int{}
	for _, r := range alerts {
		var doc struct {
			Rule      struct{ ID string }
			Firstseen struct {
				Alert struct {
					Status string
					Count  int
				}
				Origin struct {
					EventID string `json:"event_id"`
				}
				NewTerms struct{ Values []string } `json:"new_terms"`
			}
		}
		if err := json.Unmarshal(r.Value, &doc); err != nil {
			t.Fatalf("alert %s: %v", r.Value, err)
		}
		id := doc.Rule.ID + " " + doc.Firstseen.Origin.EventID
		a, terms := want[id], doc.Firstseen.NewTerms.Values
		switch {
		case a == nil, a.Rule == traffic.NewTermsRule && (len(terms) != 1 || terms[0] != a.Key):
			v.wrong++
		case doc.Firstseen.Alert.Status == "closed":
			closed[id] = max(closed[id], doc.Firstseen.Alert.Count)
		case seen[id]:
			v.duplicate++
		default:
			seen[id] = true
		}
	}
	for id, a := range want {
		if !seen[id] {
			v.missing++
		}
		// The next window of a bucket closes the one before; the last ones are open still.
		w := m.Windows[a.Key]
		if a.Rule == traffic.AllowlistRule && a.Count > 1 && w.Alert != a && closed[id] != a.Count {
			v.counts++
		}
	}
	termState := set.Rule(traffic.NewTermsRule).State()
	for address, w := range m.Terms {
		got := stored.terms[string(stage.TermKey(nil, termState, []string{address}))]
		if got.FirstSeen != w.First.UnixMilli() || got.LastSeen != w.Last.UnixMilli() || got.Count != int64(w.Count) {
			v.terms++
		}
	}
	for _, w := range m.Windows {
		if got := stored.windows[w.Alert.EventID]; got.Start != w.Start.Unix() || got.LastSeen != w.Last.UnixMilli() || got.Count != int64(w.Alert.Count) {
			v.windows++
		}
	}
	v.terms += max(0, len(stored.terms)-len(m.Terms))
	v.windows += max(0, len(stored.windows)-len(m.Windows))
	return v
}

// states is what the workers' stores hold.
type states struct {
	terms   map[string]wire.Term   // by state key
	windows map[string]wire.Window // by the event id of their first match
}

// readStates reads the stores in dirs: of every partition the range that has come farthest, which is its last owner's.
func readStates(t *testing.T, dirs []string, partitions int32) states {
	t.Helper()
	type id struct {
		stage     state.Stage
		partition int32
	}
	best := map[id]int64{}
	found := map[id]map[string][]byte{}
	for _, dir := range dirs {
		store, err := state.Open(dir, state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range []state.Stage{state.Detect, state.Group} {
			for n := range partitions {
				r, err := store.Range(st, n)
				if err != nil {
					t.Fatal(err)
				}
				pos, ok := r.Position()
				if !ok || pos.ChangelogNext <= best[id{st, n}] {
					continue
				}
				values := map[string][]byte{}
				if err := r.Scan(nil, func(key, value []byte) error {
					values[string(key)] = bytes.Clone(value)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				best[id{st, n}], found[id{st, n}] = pos.ChangelogNext, values
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	all := states{map[string]wire.Term{}, map[string]wire.Window{}}
	for _, values := range found {
		for key, value := range values {
			var err error
			switch key[0] {
			case stage.TermKind:
				var term wire.Term
				err = wire.DecodeTerm(value, &term)
				all.terms[key] = term
			case stage.WindowKind:
				var w wire.Window
				err = wire.DecodeWindow(value, &w)
				all.windows[w.First.Match.EventID] = w
			case stage.CapKind: // no model tells it
			default:
				t.Errorf("unexpected state key %q", key)
			}
			if err != nil {
				t.Fatalf("state key %q: %v", key, err)
			}
		}
	}
	return all
}
