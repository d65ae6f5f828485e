package state

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are the settings of a store. The zero value is the worker's.
type Options struct {
	// MemTableBytes is the size of one memtable; up to three exist at a time. 16 MiB by default.
	MemTableBytes int
	// CacheBytes is the memory for blocks and for the values written last, which get an eighth of it; memtables are not
	// counted. 64 MiB by default, which holds the filters of 10 million terms four times over and 90,000 values.
	CacheBytes int64
	// ReadOnly opens an existing store to look at. It still takes the lock.
	ReadOnly bool
	// FS is where the store lies: the disk by default, memory in tests.
	FS vfs.FS
	// Logger gets what Pebble has to say, at debug level, and its errors, at warn level. Nothing is logged by default.
	Logger *slog.Logger
	// Fatal is called once with the first error after which an open store cannot go on; it wraps ErrFailed or ErrCorrupt.
	// It should end the process, having said why, and must not use the store: it runs on the goroutine that met the
	// error, which may be one of Pebble's and hold its locks. Every later call on the store returns the same error.
	Fatal func(error)
}

func (o Options) withDefaults() Options {
	if o.MemTableBytes <= 0 {
		o.MemTableBytes = 16 << 20
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 64 << 20
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// recentBytes is the memory for the values written last.
func (o Options) recentBytes() int64 { return o.CacheBytes / 8 }

// deleteDelay is how long the disk space of a deleted range may wait for a flush.
const deleteDelay = 10 * time.Second

// pebbleOptions are the settings measured in bench_test.go, on terms of 65 bytes.
func (s *Store) pebbleOptions(lock *pebble.Lock) *pebble.Options {
	memtables := int64(3 * s.opts.MemTableBytes) // one that fills, one that is flushed, one that Pebble keeps for reuse
	o := &pebble.Options{
		FormatMajorVersion: pebble.FormatNewest,
		MemTableSize:       uint64(s.opts.MemTableBytes),
		// Pebble reserves its memtables in the block cache: with 64 MiB there would be nothing left, and filters that
		// are read from disk for every key make a miss eight times as slow.
		CacheSize:             s.opts.CacheBytes - s.opts.recentBytes() + memtables,
		FlushDelayDeleteRange: deleteDelay, // or a deleted range keeps its disk until other keys fill the memtable
		ReadOnly:              s.opts.ReadOnly,
		Lock:                  lock,
		Logger:                pebbleLog{s},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.backgroundError(err) },
			DataCorruption:  func(i pebble.DataCorruptionInfo) { s.backgroundError(i.Details) },
		},
		FS: &watchedFS{s.fs, func(err error) { _ = s.fail(err) }},
	}
	// The fingerprints and times that values share go away with the fastest compression; zstd saves another 15 % of
	// the disk for twice the time to read a block.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// pebbleLog passes on what Pebble says. Pebble's own logger would end the process by os.Exit.
type pebbleLog struct{ s *Store }

func (l pebbleLog) Infof(format string, args ...any) {
	l.s.opts.Logger.Debug(fmt.Sprintf(format, args...))
}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.s.opts.Logger.Warn(fmt.Sprintf(format, args...))
}

// Fatalf must not return: Pebble goes on as if what failed had been done. In a call on the store the panic becomes the
// call's error (guard); on a goroutine of Pebble's it ends a process that Options.Fatal has left alive.
func (l pebbleLog) Fatalf(format string, args ...any) {
	cause := fmt.Errorf(format, args...)
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			cause = err
		}
	}
	panic(l.s.fail(cause))
}
