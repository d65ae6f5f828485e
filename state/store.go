// Package state keeps what has been seen: the terms and windows of the partitions that this process owns, in one Pebble
// store on disk.
//
// A [Range] is the state of one partition of one stage. It holds the keys of that partition's changelog and a
// [Position], which says how much of the changelog and of the stage's input they contain. Both are written in one batch
// and only from the position the batch was computed from ([Range.Apply]), so a range is always a prefix of its committed
// changelog, and says which. That is all the durability there is: nothing is synced, a crash of the process or of the
// machine leaves a shorter prefix, and a lost or broken directory costs a restore from the changelog, never an answer.
//
// Below a state directory lies the store itself in store/ and, in aside/, what was moved out of the way.
package state

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Stage is a stage that keeps state.
type Stage byte

// The stages. The number is the first byte of the stage's keys on disk.
const (
	Detect Stage = 1
	Group  Stage = 2
)

// String returns the stage's name as it is in topics and configuration.
func (s Stage) String() string {
	switch s {
	case Detect:
		return "detect"
	case Group:
		return "group"
	}
	return fmt.Sprintf("stage %d", byte(s))
}

// A Store is the state of one process. Its methods and those of its ranges are safe for concurrent use; only Close must
// come last.
type Store struct {
	dir    string
	db     *pebble.DB
	fs     vfs.FS
	opts   Options
	lock   *pebble.Lock
	failed atomic.Pointer[error]
	stop   chan struct{} // closed when failed is set
	ready  atomic.Bool   // Open has succeeded
	closed atomic.Bool

	watched vfs.FS                // reports writes that fail
	tables  sstable.WriterOptions // of those that are ingested
	recent  *recent

	mu     sync.Mutex
	ranges map[[prefixLen]byte]*Range
}

// formatKey holds the version of the store's format. Ranges begin with the number of a stage, which is never 0.
var formatKey = []byte("\x00format")

// Open opens the store under dir, which it makes if need be. Errors wrap ErrLocked, ErrCorrupt, ErrFormat or ErrForeign where the
// caller may have an answer other than to give up.
func Open(dir string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if opts.FS == vfs.Default {
		// The lock counts per path: two spellings of one directory must be one.
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("open state: %w", err)
		}
		dir = abs
	}
	s := &Store{dir: dir, fs: opts.FS, opts: opts, stop: make(chan struct{}), ranges: map[[prefixLen]byte]*Range{}, recent: newRecent(opts.recentBytes())}
	lock, err := lockDir(s.fs, s.path(), opts.ReadOnly)
	if err != nil {
		return nil, fullError(err)
	}
	s.lock = lock
	if err := s.open(lock); err != nil {
		_ = s.Close() // what failed first says more
		return nil, fullError(err)
	}
	s.ready.Store(true)
	return s, nil
}

// path is where Pebble works. It is a folder of its own because a mounted directory could not be renamed.
func (s *Store) path() string { return s.fs.PathJoin(s.dir, "store") }

func (s *Store) open(lock *pebble.Lock) (err error) {
	if reason, ok := s.marked(); ok && !s.opts.ReadOnly {
		return s.corrupt("noted by an earlier run: " + reason)
	}
	desc, err := pebble.Peek(s.path(), s.fs)
	var pathErr *fs.PathError
	switch {
	case err != nil && !pebble.IsCorruptionError(err) && !errors.As(err, &pathErr):
		return fmt.Errorf("open state %s: %w: %w", s.dir, err, ErrFormat) // a version of Pebble's that it does not know
	case err != nil:
		return s.openError(true, err)
	}
	opts := s.pebbleOptions(lock)
	err = s.await(func() error {
		if !s.opts.ReadOnly {
			if err := s.dropTables(); err != nil {
				return err
			}
		}
		db, err := pebble.Open(s.path(), opts)
		s.db = db
		return err
	})
	if err != nil {
		return s.openError(desc.Exists, err)
	}
	opts.EnsureDefaults()
	s.watched, s.tables = opts.FS, opts.MakeWriterOptions(len(opts.Levels)-1, s.db.TableFormat())
	s.tables.WritingToLowestLevel = false // where it would have no deletions
	return s.checkFormat()
}

// checkFormat notes the format in a new store and refuses any other than ours.
func (s *Store) checkFormat() error {
	value, closer, err := s.db.Get(formatKey)
	switch {
	case err == nil:
		found := string(value)
		_ = closer.Close() // it has no error to tell
		switch {
		case found == formatVersion:
			return nil
		case slices.Contains(olderFormats, found):
			return s.noteFormat()
		}
		return fmt.Errorf("open state %s: store format %q, this build has %q: %w", s.dir, found, formatVersion, ErrFormat)
	case !errors.Is(err, pebble.ErrNotFound):
		return s.readError("open", err)
	}
	it, err := s.db.NewIter(nil)
	if err != nil {
		return s.readError("open", err)
	}
	foreign := it.First()
	if err := it.Close(); err != nil {
		return s.readError("open", err)
	}
	if foreign {
		return fmt.Errorf("open state %s: %w", s.dir, ErrForeign)
	}
	return s.noteFormat()
}

func (s *Store) noteFormat() error {
	if s.opts.ReadOnly {
		return nil
	}
	return s.guard(func() error { return s.db.Set(formatKey, []byte(formatVersion), pebble.Sync) })
}

// Close releases the store; the second time it does nothing. The ranges must no longer be in use. A store that has
// failed with ErrFailed stays locked until the process ends, which is what it asks for: Pebble may hold its own locks
// for ever after a failed write.
func (s *Store) Close() (err error) {
	if err := s.failure(); errors.Is(err, ErrFailed) {
		return err
	}
	if s.closed.Swap(true) {
		return nil
	}
	if s.db != nil {
		err = s.db.Close()
	}
	if err = errors.Join(err, s.lock.Close()); err != nil {
		return fmt.Errorf("close state %s: %w", s.dir, err)
	}
	return nil
}

// Range returns the range of one partition of a stage, always the same one. It wraps ErrFormat if the range was written
// in a format this build does not read: MoveAside makes it a new one.
func (s *Store) Range(stage Stage, partition int32) (*Range, error) {
	r := s.rangeOf(stage, partition)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loaded {
		return r, nil
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// rangeOf returns the one range of a partition, whether its position is known or not.
func (s *Store) rangeOf(stage Stage, partition int32) *Range {
	prefix := rangePrefix(stage, partition)
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.ranges[prefix]
	if !ok {
		r = &Range{store: s, stage: stage, partition: partition, prefix: prefix}
		r.forget()
		s.ranges[prefix] = r
	}
	return r
}
