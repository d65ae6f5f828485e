package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// report prints what was done and what came of it, and returns whether the run shows what it is to show.
func (w *world) report(under time.Duration, wrong []string, v verdict) (ok bool) {
	fmt.Printf("seed %d, %s, %s timers, %s under fire, %d records\n", w.Seed, w.Broker, w.Timers, under.Round(time.Second), w.traffic.written())
	for _, f := range append(w.faultsHere(), fault{name: "abort", counts: "transactions aborted, on purpose or because of the faults above"}) {
		n, shows := w.journal.total(f.name)
		fmt.Printf("%s %5d  %s%s\n", f, n, f.counts, list(shows))
	}
	t := w.journal.tally()
	fmt.Printf("in all: %d kills of workers, %d of them with an open transaction; %d %s; lag at most %d offsets; %d stops, the longest of %d ms\n",
		t.shows["kills"], t.shows["kills that met an open transaction"], t.brokers, map[bool]string{true: "kills of brokers", false: "closings of the broker"}[w.Broker == "kafka"], w.seen.most, t.shows["stops"], t.shows["longest stop in ms"])
	_, exits := w.journal.total("exit")
	n := 0
	for _, of := range exits {
		n += of
	}
	fmt.Printf("%d workers ended by themselves, or not well when they were stopped, and a fault explains it%s\n", n, list(exits))
	for _, line := range v.Lines {
		fmt.Println(line)
	}
	if still := w.promised(); len(still) > 0 {
		wrong = append(wrong, "did not happen: "+strings.Join(still, ", "))
	}
	for _, e := range w.journal.all() {
		if e.Finding != "" {
			wrong = append(wrong, strings.TrimPrefix(e.Kind+": "+e.Finding, ": "))
		}
	}
	for _, line := range wrong {
		fmt.Println("WRONG", line)
	}
	fmt.Printf("%d/%d/%d missing/duplicate/wrong\n", v.Missing, v.Duplicate, v.Wrong)
	if v.StoresEqual {
		fmt.Println("stores equal")
	} else {
		fmt.Println("stores NOT equal")
	}
	right := v.Missing == 0 && v.Duplicate == 0 && v.Wrong == 0 && v.StoresEqual
	if w.Mutant != "" {
		found := v.Breaches > 0 && !w.behind
		fmt.Printf("mutant %s: %s\n", w.Mutant, map[bool]string{false: "NOT found: this run proves nothing", true: "found"}[found])
		return found
	}
	return right && len(wrong) == 0
}

// list is what was seen, in brackets.
func list(shows map[string]int) string {
	if len(shows) == 0 {
		return ""
	}
	var all []string
	for _, what := range slices.Sorted(maps.Keys(shows)) {
		all = append(all, fmt.Sprintf("%d %s", shows[what], what))
	}
	return " (" + strings.Join(all, ", ") + ")"
}
