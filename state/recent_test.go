package state

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is written, replaced, removed and crowded out, and however hashes collide: what is held of a key is the value
// that was written last, or nothing.
func TestRecentValuesAreTheLastOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := shard{limit: rapid.OneOf(rapid.IntRange(0, 200), rapid.Just(200_000)).Draw(t, "limit")}
		type name struct {
			id  uint32
			key string
		}
		written := map[name]string{}
		hashes := rapid.Uint64Range(1, 5).Draw(t, "hashes")
		names := rapid.Custom(func(t *rapid.T) name {
			return name{rapid.Uint32Range(1, 2).Draw(t, "id"), rapid.StringMatching("[a-c]{1,2}").Draw(t, "key")}
		})
		hash := func(n name) uint64 { return (uint64(n.id) + uint64(n.key[0])*3 + uint64(len(n.key))*7) % hashes }
		values := rapid.OneOf(rapid.StringMatching("[x-z]{0,3}|y{50}"), rapid.Just(strings.Repeat("z", 70_000)))
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				n, value := names.Draw(t, "name"), values.Draw(t, "value")
				s.put(hash(n), n.id, []byte(n.key), []byte(value))
				written[n] = value
				held, ok := s.value(hash(n), n.id, []byte(n.key))
				if fits := len(value) < 1<<16 && entryHead+placeBytes+len(n.key)+len(value) <= s.limit; ok != fits {
					t.Fatalf("%v is held with %d bytes: %v (%.80q), want %v", n, len(value), ok, held, fits)
				}
			},
			"remove": func(t *rapid.T) {
				n := names.Draw(t, "name")
				s.remove(hash(n))
				delete(written, n)
			},
			"": func(t *rapid.T) {
				for id := range uint32(3) {
					for _, key := range []string{"a", "b", "c", "aa", "ab", "bc", "cc"} {
						n := name{id, key}
						want, there := written[n]
						if held, ok := s.value(hash(n), id, []byte(key)); ok && (!there || string(held) != want) {
							t.Fatalf("of %v %.80q is held, want %.80q (%v)", n, held, want, there)
						}
					}
				}
				for _, g := range []generation{s.young, s.old} {
					if len(g.entries)+len(g.at)*placeBytes > s.limit {
						t.Fatalf("%d bytes and %d places are more than %d bytes", len(g.entries), len(g.at), s.limit)
					}
				}
			},
		})
	})
}

// A value that was replaced does not come back when another key takes the place of the one that replaced it.
func TestRecentValuesStayReplaced(t *testing.T) {
	s := shard{limit: 2 * (entryHead + 2 + placeBytes)}
	a, b := []byte("a"), []byte("b")
	s.put(1, 0, a, []byte("1"))
	s.put(2, 0, []byte("c"), []byte("1"))
	s.put(1, 0, a, []byte("2")) // there is no room: the others are old now
	s.put(1, 0, b, []byte("1")) // has the same hash
	if value, ok := s.value(1, 0, a); ok {
		t.Errorf("a has %q again", value)
	}
	s.remove(1)
	if value, ok := s.value(1, 0, a); ok {
		t.Errorf("a has %q again", value)
	}
	if value, ok := s.value(1, 0, b); ok {
		t.Errorf("b, removed, has %q", value)
	}
}

// What is written is found without the store, until there is no room for it; what is written again and again stays.
func TestRecentValuesNeedNoStore(t *testing.T) {
	opts := inMemory()
	opts.CacheBytes = 1 << 20
	s := open(t, "d", opts)
	r := rangeOf(t, s, Detect, 0)
	held := func(key string) bool {
		_, ok := s.recent.get(nil, r.held.Load(), []byte(key))
		return ok
	}
	for n := range int64(200) {
		kv := map[string]string{"\x01often": strconv.FormatInt(n, 10)}
		for i := range 50 {
			kv[fmt.Sprintf("\x01%d", n*50+int64(i))] = "once"
		}
		apply(t, r, at(n), at(n+1), kv)
		if !held("\x01often") || !held(fmt.Sprintf("\x01%d", n*50)) {
			t.Fatalf("after batch %d its values are not held", n)
		}
	}
	if held("\x010") {
		t.Error("the first of 10,000 values is held: there is no end to it")
	}
	if other := rangeOf(t, s, Detect, 1); other.held.Load() == r.held.Load() {
		t.Error("two ranges hold their values under the same id")
	}
}

