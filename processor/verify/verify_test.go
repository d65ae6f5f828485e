package verify

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"firstseen/devbroker"
	"firstseen/processor"
	"firstseen/state"
)

// verified compares a directory with the changelogs and returns the ranges by name, and the differing keys.
func verified(t *testing.T, cfg processor.Config, dir string) (map[string]Compared, []Difference) {
	t.Helper()
	ranges, differ := map[string]Compared{}, []Difference(nil)
	err := Compare(context.Background(), cfg, dir, -1, func(d Difference) { differ = append(differ, d) },
		func(v Compared) { ranges[fmt.Sprintf("%s/%d", v.Stage, v.Partition)] = v })
	if err != nil {
		t.Fatal(err)
	}
	return ranges, differ
}

// verifies compares the store of a stopped worker with its changelogs: as it is, after others have gone on and the
// changelogs were compacted, and with a key changed, one deleted and one made up.
func verifies(t *testing.T, brokers string, compact func()) {
	d := deploy(t, brokers)
	d.produce(d.inputs[:1000])
	d.work(processor.Stages...)
	ranges, differ := verified(t, d.cfg, d.cfg.StateDir)
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
	if err := os.CopyFS(kept, os.DirFS(d.cfg.StateDir)); err != nil {
		t.Fatal(err)
	}
	d.produce(d.inputs[1000:])
	d.work(processor.StageIngest)
	d.work(processor.Stages...)
	if compact != nil {
		compact()
	}
	ranges, differ = verified(t, d.cfg, kept)
	open := 0
	for _, v := range ranges {
		if open += v.Open; !v.Equal() {
			t.Error(v.String())
		}
	}
	if len(differ) > 0 || open == 0 && compact != nil {
		t.Errorf("an older copy: %d keys differ, %d cannot be compared; compaction should have taken some", len(differ), open)
	}

	store, err := state.Open(d.cfg.StateDir, state.Options{})
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
	ranges, differ = verified(t, d.cfg, d.cfg.StateDir)
	for name, v := range ranges {
		if v.Equal() == (name == "detect/2") {
			t.Error(v.String())
		}
	}
	found := map[string]Difference{}
	for _, diff := range differ {
		found[string(diff.Key)] = diff
	}
	if want := []string{lost, changed, madeUp}; len(found) != 3 || !slices.Equal(slices.Sorted(maps.Keys(found)), slices.Sorted(slices.Values(want))) {
		t.Fatalf("differing: %q, want %q", slices.Sorted(maps.Keys(found)), want)
	}
	for key, part := range map[string]string{lost: "the store has nothing, the changelog first ", changed: "the store has another value", madeUp: "the changelog nothing"} {
		diff := found[key]
		if !strings.Contains(diff.Explain(), part) {
			t.Errorf("%s: want %s", diff.Explain(), part)
		}
	}
}

func embedded(t *testing.T) *devbroker.Broker {
	t.Helper()
	b, err := devbroker.Start(devbroker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestVerify(t *testing.T) {
	t.Parallel()
	b := embedded(t)
	verifies(t, b.Addr(), b.Cluster.Compact)
}

// TestVerifyWithoutBeginning: records were deleted from a changelog before its last offset record. The state is whole, and
// the comparison says why it is not what the changelog says.
func TestVerifyWithoutBeginning(t *testing.T) {
	t.Parallel()
	d := deploy(t, embedded(t).Addr())
	d.produce(d.inputs[:1000])
	d.work(processor.Stages...)
	ranges, _ := verified(t, d.cfg, d.cfg.StateDir)
	changelog, begins := d.cfg.ChangelogTopic(processor.StageDetect), ranges["detect/1"].Position.ChangelogNext/2
	d.alter(changelog, "cleanup.policy", "compact,delete")
	var before kadm.Offsets
	before.AddOffset(changelog, 1, begins, -1)
	if deleted, err := d.adm.DeleteRecords(t.Context(), before); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	d.alter(changelog, "cleanup.policy", "compact")

	ranges, differ := verified(t, d.cfg, d.cfg.StateDir)
	v := ranges["detect/1"]
	if want := fmt.Sprintf("the changelog begins at offset %d: what was before has been deleted", begins); v.Equal() || len(differ) == 0 || !strings.Contains(v.String(), want) {
		t.Errorf("%d keys differ, %s; want %s", len(differ), v.String(), want)
	}
}
