package main

import "fmt"

// longRun is from how many minutes on a run promises more than every kind once.
const longRun = 15

// injected is what the journal calls transactions that were aborted on purpose.
const injected = "on purpose"

// tally is what the whole journal shows.
type tally struct {
	kinds   map[string]int // how often each kind has happened
	shows   map[string]int // what else was seen, in all
	brokers int            // kills of brokers, for whatever reason
}

func (j *journal) tally() tally {
	t := tally{kinds: map[string]int{}, shows: map[string]int{}}
	for _, e := range j.all() {
		t.kinds[e.Kind] += e.Counts
		sum(t.shows, e.Shows)
	}
	t.brokers = t.kinds["broker"] + t.kinds["txn-coordinator"] + t.kinds["group-coordinator"]
	return t
}

// noteAborts writes down what the processes of this start have aborted.
func (w *world) noteAborts() error {
	n := w.seen.aborted()
	return w.journal.add(entry{N: w.journal.next() - 1, Kind: "abort", Counts: n.all, Shows: map[string]int{injected: n.injected}})
}

// promised is what is still to happen: every kind once; in a long run, what shows that it is no luck.
func (w *world) promised() (still []string) {
	t := w.journal.tally()
	for _, f := range w.faultsHere() {
		if t.kinds[f.name] == 0 {
			still = append(still, f.name)
		}
	}
	if t.shows[injected]+w.seen.aborted().injected == 0 {
		still = append(still, "abort on purpose")
	}
	if w.minutes < longRun || w.Mutant != "" { // a mutant meets few kinds
		return still
	}
	_, tables := w.journal.total("sst-corrupt")
	for _, p := range []struct {
		what       string
		have, want int
	}{
		{"kills", t.shows["kills"], 100}, {"zombies", t.kinds["zombie"], 20}, {"cut replies", t.kinds["cut"], 50}, {"kills of brokers", t.brokers, 10},
		{"damaged tables that are noticed", tables[noticed], 1},
	} {
		if p.have < p.want {
			still = append(still, fmt.Sprintf("%d more %s", p.want-p.have, p.what))
		}
	}
	return still
}
