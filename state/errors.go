package state

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrMoved refuses a batch or a deletion that was computed from another position than the one the range stands at.
	// Another lane has moved it: drop what is held for the partition.
	ErrMoved = errors.New("the range has moved on")
	// ErrLocked means that another process, or another store of this one, has the directory open.
	ErrLocked = errors.New("in use by another process: give each worker a state directory of its own, or stop the other one")
	// ErrCorrupt means that the store on disk is damaged. MoveDirAside makes room for a new one, which is restored from
	// the changelogs. It is noted in the directory, so that the next Open says the same.
	ErrCorrupt = errors.New("the store is damaged: move it aside and it is rebuilt from the changelogs")
	// ErrFormat means that a newer build has written the store or the range.
	ErrFormat = errors.New("unknown format: upgrade this worker, or move it aside and it is rebuilt from the changelogs")
	// ErrForeign means that something else has written the store, which may be dear to it.
	ErrForeign = errors.New("a store that is not ours: give state.dir a directory of its own")
	// ErrFailed means that a write to disk failed, most likely for want of space, and what is in memory may be lost. The
	// process has to end; after its restart the store is a shorter prefix and the rest is restored.
	ErrFailed = errors.New("the store can no longer be written: make room on the disk and restart, nothing is lost")

	errPanic = errors.New("panic")
)

// corruptMark is the file in the store's folder that says it is damaged. A block that cannot be read is met again only
// when its keys are: without the mark a restarted worker would go on until then, and end again.
const corruptMark = "CORRUPT"

// fail notes an error after which nothing works any more and returns it, or the one noted first.
func (s *Store) fail(cause error) error {
	err := cause
	if !errors.Is(err, ErrFailed) && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("state %s: %w: %w", s.dir, cause, ErrFailed)
	}
	if !s.failed.CompareAndSwap(nil, &err) {
		return *s.failed.Load()
	}
	if s.opts.Fatal != nil && s.ready.Load() {
		s.opts.Fatal(err)
	}
	close(s.stop)
	return err
}

// failure returns the error that the store has failed with, if it has.
func (s *Store) failure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// await runs something that writes, on a goroutine of its own, because it may never come back: see watchedFS. Whatever
// it does, await returns when the store has failed; fn may then still be running.
func (s *Store) await(fn func() error) error {
	if err := s.failure(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil { // how Pebble says what it cannot return
				done <- fmt.Errorf("%w: %v", errPanic, r)
			}
		}()
		done <- fn()
	}()
	var err error
	select {
	case err = <-done:
	case <-s.stop:
		if !s.ready.Load() && errors.Is(s.failure(), ErrCorrupt) {
			<-done //nolint:errcheck // nothing keeps it, and only an open Pebble can be closed
		}
	}
	if failed := s.failure(); failed != nil {
		return failed
	}
	return err
}

// guard is await for an open store.
func (s *Store) guard(fn func() error) error {
	err := s.await(fn)
	if errors.Is(err, errPanic) {
		return s.fail(err)
	}
	return s.readError("write", err)
}

// readError makes an error of Pebble's ours.
func (s *Store) readError(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrFailed), errors.Is(err, ErrCorrupt):
		return err
	case pebble.IsCorruptionError(err):
		return s.fail(s.corrupt(err.Error()))
	}
	return fmt.Errorf("%s state %s: %w", doing, s.dir, err)
}

// backgroundError takes the failures of flushes and compactions. Pebble tries again for ever; what it is asked to write
// meanwhile piles up in memory and then blocks.
func (s *Store) backgroundError(err error) {
	if pebble.IsCorruptionError(err) {
		err = s.corrupt(err.Error())
	}
	_ = s.fail(err) // whoever calls next gets it
}

// fullError says of an error for want of space what helps.
func fullError(err error) error {
	if errors.Is(err, syscall.ENOSPC) && !errors.Is(err, ErrFailed) {
		return fmt.Errorf("%w: %w", err, ErrFailed)
	}
	return err
}

// openError tells a store that is broken from one that cannot be opened just now.
func (s *Store) openError(exists bool, err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, ErrFailed), errors.Is(err, ErrCorrupt):
		return err
	case errors.As(err, &errno) && errno != syscall.ENOENT, !exists:
		return fmt.Errorf("open state %s: %w", s.dir, err)
	}
	return s.corrupt(err.Error())
}

// corrupt marks the store as damaged and returns the error that says so.
func (s *Store) corrupt(reason string) error {
	if _, ok := s.marked(); !ok && !s.opts.ReadOnly {
		// Without the mark the damage is found once more. That is no reason to hide it now.
		if f, err := s.fs.Create(s.fs.PathJoin(s.path(), corruptMark), vfs.WriteCategoryUnspecified); err == nil {
			_, _ = io.WriteString(f, reason)
			_ = f.Close()
		}
	}
	return fmt.Errorf("state %s: %w (%s)", s.dir, ErrCorrupt, reason)
}

// marked returns what the mark says, if the store is marked as damaged.
func (s *Store) marked() (reason string, ok bool) {
	f, err := s.fs.Open(s.fs.PathJoin(s.path(), corruptMark))
	if err != nil {
		return "", false
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 1000))
	return string(b), true
}