// A batch that is refused, or that cannot be written, leaves nothing behind. What is held of a range goes with it.
func TestRecentValuesAreThoseOfTheStore(t *testing.T) {
	s := open(t, "d", inMemory())
	r := rangeOf(t, s, Detect, 0)
	apply(t, r, at(0), at(1), map[string]string{"\x01a": "1", "\x01b": "1"})
	want := func(step string, kv map[string]string) {
		t.Helper()
		for _, key := range []string{"\x01a", "\x01b", "\x01c"} {
			value, ok, err := r.Get(nil, []byte(key))
			if is, there := kv[key]; string(value) != is || ok != there || err != nil {
				t.Fatalf("after %s %q is %q, %v, %v, want %q, %v", step, key, value, ok, err, is, there)
			}
		}
	}
	if err := r.Apply(at(5), at(6), puts(map[string]string{"\x01a": "wrong", "\x01c": "wrong"})); !errors.Is(err, ErrMoved) {
		t.Fatal(err)
	}
	want("a batch from elsewhere", map[string]string{"\x01a": "1", "\x01b": "1"})
	unwritable := func(yield func(key, value []byte) bool) {
		_ = yield([]byte("\x01a"), []byte("wrong")) && yield([]byte("\x01b"), nil) && yield([]byte("\x00"), []byte("not for state"))
	}
	if err := r.Apply(at(1), at(2), unwritable); err == nil {
		t.Fatal("a reserved key was written")
	}
	want("a batch that cannot be written", map[string]string{"\x01a": "1", "\x01b": "1"})
	apply(t, r, at(1), at(2), map[string]string{"\x01a": "2", "\x01b": "2"})
	apply(t, r, at(2), at(3), map[string]string{"\x01a": "33", "\x01b": "-", "\x01c": "3"})
	want("a batch", map[string]string{"\x01a": "33", "\x01c": "3"})
	if err := r.ingest(at(3), at(4), puts(map[string]string{"\x01a": "44", "\x01c": "-"})); err != nil {
		t.Fatal(err)
	}
	want("a table", map[string]string{"\x01a": "44"})
	apply(t, r, at(4), at(5), map[string]string{"\x01b": "5"})
	if err := r.Delete(at(5)); err != nil {
		t.Fatal(err)
	}
	want("a deletion", nil)
	apply(t, r, at(0), at(1), map[string]string{"\x01c": "6"})
	want("a new beginning", map[string]string{"\x01c": "6"})
}

// While one lane writes, another may read. Whoever has seen a batch applied reads what it wrote, or something later.
func TestRecentValuesDoNotLagBehindTheStore(t *testing.T) {
	opts := inMemory()
	opts.CacheBytes = 64 << 10 // so small that they come and go
	s := open(t, "d", opts)
	var readers sync.WaitGroup
	var applied atomic.Int64
	var over atomic.Bool
	r := rangeOf(t, s, Detect, 0)
	const keys, batches = 40, 3000
	key := func(i int64) string { return fmt.Sprintf("\x01%d", i) }
	for range 2 {
		readers.Go(func() {
			for i := int64(0); !over.Load(); i++ {
				least := applied.Load()
				value, ok, err := r.Get(nil, []byte(key(i%keys)))
				is, _, _ := strings.Cut(string(value), " ")
				if n, perr := strconv.ParseInt(is, 10, 64); err != nil || ok && perr != nil || ok != (n > 0) || n < least-keys+1 {
					t.Errorf("after batch %d key %d has %.20q, %v, %v", least, i%keys, value, ok, err)
					return
				}
			}
		})
	}
	for n := range int64(batches) {
		apply(t, r, at(n), at(n+1), map[string]string{key(n % keys): strconv.FormatInt(n+1, 10) + strings.Repeat(" ", int(n%700))})
		applied.Store(n + 1)
	}
	over.Store(true)
	readers.Wait()
}
