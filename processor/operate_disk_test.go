package processor

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/rules"
)

// roomyFS is a disk of 4 GiB with as much free as a test says.
type roomyFS struct {
	vfs.FS
	free atomic.Uint64
}

func newRoomyFS() *roomyFS {
	f := &roomyFS{FS: vfs.Default}
	f.free.Store(2 << 30)
	return f
}

func (f *roomyFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.free.Load(), TotalBytes: 4 << 30}, nil
}

func (f *roomyFS) Unwrap() vfs.FS { return f.FS }

// nearlyFull takes the room away from a worker under load. The stages with state stop and say so, keep their partitions
// and read nothing; ingest goes on. With room they go on, and nothing was lost or doubled by it.
func nearlyFull(t *testing.T, brokers string, heartbeats func(group string)) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 43, 2000, 2)
	cfg, disk := testConfig(brokers, app, "one", dir, set), newRoomyFS()
	cfg.StateMinFree, cfg.hooks.disk = 512<<20, disk
	in := c.start(cfg)
	in.awaitReady(c)
	if err := produce(c.cl, inputs[:1000], 0); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, 30*time.Second)

	disk.free.Store(300 << 20)
	in.awaitReady(c, "the disk of the state directory "+dir+" is nearly full: 300 MiB are free, less than state.min_free, 512 MiB; detect and group wait, nothing is lost; make room")
	h := &halfway{cluster: c, cfg: cfg}
	heartbeats(cfg.group(StageDetect)) // a poll that was on its way has ended
	heartbeats(cfg.group(StageGroup))
	before := h.committed(StageDetect)
	maps.Copy(before, h.committed(StageGroup))
	if err := produce(c.cl, inputs[1000:], 0); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{app + "-cloudtrail", app + "-s3access"} {
		c.await("ingest reads "+topic, 30*time.Second, func() bool { return c.drained(app+".ingest", topic) })
	}
	heartbeats(cfg.group(StageDetect))
	heartbeats(cfg.group(StageGroup))
	after := h.committed(StageDetect)
	maps.Copy(after, h.committed(StageGroup))
	if !maps.Equal(before, after) || len(after) == 0 {
		t.Errorf("offsets have moved from %v to %v", before, after)
	}
	if free, holding := in.counted("disk_free_bytes"), in.counted("disk_holding"); free != 300<<20 || holding != 1 {
		t.Errorf("disk_free_bytes %v, disk_holding %v", free, holding)
	}

	disk.free.Store(513 << 20) // not yet: it would be to and fro
	c.await("the worker sees it", 10*time.Second, func() bool { return in.counted("disk_free_bytes") == 513<<20 })
	if in.counted("disk_holding") != 1 {
		t.Error("a MiB over the bound is room already")
	}
	disk.free.Store(1 << 30)
	in.awaitReady(c)
	c.awaitDrained(app, time.Minute)
	in.stop()
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set); v != (verdict{}) {
		t.Error(v)
	}
}

func TestDiskNearlyFull(t *testing.T) {
	t.Parallel()
	b := broker(t)
	nearlyFull(t, b.Addr(), func(group string) {
		seen := b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Observe: true, Count: -1, When: func(req kmsg.Request) bool {
			return req.(*kmsg.HeartbeatRequest).Group == group
		}})
		defer seen.Remove()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := seen.Wait(ctx, 3); err != nil {
			t.Errorf("no heartbeats from group %s: %v", group, err)
		}
	})
}

// TestRestoreWaitsForRoom starts a worker without its state where there is no room for it. It restores nothing, can be
// stopped, and restores when there is room.
func TestRestoreWaitsForRoom(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 47, 1500, 2)
	cfg, disk := testConfig(brokers, app, "one", dir, set), newRoomyFS()
	cfg.StateMinFree, cfg.hooks.disk, cfg.Timing.Stall = 512<<20, disk, 2*time.Second
	if err := produce(c.cl, inputs[:1000], 0); err != nil {
		t.Fatal(err)
	}
	c.runUntilDrained(cfg)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := produce(c.cl, inputs[1000:], 0); err != nil {
		t.Fatal(err)
	}
	disk.free.Store(100 << 20)
	waiting := []string{"the disk of the state directory", "-detect-one-0: joining its group or restoring its state", "-group-one-0: joining its group or restoring its state"}
	in := c.start(cfg)
	in.awaitReady(c, waiting...)
	in.stop()
	for stage, at := range positions(t, dir) {
		if at != [4]int64{} {
			t.Errorf("%s was restored to %v on a full disk", stage, at)
		}
	}
	in = c.start(cfg)
	in.awaitReady(c, waiting...)
	// Longer than a restore may stall: it waits, and is not given up.
	time.Sleep(cfg.Timing.Stall + time.Second)
	in.awaitReady(c, waiting...)
	disk.free.Store(2 << 30)
	in.awaitReady(c)
	c.awaitDrained(app, time.Minute)
	in.stop()
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set); v != (verdict{}) {
		t.Error(v)
	}
}

// The doctor judges as the workers do.
func TestDiskCheck(t *testing.T) {
	const gib = 1 << 30
	for _, test := range []struct {
		free, total uint64
		want        CheckResult
		says        string
	}{
		{gib / 4, 100 * gib, CheckFail, "0.2 GiB of 100.0 GiB are free on this machine, less than state.min_free, 512 MiB: detect and group wait"},
		{gib * 3 / 4, 100 * gib, CheckWarn, "detect and group wait"},
		{gib, 100 * gib, CheckOK, "1.0 GiB of 100.0 GiB are free on this machine"},
		{gib / 8, gib / 4, CheckOK, "are free"},
		{gib / 32, gib / 4, CheckFail, "less than state.min_free, 64 MiB"},
	} {
		c := diskCheck("dir", vfs.DiskUsage{AvailBytes: test.free, TotalBytes: test.total}, gib/2)
		if c.Result != test.want || !strings.Contains(c.Says, test.says) || (c.Next == "") != (c.Result == CheckOK) {
			t.Errorf("%+v: %+v", test, c)
		}
	}
}
