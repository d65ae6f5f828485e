package state

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

// model is a range as a map. It is never changed.
type model struct {
	pos Position
	kv  map[string]string
}

// with returns the model with writes applied.
func (m model) with(to Position, writes map[string]string) model {
	next := model{to, maps.Clone(m.kv)}
	if next.kv == nil {
		next.kv = map[string]string{}
	}
	for k, v := range writes {
		if next.kv[k] = v; v == "-" {
			delete(next.kv, k)
		}
	}
	return next
}

func (m model) equal(o model) bool { return m.pos == o.pos && maps.Equal(m.kv, o.kv) }

// rangeID names a range.
type rangeID struct {
	stage     Stage
	partition int32
}

// moment is a store as maps: those of its ranges that are not empty.
type moment struct {
	ranges map[rangeID]model
	redo   func(*rapid.T) // does once more what led here from the moment before
}

// modelled is a store and what it is expected to be.
type modelled struct {
	opts    Options
	disk    *disk
	s       *Store
	past    []moment
	durable int   // the last moment that no crash takes away
	asides  int64 // ranges moved aside, each at a time of its own
}

var (
	modelStages     = []Stage{Detect, Group}
	modelPartitions = []int32{0, 1, 256}
	modelKeys       = rapid.StringMatching("[\x01-\x03][ab\x00]{0,2}")
	everyKey        = slices.Collect(allKeys) // that modelKeys may be
	modelValues     = rapid.SampledFrom([]string{"", "v", "-", "a longer value", due(10), due(20), strings.Repeat("so long that the log is written ", 600)})
)

func allKeys(yield func(string) bool) {
	for _, kind := range []string{"\x01", "\x02", "\x03"} {
		for _, first := range []string{"", "a", "b", "\x00"} {
			for _, second := range []string{"", "a", "b", "\x00"} {
				if (first != "" || second == "") && !yield(kind+first+second) {
					return
				}
			}
		}
	}
}

// due is a value that may be swept after a time.
func due(clock int64) string {
	v, err := wire.AppendTerm(nil, &wire.Term{SweepAt: clock})
	if err != nil {
		panic(err)
	}
	return string(v)
}

// Whatever is done to a store, in whatever order, across restarts, compactions and power failures, its ranges are maps with
// a position. A power failure takes it back to what it was some batches ago, all ranges together, and the same batches
// lead from there to where it was.
//
//	go test ./state -run TestStoreIsMapsWithPositions -rapid.checks 10000
func TestStoreIsMapsWithPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &modelled{opts: Options{MemTableBytes: 256 << 10, CacheBytes: 1 << 20}, disk: newDisk(vfs.NewCrashableMem()), past: make([]moment, 1)}
		m.open(t)
		defer func() { _ = m.s.Close() }()
		actions := map[string]func(*rapid.T){
			"apply": m.apply, "ingest": m.ingest, "refused": m.refused, "delete": m.delete, "move aside": m.moveAside, "scan": m.scan, "sweep": m.sweep,
			"flush": m.flush, "compact": m.compact, "reopen": m.reopen, "nothing": func(*rapid.T) {},
		}
		names := rapid.SampledFrom(slices.Sorted(maps.Keys(actions)))
		actions["power failure"] = func(t *rapid.T) { m.crash(t, actions[names.Draw(t, "during")]) }
		actions[""] = m.check
		t.Repeat(actions)
	})
}

func (m *modelled) present() moment { return m.past[len(m.past)-1] }

// draw picks a range.
func (m *modelled) draw(t *rapid.T) (rangeID, *Range, model) {
	id := rangeID{rapid.SampledFrom(modelStages).Draw(t, "stage"), rapid.SampledFrom(modelPartitions).Draw(t, "partition")}
	return id, m.rangeOf(t, id), m.present().ranges[id]
}

