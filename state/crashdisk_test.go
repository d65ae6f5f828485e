package state

import (
	"io"
	"math/rand/v2"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A disk is a file system in memory whose power can fail before any write. It goes on as if nothing had happened; the
// test goes on with what a crash at that moment has left.
type disk struct {
	vfs.FS // what a store is opened on
	mem    *vfs.MemFS

	mu     sync.Mutex
	before func() // is called before each write; mu is held
}

func newDisk(mem *vfs.MemFS) *disk {
	d := &disk{mem: mem}
	d.FS = errorfs.Wrap(oneByOne{mem, &d.mu}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpLink, errorfs.OpRemove, errorfs.OpRemoveAll, errorfs.OpRename, errorfs.OpReuseForWrite,
			errorfs.OpMkdirAll, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData:
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.before != nil {
				d.before()
			}
		}
		return nil
	}))
	return d
}

// crash returns what is left when the power fails now. All that was synced is there. Of the rest, a file system may have
// written some on its own account: any blocks of a file, but names in the order in which they were given, as journals
// keep them, unless it has none. mu is held.
func (d *disk) crash(rng *rand.Rand, unordered bool) *vfs.MemFS {
	if !unordered {
		if rng.IntN(2) == 0 {
			return d.mem.CrashClone(vfs.CrashCloneCfg{})
		}
		d.journal("")
	}
	return d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{50, 90, 100}[rng.IntN(3)], RNG: rng})
}

// journal writes the names in a folder, and in those below, to the disk.
func (d *disk) journal(path string) {
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

// oneByOne keeps crashes out of the calls that take MemFS's lock twice: a crash that waits in between waits for ever.
type oneByOne struct {
	vfs.FS
	mu *sync.Mutex
}

func (o oneByOne) Link(oldname, newname string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.FS.Link(oldname, newname)
}

func (o oneByOne) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.FS.ReuseForWrite(oldname, newname, category)
}

func (o oneByOne) Lock(name string) (io.Closer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.FS.Lock(name)
}
