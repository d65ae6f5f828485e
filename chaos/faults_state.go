package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func stateDeleted(f *blow) error {
	f.strike()
	if err := f.p.dropState(); err != nil {
		return err
	}
	f.happened = 1
	return f.p.start()
}

// stateOld puts an older copy in the place of the state directory: the one of the last time, or one of a moment ago.
func stateOld(f *blow) error {
	old := filepath.Join(f.w.Dir, "old", f.p.name)
	if f.p.isDamaged() {
		f.note = "its state is damaged"
		return nil
	}
	_, err := os.Stat(old)
	if err != nil || f.dice.IntN(2) == 0 {
		f.strike()
		if err := copyTree(old, f.p.state); errors.Is(err, os.ErrNotExist) {
			f.note = "it had no state yet"
			return f.p.start()
		} else if err != nil {
			return err
		}
		if err := f.p.start(); err != nil {
			return err
		}
		await(f.ctx, 20*time.Second, f.p.ready)
		f.sleep(f.between(time.Second, 5*time.Second))
	} else {
		f.show("copies of an earlier time", 1)
	}
	f.strike()
	if err := os.RemoveAll(f.p.state); err != nil {
		return err
	}
	if err := copyTree(f.p.state, old); err != nil {
		return err
	}
	f.happened = 1
	return f.p.start()
}

func copyTree(to, from string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}

func corruptTable(f *blow) error { return f.corrupt(".sst", 512) }
func corruptLog(f *blow) error   { return f.corrupt(".log", 16<<10) }

// corrupt flips a byte in every so many of a file of the store.
func (f *blow) corrupt(ext string, every int) error {
	f.strike()
	file := f.file(ext)
	if file == "" { // a start writes what is in the log to a table
		if err := f.p.start(); err != nil {
			return err
		}
		await(f.ctx, 20*time.Second, func() bool { return f.file(ext) != "" })
		f.strike()
		file = f.file(ext)
	}
	if file == "" {
		f.note = "the store has no " + ext
		return f.p.start()
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	flipped := 0
	for at := f.dice.IntN(min(every, len(b))); at < len(b); at += every {
		b[at] ^= byte(1 + f.dice.IntN(255))
		flipped++
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return err
	}
	f.happened = 1
	f.note = fmt.Sprintf("%d bytes of %d in %s", flipped, len(b), filepath.Base(file))
	from := f.w.logEnds()
	if ext == ".sst" { // it counts as noticed when the worker says so; the next fault need not wait for long
		f.p.corrupted()
		if err := f.p.start(); err != nil {
			return err
		}
		await(f.ctx, 6*time.Second, func() bool { f.p.lookForDamage(); return !f.p.isDamaged() })
		return nil
	}
	// The end of a log that cannot be read is as if it had not been written.
	if err := f.p.start(); err != nil {
		return err
	}
	if await(f.ctx, 6*time.Second, func() bool { return f.w.countInLogs(from, "the state directory is damaged") > 0 }) {
		f.show(noticed, 1)
	}
	return nil
}

// file is a file of the state directory, the larger the likelier.
func (f *blow) file(ext string) string {
	var all []string
	var sizes []int64
	total := int64(0)
	_ = filepath.WalkDir(f.p.state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && d.Name() == "aside" {
				return filepath.SkipDir
			}
			return nil //nolint:nilerr // what is not there is not picked
		}
		if info, err := d.Info(); err == nil && strings.HasSuffix(path, ext) && info.Size() > 0 {
			all, sizes, total = append(all, path), append(sizes, info.Size()), total+info.Size()
		}
		return nil
	})
	if total == 0 {
		return ""
	}
	at := f.dice.Int64N(total)
	for i, size := range sizes {
		if at -= size; at < 0 {
			return all[i]
		}
	}
	return ""
}

func diskFull(f *blow) error {
	from := f.w.logEnds()
	if err := os.WriteFile(f.p.full(), nil, 0o600); err != nil {
		return err
	}
	met := await(f.ctx, 30*time.Second, func() bool { return f.w.countInLogs(from, "no space left") > 0 })
	f.sleep(f.between(0, 3*time.Second))
	if err := os.Remove(f.p.full()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if met {
		f.happened = 1
	}
	await(f.ctx, 20*time.Second, f.p.ready)
	return nil
}
