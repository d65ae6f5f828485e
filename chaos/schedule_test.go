package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDeck: each kind comes once before any comes again, as often as its weight, and the seed decides.
func TestDeck(t *testing.T) {
	one, again, other := deck(7, 2, faults), deck(7, 2, faults), deck(8, 2, faults)
	if fmt.Sprint(one) != fmt.Sprint(again) || fmt.Sprint(one) == fmt.Sprint(other) {
		t.Error("not the seed alone decides the deck")
	}
	seen := map[string]int{}
	for i, f := range one {
		if seen[f.name]++; i < len(faults) && seen[f.name] > 1 {
			t.Errorf("%s comes again before all have come", f.name)
		}
	}
	for _, f := range faults {
		if seen[f.name] != f.weight {
			t.Errorf("%s comes %d times, its weight is %d", f.name, seen[f.name], f.weight)
		}
	}
}

// TestFaultsHere: a run says of its faults what it really does.
func TestFaultsHere(t *testing.T) {
	for broker, want := range map[string]string{"kafka": "SIGKILL of a broker", "embedded": "the broker closed in order and opened again"} {
		w := &world{run: &run{Broker: broker}}
		for _, f := range w.faultsHere() {
			if f.name == "broker" && f.counts != want || f.kafka && broker != "kafka" {
				t.Errorf("%s: %s %s", broker, f.name, f.counts)
			}
		}
	}
}

// TestJournal: what was done is known to the next start, half a line at the end is not.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	j.began = time.Now().Add(-time.Minute)
	for n, kind := range []string{"kill", "zombie", "kill"} {
		if err := j.add(entry{N: n, Kind: kind, Counts: 2, Shows: map[string]int{"kills": 1, "longest stop in ms": n}}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, "journal.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"n":3,"ki`)
	f.Close()
	if j, err = openJournal(dir); err != nil {
		t.Fatal(err)
	}
	if n, under := j.next(), j.underFire(); n != 3 || under < time.Minute {
		t.Errorf("the next card is %d, after %s under fire", n, under)
	}
	if n, shows := j.total("kill"); n != 4 || shows["kills"] != 2 || shows["longest stop in ms"] != 2 {
		t.Errorf("%d kills, %v", n, shows)
	}
	if err := j.add(entry{N: 3, Kind: "acl"}); err != nil {
		t.Fatal(err)
	}
	if j, err = openJournal(dir); err != nil || len(j.all()) != 4 {
		t.Errorf("%d entries, %v", len(j.all()), err)
	}
}
