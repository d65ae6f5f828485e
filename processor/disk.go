package processor

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// disk watches the room on the file system of the state directory. When it runs short, the stages that keep state stop
// reading before the store's writes fail: a failed write would end the process, again after every restart.
//
// Their lanes stay in their groups meanwhile. A worker that left them would have others restore its state, whose disks
// are most likely as large; what waits is in Kafka, and nothing is read twice. Ingest has no store, and goes on.
type disk struct {
	dir     string
	reserve int64 // Config.StateMinFree
	fs      vfs.FS
	log     *slog.Logger

	mu    sync.Mutex
	room  chan struct{} // closed while there is enough
	full  bool
	now   vfs.DiskUsage
	known bool // whether the last look succeeded
}

// diskEvery is the time between two looks. What is written meanwhile, and what Pebble writes for a flush or a compaction
// that is on its way, has to fit into the reserve.
const diskEvery = 500 * time.Millisecond

func newDisk(cfg *Config) *disk {
	d := &disk{dir: cfg.StateDir, reserve: cfg.StateMinFree, fs: vfs.Default, log: cfg.Log, room: make(chan struct{})}
	if cfg.hooks.disk != nil {
		d.fs = cfg.hooks.disk
	}
	close(d.room)
	return d
}

// reserve is how much of a file system has to be free: what is configured, but at most a quarter of all there is, so that
// a small file system can hold a small store.
func reserve(configured int64, total uint64) uint64 {
	return min(uint64(max(0, configured)), total/4)
}

// watch looks until ctx ends. A file system that does not answer holds up nothing but this.
func (d *disk) watch(ctx context.Context) {
	for ctx.Err() == nil {
		d.look()
		select {
		case <-ctx.Done():
		case <-time.After(diskEvery):
		}
	}
}

func (d *disk) look() {
	now, err := d.fs.GetDiskUsage(d.dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		if d.known {
			d.log.Warn("the free space of the state directory is not known", "dir", d.dir, "error", err)
		}
		d.known = false
		return
	}
	d.now, d.known = now, true
	need := reserve(d.reserve, now.TotalBytes)
	switch {
	case !d.full && now.AvailBytes < need:
		d.full, d.room = true, make(chan struct{})
		d.log.Error("the disk is nearly full; detect and group wait", "dir", d.dir, "free", mib(now.AvailBytes), "state.min_free", mib(need))
	case d.full && now.AvailBytes >= need+need/8: // not the first byte: it would be to and fro
		d.full = false
		close(d.room)
		d.log.Info("there is room on the disk again; detect and group go on", "dir", d.dir, "free", mib(now.AvailBytes))
	}
}

// await waits until there is room, but no longer than limit, and reports whether there is.
func (d *disk) await(ctx context.Context, limit time.Duration) bool {
	d.mu.Lock()
	room := d.room
	d.mu.Unlock()
	select {
	case <-room:
		return true
	default:
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-room:
		return true
	case <-limited.Done():
		return false
	}
}

// why says why there is no room; nothing if there is.
func (d *disk) why() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.full {
		return nil
	}
	return []string{fmt.Sprintf("the disk of the state directory %s is nearly full: %s are free, less than state.min_free, %s; detect and group wait, nothing is lost; "+
		"make room, and they go on (what lies in %s is not needed)", d.dir, mib(d.now.AvailBytes), mib(reserve(d.reserve, d.now.TotalBytes)), filepath.Join(d.dir, "aside"))}
}

func mib(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }

func (d *disk) register(reg prometheus.Registerer) {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "firstseen", Name: name, Help: help}, func() float64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			return value()
		})
	}
	reg.MustRegister(gauge("disk_free_bytes", "What the file system of the state directory has free.", func() float64 {
		if !d.known {
			return math.NaN()
		}
		return float64(d.now.AvailBytes)
	}), gauge("disk_holding", "1 while detect and group wait for room on the disk of the state directory.", func() float64 {
		if d.full {
			return 1
		}
		return 0
	}))
}
