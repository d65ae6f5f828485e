package state

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockDir takes the lock of a store's folder, which it makes unless it is only to be read.
func lockDir(fsys vfs.FS, path string, readOnly bool) (*pebble.Lock, error) {
	if readOnly {
		if _, err := fsys.Stat(path); err != nil {
			return nil, fmt.Errorf("open state: %w", err)
		}
	} else if err := makeDir(fsys, path); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	lock, err := pebble.LockDirectory(path, fsys)
	var errno syscall.Errno
	var pathErr *fs.PathError
	switch {
	case err == nil:
		return lock, nil
	case errors.As(err, &pathErr), errors.As(err, &errno) && errno != syscall.EAGAIN && errno != syscall.EACCES:
		return nil, fmt.Errorf("open state: %w", err) // the file could not be made, let alone locked
	}
	return nil, fmt.Errorf("state directory %s: %w", path, ErrLocked)
}

// makeDir makes a folder that a power loss does not take away again.
func makeDir(fsys vfs.FS, path string) error {
	if _, err := fsys.Stat(path); err == nil {
		return nil
	}
	parent := fsys.PathDir(path)
	if parent != path {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(path, 0o755); err != nil {
		return err
	}
	d, err := fsys.OpenDir(parent)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// watchedFS reports a write that fails, and never comes back from it. Pebble has no good answer to one: a commit that does
// not sync learns of it some batches later, a change of the log file panics with a lock in a state that ends the process,
// a flush is tried again for ever, and a table of contents that cannot be written goes to Fatalf. None of it is
// reached. What waits for the write waits until the process ends, but no call on the store does (guard).
type watchedFS struct {
	vfs.FS
	failed func(error)
}

func (w *watchedFS) Unwrap() vfs.FS { return w.FS }

func (w *watchedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(name, category)
	return w.watch(name, f, err)
}

func (w *watchedFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.ReuseForWrite(oldname, newname, category)
	return w.watch(newname, f, err)
}

func (w *watchedFS) watch(name string, f vfs.File, err error) (vfs.File, error) {
	watched := watchedFile{f, name, w.failed}
	return watched, watched.check(err)
}

type watchedFile struct {
	vfs.File
	name   string
	failed func(error)
}

func (f watchedFile) check(err error) error {
	if err != nil {
		f.failed(fmt.Errorf("write %s: %w", f.name, err))
		select {}
	}
	return nil
}

func (f watchedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.check(err)
}

func (f watchedFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, f.check(err)
}

func (f watchedFile) Sync() error     { return f.check(f.File.Sync()) }
func (f watchedFile) SyncData() error { return f.check(f.File.SyncData()) }

func (f watchedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.check(err)
}
