package disk

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// roomyFS is a disk of 4 GiB with as much free as a test says.
type roomyFS struct {
	vfs.FS
	free uint64
}

func (f *roomyFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.free, TotalBytes: 4 << 30}, nil
}

// TestReserve: what has to be free is never more than a quarter of the disk, and going on takes a little more than that.
func TestReserve(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		configured  int64
		total, want uint64
	}{{512 * mib, 100 << 30, 512 * mib}, {512 * mib, 1 << 30, 256 * mib}, {512 * mib, 64 * mib, 16 * mib}, {0, 1 << 30, 0}} {
		if got := Reserve(test.configured, test.total); got != test.want {
			t.Errorf("%d of %d: %d, want %d", test.configured, test.total, got, test.want)
		}
	}
	fs := &roomyFS{FS: vfs.Default}
	d := New("dir", 512*mib, fs, slog.New(slog.DiscardHandler))
	for _, step := range []struct {
		free uint64
		full bool
	}{{600, false}, {512, false}, {511, true}, {512, true}, {575, true}, {576, false}, {512, false}, {0, true}} {
		fs.free = step.free * mib
		d.Look()
		if got := len(d.Why()) > 0; got != step.full || d.Await(t.Context(), 0) == step.full {
			t.Errorf("%d MiB free: full %v, want %v", step.free, got, step.full)
		}
	}
}
