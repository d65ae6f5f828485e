package main

import (
	"slices"
	"testing"
	"time"
)

// metrics of a worker that has aborted seven transactions, three of them on purpose.
const metricsText = `# TYPE firstseen_chaos_aborts_injected_total counter
firstseen_chaos_aborts_injected_total 3
# TYPE firstseen_transaction_aborts_total counter
firstseen_transaction_aborts_total{stage="detect"} 5
firstseen_transaction_aborts_total{stage="ingest"} 2
`

// everything is a run in which all that is promised has happened.
func everything(t *testing.T, minutes float64) *world {
	t.Helper()
	w := &world{run: &run{Broker: "kafka"}, settings: settings{minutes: minutes}}
	var err error
	if w.journal, err = openJournal(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.journal.began = time.Now()
	for n, f := range faults {
		e := entry{N: n, Kind: f.name, Counts: 50}
		switch f.name {
		case "kill":
			e.Shows = map[string]int{"kills": 100}
		case "sst-corrupt":
			e.Shows = map[string]int{noticed: 1}
		}
		if err := w.journal.add(e); err != nil {
			t.Fatal(err)
		}
	}
	w.seen.count(1, metricsText)
	return w
}

// TestPromised: a run goes on for as long as something of what it promises has not happened.
func TestPromised(t *testing.T) {
	for name, test := range map[string]struct {
		minutes float64
		lacks   func(*world)
		want    []string
	}{
		"all":                           {20, func(*world) {}, nil},
		"a kind":                        {1, func(w *world) { w.journal.entries = w.journal.entries[1:] }, []string{"kill"}},
		"kills":                         {20, func(w *world) { w.journal.entries[0].Shows["kills"] = 99 }, []string{"1 more kills"}},
		"few are enough in a short run": {1, func(w *world) { w.journal.entries[0].Shows["kills"] = 1 }, nil},
		"a damaged table that is noticed": {20, func(w *world) {
			for _, e := range w.journal.entries {
				delete(e.Shows, noticed)
			}
		}, []string{"1 more damaged tables that are noticed"}},
		"aborts on purpose": {1, func(w *world) { w.seen.made[1] = aborts{all: 7} }, []string{"abort on purpose"}},
		"aborts of an earlier start": {1, func(w *world) {
			if err := w.noteAborts(); err != nil {
				t.Error(err)
			}
			w.seen.made = nil
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := everything(t, test.minutes)
			test.lacks(w)
			if got := w.promised(); !slices.Equal(got, test.want) {
				t.Errorf("still to happen: %q, want %q", got, test.want)
			}
		})
	}
}

// TestAborts: those of all processes are counted, each as it was last seen.
func TestAborts(t *testing.T) {
	var v watch
	v.count(1, metricsText)
	v.count(1, "") // it has ended
	v.count(2, metricsText)
	if got := v.aborted(); got != (aborts{14, 6}) {
		t.Errorf("%+v", got)
	}
}
