package state

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// batch is the i-th batch of a range in the crash test, the same every time.
func batch(partition int32, i int64) map[string]string {
	rng := rand.New(rand.NewPCG(uint64(partition), uint64(i)))
	kv := map[string]string{"\x01last": fmt.Sprint(i)}
	for range 5 {
		value := strings.Repeat(fmt.Sprint(i, " "), 1+rng.IntN(100))
		if rng.IntN(4) == 0 {
			value = "-"
		}
		kv[fmt.Sprintf("\x01%d", rng.IntN(50))] = value
	}
	return kv
}

// fold is what a range holds after its first n batches.
func fold(partition int32, n int64) map[string]string {
	kv := map[string]string{}
	for i := range n {
		for k, v := range batch(partition, i+1) {
			if kv[k] = v; v == "-" {
				delete(kv, k)
			}
		}
	}
	return kv
}

// When the machine dies, what was not synced is lost in part: any blocks of any file. Whatever is left, each range is
// what its first n batches made, stands at the n-th, and goes on from there. What was flushed before is not lost.
func TestPowerLossLeavesAPrefix(t *testing.T) {
	const crashes, batches = 12, 800
	fs := vfs.NewCrashableMem()
	opts := Options{FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20}
	s := open(t, "d", opts)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	var applied, kept atomic.Int64
	reached := make(chan int64, crashes) // the places to crash at; the writer goes on
	go func() {
		defer close(reached)
		for i := int64(1); i <= batches; i++ {
			for p := range int32(2) {
				r, err := s.Range(Detect, p)
				if err == nil {
					err = r.Apply(at(i-1), at(i), puts(batch(p, i)))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
			applied.Store(i)
			if i%(batches/crashes) == 0 {
				select {
				case reached <- i:
				default: // the last ones, when batches do not divide
				}
			}
			if i%300 == 0 {
				if err := s.db.Flush(); err != nil {
					t.Error(err)
					return
				}
				kept.Store(i)
			}
		}
	}()
	t.Cleanup(func() {
		for range reached { // the store stays open for the writer
		}
	})
	rng := rand.New(rand.NewPCG(1, 2))
	lost := 0
	n := 0
	for range reached { // in the middle of whatever goes on then
		n++
		least := kept.Load()
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 90, 100}[n%4], RNG: rng})
		most := applied.Load() + 1
		for p, at := range afterCrash(t, crashed, opts) {
			if at < least || at > most {
				t.Errorf("crash %d: partition %d stands at %d, not within %d and %d", n, p, at, least, most)
			}
			if at < most-1 {
				lost++
			}
		}
	}
	if lost == 0 || n < crashes {
		t.Errorf("%d crashes, of which %d lost something: the test shows nothing", n, lost)
	}
}

// afterCrash opens what a crash has left, checks it and applies the rest. It returns where the ranges stood.
func afterCrash(t *testing.T, fs *vfs.MemFS, opts Options) map[int32]int64 {
	opts.FS = fs
	s := open(t, "d", opts)
	stood := map[int32]int64{}
	for p := range int32(2) {
		r := rangeOf(t, s, Detect, p)
		pos, _ := r.Position()
		n := pos.ChangelogNext
		wantPosition(t, r, at(n))
		if got, want := contents(t, r, ""), fold(p, n); !maps.Equal(got, want) {
			t.Errorf("at %d partition %d holds\n%.300q, want\n%.300q", n, p, got, want)
		}
		for i := n + 1; i <= n+3; i++ {
			apply(t, r, at(i-1), at(i), batch(p, i))
		}
		wantContents(t, r, fold(p, n+3))
		stood[p] = n
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return stood
}

// A process dies between any two bytes of its log. What was done to a range is there, with the position, or it is not; and
// nothing is there without what came before it.
func TestLogCutAtAnyByte(t *testing.T) {
	fs := vfs.NewCrashableMem()
	opts := Options{FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20}
	s := open(t, "d", opts)
	if err := s.db.Flush(); err != nil { // the format is in a table, the log is empty
		t.Fatal(err)
	}
	r, other := rangeOf(t, s, Detect, 0), rangeOf(t, s, Detect, 1)
	states := []string{dump(t, s)}
	for i, do := range []func() error{
		func() error { return r.Apply(at(0), at(1), puts(map[string]string{"\x01a": "1", "\x01b": "1"})) },
		func() error { return other.Apply(at(0), at(1), puts(map[string]string{"\x01a": "1", "\x01b": "1"})) },
		func() error { return r.Apply(at(1), at(2), puts(map[string]string{"\x01a": "-", "\x01c": "2"})) },
		func() error { return other.Delete(at(1)) },
		func() error { return other.Apply(at(0), at(3), puts(map[string]string{"\x01b": "3"})) },
		func() error { return r.Apply(at(2), at(3), puts(nil)) },
	} {
		if err := do(); err != nil {
			t.Fatal(i, err)
		}
		states = append(states, dump(t, s))
	}
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	last := 0
	for cut, done := 0, false; !done; cut++ {
		var crashed *vfs.MemFS
		crashed, done = cutLog(t, fs, cut)
		next := open(t, "d", Options{FS: crashed, MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
		switch is := dump(t, next); {
		case is == states[last]:
		case last+1 < len(states) && is == states[last+1]:
			last++
		default:
			t.Errorf("with %d bytes of the log, after state %d of\n%q\nit is\n%q", cut, last, states, is)
		}
		if err := next.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if last != len(states)-1 {
		t.Errorf("the whole log makes state %d of %d", last, len(states)-1)
	}
}

// dump is what two ranges hold and where they stand.
func dump(t *testing.T, s *Store) (text string) {
	for p := range int32(2) {
		r := rangeOf(t, s, Detect, p)
		pos, ok := r.Position()
		text += fmt.Sprintln(ok, pos, pos.InputNext, contents(t, r, ""))
	}
	return text
}

// cutLog returns a copy of a store in memory with the newest log cut to a length, and whether that is all of it.
func cutLog(t *testing.T, fs *vfs.MemFS, length int) (crashed *vfs.MemFS, whole bool) {
	crashed = fs.CrashClone(vfs.CrashCloneCfg{})
	names, err := crashed.List("d/store")
	if err != nil {
		t.Fatal(err)
	}
	newest := ""
	for _, n := range names {
		if strings.HasSuffix(n, ".log") {
			newest = max(newest, "d/store/"+n)
		}
	}
	f, err := crashed.Open(newest)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	length = min(length, len(b))
	w, err := crashed.Create(newest, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = w.Write(b[:length])
	}
	if err := errors.Join(err, f.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return crashed, length == len(b)
}
