//go:build synctests

package processor

import (
	"io"
	"math/rand/v2"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ramDisk is a file system in memory whose machine can lose power.
type ramDisk struct {
	vfs.FS
	mem *vfs.MemFS
	mu  sync.Mutex
}

func newRAMDisk(mem *vfs.MemFS) *ramDisk { return &ramDisk{FS: mem, mem: mem} }

// copied is the disk as the processes of the machine see it.
func (d *ramDisk) copied(rng *rand.Rand) *ramDisk {
	return d.clone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
}

// crashed is the disk after a loss of power: what was synced and a part of what was not, names in the order in which they
// were given, as journals keep them.
func (d *ramDisk) crashed(rng *rand.Rand) *ramDisk {
	percent := []int{0, 50, 90}[rng.IntN(3)]
	if percent > 0 {
		d.journal("")
	}
	return d.clone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
}

func (d *ramDisk) clone(cfg vfs.CrashCloneCfg) *ramDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return newRAMDisk(d.mem.CrashClone(cfg))
}

// journal writes the names in a folder, and in those below, to the disk.
func (d *ramDisk) journal(path string) {
	f, err := d.mem.OpenDir(path)
	if err != nil {
		return // it is a file
	}
	_ = f.Sync() // neither fails in memory
	_ = f.Close()
	names, _ := d.mem.List(path)
	for _, name := range names {
		d.journal(d.mem.PathJoin(path, name))
	}
}

// Link, ReuseForWrite and Lock take MemFS's lock twice: a clone that waits in between would wait for ever.

func (d *ramDisk) Link(oldname, newname string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.FS.Link(oldname, newname)
}

func (d *ramDisk) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.FS.ReuseForWrite(oldname, newname, category)
}

func (d *ramDisk) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.FS.Lock(name)
}
