package state

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tableFrom is how large a run must be to be worth a table of its own: smaller ones would be files to no end.
const tableFrom = 4 << 20

// Load is Apply for a run of the changelog, which begins where the range stands. A large one is written as a table and
// becomes part of the store as it is: neither the log nor a memtable sees it, and if it has no keys in common with what is
// there, it is never written again. What a power failure leaves is the same prefix as ever, since what was applied before
// is written before it.
func (r *Range) Load(from, to Position, run *Run) error {
	if run.Bytes() < tableFrom {
		return r.Apply(from, to, run.Writes())
	}
	return r.ingest(from, to, run.Writes())
}

// ingest is Apply by way of a table. The keys come in their order, each once.
func (r *Range) ingest(from, to Position, writes Writes) error {
	return r.move(from, to, func() error {
		defer r.forget()
		s := r.store
		name := s.fs.PathJoin(s.path(), fmt.Sprint(tablePrefix, r.stage, "-", r.partition))
		return s.guard(func() error {
			if err := r.writeTable(name, to, writes); err != nil {
				return err
			}
			// Without this the table would be on disk before what was applied to the range earlier.
			if err := s.db.Flush(); err != nil {
				return err
			}
			if err := s.failure(); err != nil {
				return err // nobody waits for this any more
			}
			return s.db.Ingest(context.Background(), []string{name})
		})
	})
}

// writeTable writes a table and syncs it.
func (r *Range) writeTable(name string, to Position, writes Writes) (err error) {
	f, err := r.store.watched.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), r.store.tables)
	defer func() { err = errors.Join(err, w.Close()) }()
	return r.each(to, writes, func(key, value []byte) error {
		switch {
		case value != nil:
			return w.Set(key, value)
		case r.present:
			return w.Delete(key)
		}
		return nil // of nothing there is nothing to delete
	})
}

// tablePrefix begins the names of tables that are not yet part of the store.
const tablePrefix = "restored-"

// dropTables removes what an interrupted ingest has left. It may be part of the store by another name.
func (s *Store) dropTables() error {
	names, err := s.fs.List(s.path())
	for _, name := range names {
		if strings.HasPrefix(name, tablePrefix) {
			err = errors.Join(err, s.fs.Remove(s.fs.PathJoin(s.path(), name)))
		}
	}
	return err
}
