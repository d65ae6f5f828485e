// Package disk watches the room on the file system of the state directory.
package disk

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

// Watch looks how much room there is. When it runs short, the stages that keep state stop reading before the store's
// writes fail: a failed write would end the process, again after every restart.
//
// Their lanes stay in their groups meanwhile. A worker that left them would have others restore its state, whose disks
// are most likely as large; what waits is in Kafka, and nothing is read twice. Ingest has no store, and goes on.
type Watch struct {
	dir     string
	reserve int64
	fs      vfs.FS
	log     *slog.Logger

	mu    sync.Mutex
	room  chan struct{} // closed while there is enough
	full  bool
	now   vfs.DiskUsage
	known bool // whether the last look succeeded
}

// lookEvery is the time between two looks. What is written meanwhile, and what Pebble writes for a flush or a compaction
// that is on its way, has to fit into the reserve.
const lookEvery = 500 * time.Millisecond

// New makes a watch for the state directory dir, of whose file system reserve bytes have to be free. It is on fs, nil: on
// the disk itself.
func New(dir string, reserve int64, fs vfs.FS, log *slog.Logger) *Watch {
	if fs == nil {
		fs = vfs.Default
	}
	d := &Watch{dir: dir, reserve: reserve, fs: fs, log: log, room: make(chan struct{})}
	close(d.room)
	return d
}

// Reserve is how much of a file system has to be free: what is configured, but at most a quarter of all there is, so that
// a small file system can hold a small store.
func Reserve(configured int64, total uint64) uint64 {
	return min(uint64(max(0, configured)), total/4)
}

// Run looks until ctx ends. A file system that does not answer holds up nothing but this.
func (d *Watch) Run(ctx context.Context) {
	for ctx.Err() == nil {
		d.Look()
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}

// Look looks once.
func (d *Watch) Look() {
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
	need := Reserve(d.reserve, now.TotalBytes)
	switch {
	case !d.full && now.AvailBytes < need:
		d.full, d.room = true, make(chan struct{})
		d.log.Error("the disk is nearly full; detect and group wait", "dir", d.dir, "free", MiB(now.AvailBytes), "state.min_free", MiB(need))
	case d.full && now.AvailBytes >= need+need/8: // not the first byte: it would be to and fro
		d.full = false
		close(d.room)
		d.log.Info("there is room on the disk again; detect and group go on", "dir", d.dir, "free", MiB(now.AvailBytes))
	}
}

// Await waits until there is room, but no longer than limit, and reports whether there is.
func (d *Watch) Await(ctx context.Context, limit time.Duration) bool {
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

// Why says why there is no room; nothing if there is.
func (d *Watch) Why() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.full {
		return nil
	}
	return []string{fmt.Sprintf("the disk of the state directory %s is nearly full: %s are free, less than state.min_free, %s; detect and group wait, nothing is lost; "+
		"make room, and they go on (what lies in %s is not needed)", d.dir, MiB(d.now.AvailBytes), MiB(Reserve(d.reserve, d.now.TotalBytes)), filepath.Join(d.dir, "aside"))}
}

// MiB is a size as it is shown.
func MiB(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }

// Register adds the metrics.
func (d *Watch) Register(reg prometheus.Registerer) {
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
