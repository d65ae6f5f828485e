package processor

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstseen/state"
)

// verified compares a directory with the changelogs and returns the ranges by name, and the differing keys.
func verified(t *testing.T, cfg Config, dir string) (map[string]Verified, []Difference) {
	t.Helper()
	ranges, differ := map[string]Verified{}, []Difference(nil)
	err := Verify(context.Background(), cfg, dir, -1, func(d Difference) { differ = append(differ, d) },
		func(v Verified) { ranges[topicPartition{string(v.Stage), v.Partition}.String()] = v })
	if err != nil {
		t.Fatal(err)
	}
	return ranges, differ
}

// verifies compares the store of a stopped worker with its changelogs: as it is, after others have gone on and the
// changelogs were compacted, and with a key changed, one deleted and one made up.
func verifies(t *testing.T, brokers string, compact func()) {
	h := newHalfway(t, brokers)
	ranges, differ := verified(t, h.cfg, h.cfg.StateDir)
	keys := 0
	for _, v := range ranges {
		keys += v.Keys
		if !v.Equal() || v.Open > 0 {
			t.Error(v.String())
		}
	}
	if len(ranges) != 8 || keys < 100 || len(differ) > 0 {
		t.Fatalf("%d ranges, %d keys, %d of them differ", len(ranges), keys, len(differ))
	}

	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.CopyFS(kept, os.DirFS(h.cfg.StateDir)); err != nil {
		t.Fatal(err)
	}
	h.second()
	h.runUntilDrained(h.cfg)
	if compact != nil {
		compact()
	}
	ranges, differ = verified(t, h.cfg, kept)
	open := 0
	for _, v := range ranges {
		if open += v.Open; !v.Equal() {
			t.Error(v.String())
		}
	}
	if len(differ) > 0 || open == 0 && compact != nil {
		t.Errorf("an older copy: %d keys differ, %d cannot be compared; compaction should have taken some", len(differ), open)
	}

	store, err := state.Open(h.cfg.StateDir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Range(state.Detect, 2)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	if err := r.Scan(nil, func(key, _ []byte) error { all = append(all, slices.Clone(key)); return nil }); err != nil {
		t.Fatal(err)
	}
	lost, changed, madeUp := string(all[0]), string(all[1]), "\x01another key"
	other, _, err := r.Get(nil, all[2])
	if err != nil {
		t.Fatal(err)
	}
	pos, _ := r.Position()
	if err := r.Apply(pos, pos, func(yield func(key, value []byte) bool) {
		_ = yield([]byte(lost), nil) && yield([]byte(changed), append(other, 0)) && yield([]byte(madeUp), other)
	}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	ranges, differ = verified(t, h.cfg, h.cfg.StateDir)
	for name, v := range ranges {
		if v.Equal() == (name == "detect/2") {
			t.Error(v.String())
		}
	}
	found := map[string]Difference{}
	for _, d := range differ {
		found[string(d.Key)] = d
	}
	if want := []string{lost, changed, madeUp}; len(found) != 3 || !slices.Equal(slices.Sorted(maps.Keys(found)), slices.Sorted(slices.Values(want))) {
		t.Fatalf("differing: %q, want %q", slices.Sorted(maps.Keys(found)), want)
	}
	for key, part := range map[string]string{lost: "the store has nothing, the changelog first ", changed: "the store has another value", madeUp: "the changelog nothing"} {
		d := found[key]
		if !strings.Contains(d.Explain(), part) {
			t.Errorf("%s: want %s", d.Explain(), part)
		}
	}
}