func (m *modelled) rangeOf(t *rapid.T, id rangeID) *Range {
	r, err := m.s.Range(id.stage, id.partition)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// change does something that makes a range another one.
func (m *modelled) change(t *rapid.T, id rangeID, to model, do func(t *rapid.T, r *Range)) {
	next := moment{maps.Clone(m.present().ranges), func(t *rapid.T) { do(t, m.rangeOf(t, id)) }}
	if next.ranges == nil {
		next.ranges = map[rangeID]model{}
	}
	if next.ranges[id] = to; to.pos == (Position{}) {
		delete(next.ranges, id)
	}
	m.past = append(m.past, next)
	next.redo(t)
}

func (m *modelled) write(t *rapid.T, id rangeID, from model, to Position, writes map[string]string) {
	m.change(t, id, from.with(to, writes), func(t *rapid.T, r *Range) {
		if err := r.Apply(from.pos, to, puts(writes)); err != nil {
			t.Fatal(err)
		}
	})
}

func (m *modelled) apply(t *rapid.T) {
	id, _, from := m.draw(t)
	to := at(from.pos.ChangelogNext + rapid.Int64Range(0, 3).Draw(t, "by"))
	if to != (Position{}) {
		m.write(t, id, from, to, rapid.MapOfN(modelKeys, modelValues, 0, 6).Draw(t, "writes"))
	}
}

func (m *modelled) ingest(t *rapid.T) {
	id, _, from := m.draw(t)
	to := at(from.pos.ChangelogNext + rapid.Int64Range(1, 3).Draw(t, "by"))
	writes := rapid.MapOfN(modelKeys, modelValues, 0, 6).Draw(t, "writes")
	m.change(t, id, from.with(to, writes), func(t *rapid.T, r *Range) {
		if err := r.ingest(from.pos, to, puts(writes)); err != nil {
			t.Fatal(err)
		}
	})
	m.durable = len(m.past) - 1
}

func (m *modelled) refused(t *rapid.T) {
	_, r, is := m.draw(t)
	from := at(is.pos.ChangelogNext + rapid.Int64Range(1, 2).Draw(t, "ahead"))
	err := r.Apply(from, at(from.ChangelogNext+1), puts(map[string]string{"\x01a": "wrong"}))
	if !errors.Is(err, ErrMoved) || !errors.Is(r.Delete(from), ErrMoved) {
		t.Fatalf("from %v instead of %v: %v", from, is.pos, err)
	}
}

func (m *modelled) delete(t *rapid.T) {
	id, _, from := m.draw(t)
	m.change(t, id, model{}, func(t *rapid.T, r *Range) {
		if err := r.Delete(from.pos); err != nil {
			t.Fatal(err)
		}
	})
}

func (m *modelled) moveAside(t *rapid.T) {
	id, _, was := m.draw(t)
	m.change(t, id, model{}, func(t *rapid.T, _ *Range) {
		m.asides++
		dir, err := m.s.MoveAside(id.stage, id.partition, time.UnixMilli(m.asides))
		if err != nil {
			t.Fatal(err)
		}
		copied, err := Open(dir, Options{FS: m.disk.FS, ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer copied.Close()
		same(t, copied, id, was)
	})
}

func (m *modelled) scan(t *rapid.T) {
	_, r, is := m.draw(t)
	prefix := modelKeys.Draw(t, "prefix")
	var got []string
	if err := r.Scan([]byte(prefix), func(k, v []byte) error { got = append(got, string(k)+"="+string(v)); return nil }); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, k := range slices.Sorted(maps.Keys(is.kv)) {
		if strings.HasPrefix(k, prefix) {
			want = append(want, k+"="+is.kv[k])
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%v has under %q %q, want %q", r, prefix, got, want)
	}
}

// sweep deletes what is due of the next keys, as a transaction does.
func (m *modelled) sweep(t *rapid.T) {
	id, r, is := m.draw(t)
	cursor, n, clock := modelKeys.Draw(t, "cursor"), rapid.IntRange(1, 4).Draw(t, "keys"), rapid.SampledFrom([]int64{10, 11, 20, 21}).Draw(t, "clock")
	got, next, err := r.Sweep([]byte(cursor), n, clock)
	if err != nil {
		t.Fatal(err)
	}
	keys := slices.Sorted(maps.Keys(is.kv))
	first, _ := slices.BinarySearch(keys, cursor)
	keys = keys[first:]
	if len(keys) > n {
		if string(next) != keys[n] {
			t.Fatalf("the sweep of %v goes on at %q, want %q", r, next, keys[n])
		}
		keys = keys[:n]
	} else if next != nil {
		t.Fatalf("the sweep of %v goes on at %q after the end", r, next)
	}
	writes := map[string]string{}
	for _, k := range keys {
		if v := is.kv[k]; v == due(10) && clock > 10 || v == due(20) && clock > 20 {
			if len(writes) >= len(got) || string(got[len(writes)]) != k {
				t.Fatalf("the sweep of %v at %d finds %q, not %q", r, clock, got, k)
			}
			writes[k] = "-"
		}
	}
	if len(got) != len(writes) {
		t.Fatalf("the sweep of %v at %d finds %q, want %d keys", r, clock, got, len(writes))
	}
	if len(writes) > 0 {
		m.write(t, id, is, at(is.pos.ChangelogNext+1), writes)
	}
}

func (m *modelled) flush(t *rapid.T) {
	if err := m.s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	m.durable = len(m.past) - 1
}

func (m *modelled) compact(t *rapid.T) {
	if err := m.s.db.Compact(context.Background(), []byte{0}, []byte{9}, false); err != nil {
		t.Fatal(err)
	}
	m.durable = len(m.past) - 1
}

func (m *modelled) reopen(t *rapid.T) {
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	m.durable = len(m.past) - 1
	m.open(t)
}

func (m *modelled) open(t *rapid.T) {
	opts := m.opts
	opts.FS = m.disk.FS
	var err error
	if m.s, err = Open("d", opts); err != nil {
		t.Fatal(err)
	}
}

// crash lets the power fail before one of the writes of something that is being done, or after it, and again while the
// store is opened after that.
func (m *modelled) crash(t *rapid.T, during func(*rapid.T)) {
	low, left := m.durable, m.disk.failAt(t)
	during(t)
	crashed := left()
	high := len(m.past) - 1
	for again := rapid.IntRange(0, 2).Draw(t, "again"); again >= 0; again-- {
		if err := m.s.Close(); err != nil {
			t.Fatal(err)
		}
		m.disk = newDisk(crashed)
		left = m.disk.failAt(t)
		m.open(t)
		low = m.identify(t, low, high)
		crashed, high = left(), low // what has been found is not lost any more
	}
	lost := slices.Clone(m.past[low+1:])
	m.past, m.durable = m.past[:low+1], low
	if rapid.Bool().Draw(t, "recover") {
		for _, l := range lost {
			m.past = append(m.past, l)
			l.redo(t)
		}
	}
}

// failAt lets the power fail before one of the writes to come, or else when left is called, which says what is left then.
func (d *disk) failAt(t *rapid.T) (left func() *vfs.MemFS) {
	write, rng := rapid.IntRange(0, 25).Draw(t, "write"), rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "crash"), 0))
	var crashed *vfs.MemFS
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = func() {
		if write--; write == -1 {
			crashed = d.crash(rng, false)
		}
	}
	return func() *vfs.MemFS {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.before = nil; crashed == nil {
			crashed = d.crash(rng, false)
		}
		return crashed
	}
}

// identify returns the latest moment of a span that the store is at.
func (m *modelled) identify(t *rapid.T, low, high int) int {
	is := map[rangeID]model{}
	for _, stage := range modelStages {
		for _, p := range modelPartitions {
			id := rangeID{stage, p}
			r := m.rangeOf(t, id)
			if pos, ok := r.Position(); ok {
				is[id] = model{pos, read(t, r)}
			} else if kv := read(t, r); len(kv) > 0 {
				t.Fatalf("%v stands nowhere and holds %d keys", r, len(kv))
			}
		}
	}
	for at := high; at >= low; at-- {
		if maps.EqualFunc(is, m.past[at].ranges, model.equal) {
			return at
		}
	}
	t.Fatalf("after a power failure the store is none of the %d that it was since it was synced", high-low+1)
	return 0
}

// check compares all there is with what is expected.
func (m *modelled) check(t *rapid.T) {
	expected := m.present().ranges
	for _, stage := range modelStages {
		for _, p := range modelPartitions {
			same(t, m.s, rangeID{stage, p}, expected[rangeID{stage, p}])
		}
	}
	if infos, err := m.s.Ranges(); err != nil || len(infos) != len(expected) {
		t.Fatalf("%d ranges are listed, %d are there: %v", len(infos), len(expected), err)
	}
}

func read(t *rapid.T, r *Range) map[string]string {
	kv := map[string]string{}
	if err := r.Scan(nil, func(k, v []byte) error { kv[string(k)] = string(v); return nil }); err != nil {
		t.Fatal(err)
	}
	return kv
}

// same fails unless a range is what the model says, by every way to read it.
func same(t *rapid.T, s *Store, id rangeID, m model) {
	r, err := s.Range(id.stage, id.partition)
	if err != nil {
		t.Fatal(err)
	}
	if pos, ok := r.Position(); pos != m.pos || ok != (m.pos != Position{}) {
		t.Fatalf("%v stands at %v, %v, want %v", r, pos, ok, m.pos)
	}
	if got := read(t, r); !maps.Equal(got, m.kv) {
		t.Fatalf("%v holds %.500q, want %.500q", r, got, m.kv)
	}
	for _, k := range everyKey {
		v, ok, err := r.Get(nil, []byte(k))
		if want, there := m.kv[k]; string(v) != want || ok != there || err != nil {
			t.Fatalf("%v: %q is %q, %v, %v, want %q, %v", r, k, v, ok, err, want, there)
		}
	}
}
