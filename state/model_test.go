package state

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// model is a range as a map.
type model struct {
	pos Position
	kv  map[string]string
}

// Whatever is done to a store, in whatever order, across restarts and compactions, its ranges are maps with a position.
func TestStoreIsMapsWithPositions(t *testing.T) {
	key := rapid.StringMatching("[\x01-\x03][ab\x00]{0,2}")
	value := rapid.SampledFrom([]string{"", "v", "a longer value", "-"})
	rapid.Check(t, func(t *rapid.T) {
		opts := Options{FS: vfs.NewMem(), MemTableBytes: 256 << 10, CacheBytes: 1 << 20}
		s, err := Open("d", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		type id struct {
			stage     Stage
			partition int32
		}
		models := map[id]*model{}
		var asides int64
		draw := func(t *rapid.T) (*Range, *model) {
			i := id{rapid.SampledFrom([]Stage{Detect, Group}).Draw(t, "stage"), rapid.SampledFrom([]int32{0, 1, 256}).Draw(t, "partition")}
			if models[i] == nil {
				models[i] = &model{kv: map[string]string{}}
			}
			r, err := s.Range(i.stage, i.partition)
			if err != nil {
				t.Fatal(err)
			}
			return r, models[i]
		}
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				r, m := draw(t)
				writes := rapid.MapOfN(key, value, 0, 6).Draw(t, "writes")
				to := at(m.pos.ChangelogNext + rapid.Int64Range(0, 3).Draw(t, "by"))
				if to == (Position{}) {
					return
				}
				if err := r.Apply(m.pos, to, puts(writes)); err != nil {
					t.Fatal(err)
				}
				m.pos = to
				for k, v := range writes {
					if m.kv[k] = v; v == "-" {
						delete(m.kv, k)
					}
				}
			},
			"refused": func(t *rapid.T) {
				r, m := draw(t)
				from := at(m.pos.ChangelogNext + rapid.Int64Range(1, 2).Draw(t, "ahead"))
				err := r.Apply(from, at(from.ChangelogNext+1), puts(map[string]string{"\x01a": "wrong"}))
				if !errors.Is(err, ErrMoved) || !errors.Is(r.Delete(from), ErrMoved) {
					t.Fatalf("from %v instead of %v: %v", from, m.pos, err)
				}
			},
			"delete": func(t *rapid.T) {
				r, m := draw(t)
				if err := r.Delete(m.pos); err != nil {
					t.Fatal(err)
				}
				*m = model{kv: map[string]string{}}
			},
			"move aside": func(t *rapid.T) {
				r, m := draw(t)
				asides++
				dir, err := s.MoveAside(r.stage, r.partition, time.UnixMilli(asides))
				if err != nil {
					t.Fatal(err)
				}
				copied, err := Open(dir, Options{FS: opts.FS, ReadOnly: true})
				if err != nil {
					t.Fatal(err)
				}
				defer copied.Close()
				same(t, copied, r.stage, r.partition, m)
				*m = model{kv: map[string]string{}}
			},
			"flush": func(t *rapid.T) {
				if err := s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			},
			"compact": func(t *rapid.T) {
				if err := s.db.Compact(t.Context(), []byte{0}, []byte{9}, false); err != nil {
					t.Fatal(err)
				}
			},
			"reopen": func(t *rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = Open("d", opts); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				present := 0
				for i, m := range models {
					same(t, s, i.stage, i.partition, m)
					if m.pos != (Position{}) {
						present++
					}
				}
				if infos, err := s.Ranges(); err != nil || len(infos) != present {
					t.Fatalf("%d ranges are listed, %d are there: %v", len(infos), present, err)
				}
			},
		})
	})
}

// same fails unless a range is what the model says, by every way to read it.
func same(t *rapid.T, s *Store, stage Stage, partition int32, m *model) {
	r, err := s.Range(stage, partition)
	if err != nil {
		t.Fatal(err)
	}
	if pos, ok := r.Position(); pos != m.pos || ok != (m.pos != Position{}) {
		t.Fatalf("%v stands at %v, %v, want %v", r, pos, ok, m.pos)
	}
	got := map[string]string{}
	if err := r.Scan(nil, func(k, v []byte) error { got[string(k)] = string(v); return nil }); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, m.kv) {
		t.Fatalf("%v holds %q, want %q", r, got, m.kv)
	}
	for _, k := range []string{"\x01", "\x01a", "\x02ab", "\x03\x00"} {
		v, ok, err := r.Get(nil, []byte(k))
		if want, there := m.kv[k]; string(v) != want || ok != there || err != nil {
			t.Fatalf("%v: %q is %q, %v, %v, want %q, %v", r, k, v, ok, err, want, there)
		}
	}
}
