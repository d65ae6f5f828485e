package state

import (
	"path"
	"testing"
	"time"
)

// A crash may come when all of the log is in tables and the next log is not there yet. The store that is opened then has
// written nothing of its table of contents, and what it moves aside is complete nevertheless.
func TestMoveAsideWithoutALog(t *testing.T) {
	opts := inMemory()
	s := open(t, "d", opts)
	want := map[string]string{"\x01a": "kept"}
	apply(t, rangeOf(t, s, Detect, 0), Position{}, at(1), want)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := opts.FS.List("d/store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if path.Ext(name) == ".log" {
			if err := opts.FS.Remove(path.Join("d/store", name)); err != nil {
				t.Fatal(err)
			}
		}
	}

	s = open(t, "d", opts)
	dir, err := s.MoveAside(Detect, 0, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	wantContents(t, rangeOf(t, s, Detect, 0), map[string]string{})
	copied := rangeOf(t, open(t, dir, Options{FS: opts.FS, ReadOnly: true}), Detect, 0)
	wantContents(t, copied, want)
	wantPosition(t, copied, at(1))
}
