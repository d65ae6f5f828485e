package state

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

// A run is what Fold makes of the same records: whatever the keys have in common, however often each was written, whether
// the values grow or shrink or were deleted in between, whatever the hashes of the keys have in common, and whatever the run
// was used for before.
func TestRunIsFold(t *testing.T) {
	var run Run
	longer := strings.Repeat("x", blockBytes/3)
	keys := rapid.OneOf(
		rapid.StringMatching("[\x01-\x03][ab\x00]{0,3}"),
		rapid.StringMatching("\x01STATE_ID[0-2]{1,2}[.][0-2][.]10[.]1{0,6}"),
		rapid.SampledFrom([]string{"\x01STATE_ID", "\x01STATE_ID0.0.10.\x00", "\x01" + longer, "\x01" + longer + "y", "\x01" + strings.Repeat("z", 5*blockBytes/2)}))
	values := rapid.OneOf(rapid.Just("-"), rapid.Map(rapid.Int64(), due), rapid.Map(rapid.IntRange(0, 3), grown))
	rapid.Check(t, func(t *rapid.T) {
		from := at(rapid.Int64Range(0, 9).Draw(t, "from"))
		known := rapid.SliceOfN(keys, 1, 1+rapid.SampledFrom([]int{1, 3, 60}).Draw(t, "most")).Draw(t, "keys")
		records := []Record{}
		for range rapid.SampledFrom([]int{0, 1, queueLen - 1, queueLen, 400}).Draw(t, "records") {
			r := Record{Offset: from.ChangelogNext + int64(len(records)), Key: []byte(known[rapid.IntRange(0, len(known)-1).Draw(t, "key")])}
			if v := values.Draw(t, "value"); v != "-" {
				r.Value = []byte(v)
			}
			switch rapid.IntRange(0, 30).Draw(t, "kind") {
			case 0:
				r.Key, r.Value = []byte(BarrierKey), nil
			case 1:
				r.Key, r.Value = []byte(OffsetKey), offset(t, wire.Offset{InputNext: rapid.Int64().Draw(t, "next")})
			}
			records = append(records, r)
		}
		to, writes, err := Fold(from, records)
		if err != nil {
			t.Fatal(err)
		}
		run.Begin(at(0))
		if err := run.Add(Record{Key: []byte("\x01of another run")}); err != nil {
			t.Fatal(err)
		}
		run.Begin(from)
		run.newest.blunt = rapid.SampledFrom([]uint32{0, 1<<32 - 1, 1<<32 - 8}).Draw(t, "what hashes do not tell")
		looks := rapid.IntRange(0, 400).Draw(t, "looked at after")
		for i, r := range records {
			if err := run.Add(r); err != nil {
				t.Fatal(err)
			}
			if i == looks {
				for range run.Writes() {
				}
			}
		}
		if run.To() != to {
			t.Fatalf("the run leads to %+v, Fold to %+v", run.To(), to)
		}
		for range 2 { // it can be asked again
			if got, want := listed(run.Writes()), listed(writes); got != want {
				t.Fatalf("the run is\n%s\nFold\n%s", got, want)
			}
		}
	})
}

// grown is a term whose value is long in different degrees.
func grown(degree int) string {
	value, err := wire.AppendTerm(nil, &wire.Term{Count: 1 << (15 * degree)})
	if err != nil {
		panic(err)
	}
	return string(value)
}

