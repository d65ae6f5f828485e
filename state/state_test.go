package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"firstseen/schemas/wire"
)

// open opens a store that is closed with the test.
func open(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrFailed) {
			t.Error(err)
		}
	})
	return s
}

func inMemory() Options { return Options{FS: vfs.NewMem()} }

func rangeOf(t testing.TB, s *Store, stage Stage, partition int32) *Range {
	t.Helper()
	r, err := s.Range(stage, partition)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// at is a position that the tests tell apart by its changelog offset alone.
func at(next int64) Position {
	if next == 0 {
		return Position{}
	}
	return Position{ChangelogID: [16]byte{7}, ChangelogNext: next, Barrier: Barrier{Offset: next - 1, Epoch: 3},
		Offset: wire.Offset{InputTopicID: [16]byte{8}, InputNext: 10 * next}}
}

// puts are writes in the order of the keys; "-" deletes.
func puts(kv map[string]string) Writes {
	return func(yield func(key, value []byte) bool) {
		for _, k := range slices.Sorted(maps.Keys(kv)) {
			v := []byte(kv[k])
			if kv[k] == "-" {
				v = nil
			}
			if !yield([]byte(k), v) {
				return
			}
		}
	}
}

func contents(t testing.TB, r *Range, prefix string) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := r.Scan([]byte(prefix), func(k, v []byte) error { got[string(k)] = string(v); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func wantContents(t testing.TB, r *Range, want map[string]string) {
	t.Helper()
	if got := contents(t, r, ""); !maps.Equal(got, want) {
		t.Fatalf("%v holds %q, want %q", r, got, want)
	}
}

func wantPosition(t testing.TB, r *Range, want Position) {
	t.Helper()
	if got, ok := r.Position(); got != want || ok != (want != Position{}) {
		t.Fatalf("%v stands at %+v (present: %v), want %+v", r, got, ok, want)
	}
}

func apply(t testing.TB, r *Range, from, to Position, kv map[string]string) {
	t.Helper()
	if err := r.Apply(from, to, puts(kv)); err != nil {
		t.Fatal(err)
	}
}

func TestApplyMovesKeysAndPositionTogether(t *testing.T) {
	opts := inMemory()
	s := open(t, "d", opts)
	r := rangeOf(t, s, Detect, 3)
	wantPosition(t, r, Position{})

	apply(t, r, Position{}, at(5), map[string]string{"\x01a": "1", "\x01b": "2"})
	apply(t, r, at(5), at(9), map[string]string{"\x01a": "3", "\x01b": "-", "\x01c": ""})
	want := map[string]string{"\x01a": "3", "\x01c": ""}
	wantContents(t, r, want)
	wantPosition(t, r, at(9))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, "d", opts)
	r = rangeOf(t, s, Detect, 3)
	wantContents(t, r, want)
	wantPosition(t, r, at(9))
	if other := rangeOf(t, s, Detect, 3); other != r {
		t.Error("one partition has two ranges, and two mutexes")
	}
}

func TestApplyIsRefusedElsewhere(t *testing.T) {
	s := open(t, "d", inMemory())
	r := rangeOf(t, s, Group, 0)
	apply(t, r, Position{}, at(5), map[string]string{"\x02a": "1"})
	recreated := at(5)
	recreated.ChangelogID[0]++
	for name, from := range map[string]Position{"behind": at(4), "ahead": at(6), "new": {}, "another changelog": recreated} {
		to := from
		to.ChangelogNext = 10
		if err := r.Apply(from, to, puts(map[string]string{"\x02a": "2"})); !errors.Is(err, ErrMoved) {
			t.Errorf("apply from %s: %v, want ErrMoved", name, err)
		}
		if err := r.Delete(from); !errors.Is(err, ErrMoved) {
			t.Errorf("delete from %s: %v, want ErrMoved", name, err)
		}
	}
	// Only the place in the changelog names a position: the rest of it may be known in more detail than before.
	moved := at(5)
	moved.InputNext, moved.Barrier = 0, Barrier{}
	apply(t, r, moved, at(6), nil)
	if err := r.Apply(at(6), at(5), puts(nil)); err == nil {
		t.Error("a batch led back in its changelog")
	}
	for _, key := range []string{"", "\x00", OffsetKey, BarrierKey} {
		if err := r.Apply(at(6), at(7), puts(map[string]string{"\x02b": "1", key: "x"})); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
	wantContents(t, r, map[string]string{"\x02a": "1"})
	wantPosition(t, r, at(6))
}

func TestRangesDoNotTouch(t *testing.T) {
	s := open(t, "d", inMemory())
	partitions := []int32{0, 1, 255, 256, 1<<31 - 1}
	for _, stage := range []Stage{Detect, Group} {
		for _, p := range partitions {
			own := fmt.Sprint(stage, p)
			apply(t, rangeOf(t, s, stage, p), Position{}, at(int64(p)+1), map[string]string{"\x01": own, "\xff\xff": own})
		}
	}
	gone := rangeOf(t, s, Detect, 255)
	if err := gone.Delete(at(256)); err != nil {
		t.Fatal(err)
	}
	wantContents(t, gone, map[string]string{})
	wantPosition(t, gone, Position{})
	infos, err := s.Ranges()
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, i := range infos {
		if i.Err != nil || i.Position != at(int64(i.Partition)+1) {
			t.Errorf("%v %d is listed at %v, %v", i.Stage, i.Partition, i.Position, i.Err)
		}
		listed = append(listed, fmt.Sprint(i.Stage, i.Partition))
		own := fmt.Sprint(i.Stage, i.Partition)
		wantContents(t, rangeOf(t, s, i.Stage, i.Partition), map[string]string{"\x01": own, "\xff\xff": own})
	}
	const want = "detect 0,detect 1,detect 256,detect 2147483647,group 0,group 1,group 255,group 256,group 2147483647"
	if got := strings.Join(listed, ","); got != want {
		t.Errorf("ranges: %s", got)
	}
}

func TestScanByPrefix(t *testing.T) {
	s := open(t, "d", inMemory())
	r := rangeOf(t, s, Detect, 0)
	apply(t, r, Position{}, at(1), map[string]string{"\x01": "a", "\x01\xff": "b", "\x01\xff\xff": "c", "\x02": "d", "\xff": "e"})
	for prefix, want := range map[string]string{
		"": "abcde", "\x01": "abc", "\x01\xff": "bc", "\x01\xff\xff": "c", "\xff": "e", "\x03": "", "\x00": "", OffsetKey: "",
	} {
		var got string
		err := r.Scan([]byte(prefix), func(_, v []byte) error { got += string(v); return nil })
		if got != want || err != nil {
			t.Errorf("scan of %q: %q, %v, want %q", prefix, got, err, want)
		}
	}
	stop := errors.New("stop")
	n := 0
	if err := r.Scan(nil, func(_, _ []byte) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("a scan goes on after an error: %v, %d calls", err, n)
	}
}

func TestGetAppends(t *testing.T) {
	s := open(t, "d", inMemory())
	r := rangeOf(t, s, Detect, 0)
	apply(t, r, Position{}, at(1), map[string]string{"\x01a": "value"})
	for key, want := range map[string]string{"\x01a": "dst+value", "\x01": "dst+", "\x01ab": "dst+", "": "dst+", "\x00": "dst+"} {
		got, ok, err := r.Get([]byte("dst+"), []byte(key))
		if string(got) != want || ok != (key == "\x01a") || err != nil {
			t.Errorf("get %q: %q, %v, %v", key, got, ok, err)
		}
	}
}

func TestSweepVisitsEveryKeyAndNamesTheDue(t *testing.T) {
	s := open(t, "d", inMemory())
	r := rangeOf(t, s, Detect, 0)
	kv := map[string]string{"\x03x": "no state value"}
	for i := range int64(10) {
		v, err := wire.AppendTerm(nil, &wire.Term{SweepAt: 100 * i})
		if err != nil {
			t.Fatal(err)
		}
		kv[fmt.Sprintf("\x01%d", i)] = string(v)
	}
	apply(t, r, Position{}, at(1), kv)
	for _, n := range []int{1, 3, 11, 12} {
		var due []string
		var cursor []byte
		for calls := 1; ; calls++ {
			keys, next, err := r.Sweep(cursor, n, 300) // a deadline of exactly 300 is not passed
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range keys {
				due = append(due, string(k[1:]))
			}
			if cursor = next; cursor == nil {
				if want := (11 + n - 1) / n; calls != want {
					t.Errorf("sweep by %d: %d calls, want %d", n, calls, want)
				}
				break
			}
		}
		if got := strings.Join(due, ""); got != "012" {
			t.Errorf("sweep by %d: due are %q", n, got)
		}
	}
	wantContents(t, r, kv)
}

// Lanes that stall keep on computing from what they have read. However they meet, every batch that is applied was
// computed from the one before it.
func TestApplyComparesUnderContention(t *testing.T) {
	s := open(t, "d", inMemory())
	const lanes, perLane = 8, 50
	var wg sync.WaitGroup
	for lane := range lanes {
		r := rangeOf(t, s, Detect, int32(lane%2))
		wg.Go(func() {
			for done := 0; done < perLane; {
				from, _ := r.Position()
				value, _, err := r.Get(nil, []byte("\x01count"))
				if err != nil {
					t.Error(err)
					return
				}
				count := map[string]string{"\x01count": string(value) + "+"}
				switch err := r.Apply(from, at(from.ChangelogNext+1), puts(count)); {
				case err == nil:
					done++
				case !errors.Is(err, ErrMoved):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for p := range int32(2) {
		r := rangeOf(t, s, Detect, p)
		wantPosition(t, r, at(lanes/2*perLane))
		wantContents(t, r, map[string]string{"\x01count": strings.Repeat("+", lanes/2*perLane)})
	}
}

func TestStatsCountKeysAndBytes(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	r := rangeOf(t, s, Detect, 0)
	kv := map[string]string{}
	for i := range 1000 {
		kv[fmt.Sprintf("\x01%d", i)] = "value"
	}
	apply(t, r, Position{}, at(1), kv)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if st.Keys < 1000 || st.Keys > 1010 || st.DiskBytes == 0 || st.FreeBytes == 0 || st.MemoryBytes == 0 {
		t.Errorf("%+v", st)
	}
	infos, err := s.Ranges()
	if err != nil || len(infos) != 1 || infos[0].Bytes == 0 || infos[0].Bytes > st.DiskBytes {
		t.Errorf("%+v, %v", infos, err)
	}
}
