package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// MoveAside empties the range of a partition and keeps what was in it under aside/ of the state directory, as a store
// that can be opened read-only. It returns its path. It is for a range whose changelog is another one now, or that this
// build cannot read; a range whose blocks are damaged goes with the whole store. The copy takes little time and no
// space: it shares the files. Files hold neighbouring ranges too, whose remains in the copy mean nothing.
func (s *Store) MoveAside(stage Stage, partition int32, now time.Time) (string, error) {
	r := s.rangeOf(stage, partition)
	r.mu.Lock()
	defer r.mu.Unlock()
	dir := s.fs.PathJoin(s.dir, "aside", asideName(fmt.Sprintf("%s-%d", stage, partition), now))
	// The copy is complete and synced before the range goes: a crash in between leaves both, and it is done again.
	err := s.guard(func() error {
		// Pebble copies its table of contents up to what it has written of it, which is nothing if it has found no log
		// at its start, as after a crash during the last one. A flush writes.
		if err := s.db.Flush(); err != nil {
			return err
		}
		return s.db.Checkpoint(s.fs.PathJoin(dir, "store"), pebble.WithRestrictToSpans(
			[]pebble.CheckpointSpan{{Start: formatKey, End: successor(formatKey)}, {Start: r.key(), End: successor(r.prefix[:])}}))
	})
	if err != nil {
		return "", fmt.Errorf("move aside %v: %w", r, err)
	}
	return dir, r.clear()
}

// MoveDirAside moves the whole store under dir to aside/, so that the next Open begins a new one, and returns where to.
// No store may have it open (ErrLocked).
func MoveDirAside(dir string, now time.Time) (_ string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("move aside: %w", err)
	}
	from := filepath.Join(dir, "store")
	lock, err := lockDir(vfs.Default, from, true)
	if err != nil {
		return "", fmt.Errorf("move aside: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	to := filepath.Join(dir, "aside", asideName("store", now))
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", fmt.Errorf("move aside: %w", err)
	}
	if err := os.Rename(from, filepath.Join(to, "store")); err != nil {
		return "", fmt.Errorf("move aside: %w", err)
	}
	return to, nil
}

func asideName(what string, now time.Time) string {
	return what + "-" + now.UTC().Format("20060102T150405.000Z")
}