// Many keys have their places looked up in an index that grows, and those that were written most often take no more of the
// run than others: as long as their values do not grow.
func TestRunHasEachKeyOnce(t *testing.T) {
	var run Run
	run.Begin(Position{})
	made, rng, newest, once := newTerms(), rand.New(rand.NewPCG(7, 8)), map[string]string{}, 0
	keys := made.records(t, 20_000)
	for n := range 10 * len(keys) {
		rec := keys[n%len(keys)]
		if n >= len(keys) {
			rec = keys[rng.IntN(len(keys))]
		}
		rec.Offset, rec.Value = int64(n), []byte(due(int64(n%60)))
		if err := run.Add(rec); err != nil {
			t.Fatal(err)
		}
		if newest[string(rec.Key)] = string(rec.Value); n == len(keys)-1 {
			for range run.Writes() {
				once++
			}
			once = run.Bytes()
		}
	}
	if got := run.Bytes(); got > once+queueBytes || got < 20_000*cellBytes {
		t.Errorf("it takes %d bytes, %d after each key was written once", got, once)
	}
	last := ""
	for k, v := range run.Writes() {
		if string(k) <= last || newest[string(k)] != string(v) {
			t.Fatalf("%q: %x behind %q, want %x", k, v, last, newest[string(k)])
		}
		last = string(k)
		delete(newest, last)
	}
	if len(newest) > 0 {
		t.Errorf("%d keys are lost", len(newest))
	}
}

func listed(writes Writes) string {
	var b strings.Builder
	for k, v := range writes {
		fmt.Fprintf(&b, "%.50q %d: %x %v\n", k, len(k), v, v == nil)
	}
	return b.String()
}

// What a run refuses leaves it as it was.
func TestRunRefuses(t *testing.T) {
	var run Run
	run.Begin(at(5))
	good := Record{6, []byte("\x01a"), []byte(due(1))}
	if err := run.Add(good); err != nil {
		t.Fatal(err)
	}
	before, to := listed(run.Writes()), run.To()
	for _, c := range []struct {
		name   string
		record Record
		want   error
	}{
		{"a value of a newer build", Record{7, []byte("\x01a"), []byte("\xC3\x01newerone!")}, wire.ErrUnknownVersion},
		{"a value that is none", Record{7, []byte("\x01a"), []byte("v")}, wire.ErrCorrupt},
		{"a key of a newer build", Record{7, []byte("\x00other"), nil}, wire.ErrUnknownVersion},
		{"no key", Record{7, nil, nil}, wire.ErrCorrupt},
	} {
		if err := run.Add(c.record); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if err := run.Add(good); err == nil {
		t.Error("the same offset again is taken")
	}
	if listed(run.Writes()) != before || run.To() != to {
		t.Errorf("%s at %v, was %s at %v", listed(run.Writes()), run.To(), before, to)
	}
}

// A range that was loaded in runs is the one to which the same records were applied in batches: over what is there, and
// with deletions. Runs of both kinds occur.
func TestLoadIsApply(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	applied, loaded := rangeOf(t, s, Detect, 0), rangeOf(t, s, Detect, 1)
	rng := rand.New(rand.NewPCG(5, 6))
	made, big := newTerms(), false
	var run Run
	for _, n := range []int{100, 90_000, 2_000, 80_000} {
		records := made.records(t, n)
		for i := range records {
			records[i].Key = termKey(nil, uint32(rng.IntN(150_000)))
			if rng.IntN(4) == 0 {
				records[i].Value = nil
			}
		}
		from, _ := applied.Position()
		to, writes, err := Fold(from, records)
		if err != nil {
			t.Fatal(err)
		}
		if err := applied.Apply(from, to, writes); err != nil {
			t.Fatal(err)
		}
		run.Begin(from)
		for _, r := range records {
			if err := run.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		big = run.Bytes() >= tableFrom
		if err := loaded.Load(from, to, &run); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(inBytes(t, applied), inBytes(t, loaded)) {
			t.Fatalf("after %d records, by way of a table: %v, the ranges differ", n, big)
		}
	}
	if !big || s.db.Metrics().Ingest.Count != 2 {
		t.Errorf("%d tables were made, want 2", s.db.Metrics().Ingest.Count)
	}
	if err := loaded.Load(at(1), at(2), &run); !errors.Is(err, ErrMoved) {
		t.Errorf("from where the range does not stand: %v", err)
	}
	names, err := s.fs.List(s.path())
	if err != nil || strings.Contains(strings.Join(names, " "), tablePrefix) {
		t.Errorf("files are left: %q, %v", names, err)
	}
}

func inBytes(t *testing.T, r *Range) (all []byte) {
	if err := r.Scan(nil, func(k, v []byte) error { all = append(append(append(all, k...), 0), v...); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}
