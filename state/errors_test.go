package state

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func wantError(t *testing.T, err, want error, hints ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, h := range hints {
		if !strings.Contains(err.Error(), h) {
			t.Errorf("%v does not say %q", err, h)
		}
	}
}

// The test runs itself a second time, as the other process.
func TestOneProcessADirectory(t *testing.T) {
	if dir := os.Getenv("FIRSTSEEN_TEST_STATE_DIR"); dir != "" {
		_, err := Open(dir, Options{})
		fmt.Println("opened by another process:", errors.Is(err, ErrLocked), err)
		return
	}
	dir := t.TempDir()
	s := open(t, dir, Options{})
	cmd := exec.Command(os.Args[0], "-test.run=^TestOneProcessADirectory$")
	cmd.Env = append(os.Environ(), "FIRSTSEEN_TEST_STATE_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "opened by another process: true") || !strings.Contains(string(out), dir) {
		t.Errorf("another process: %v\n%s", err, out)
	}

	t.Chdir(filepath.Dir(dir))
	_, err = Open(filepath.Base(dir), Options{}) // the same place, spelled otherwise
	wantError(t, err, ErrLocked, dir)
	_, err = MoveDirAside(dir, time.Now())
	wantError(t, err, ErrLocked)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, Options{})
}

func TestDirectoryThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(filepath.Join(file, "state"), Options{})
	if err == nil || errors.Is(err, ErrLocked) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), file) {
		t.Error(err)
	}
	if _, err := Open(t.TempDir(), Options{ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a store that is not there was opened to read: %v", err)
	}
}

// filled makes a store with one range, all of it in tables, and returns its directory.
func filled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir, Options{})
	noise := make([]byte, 20_000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	apply(t, rangeOf(t, s, Detect, 0), Position{}, at(1), map[string]string{"\x01a": string(noise), "\x01b": string(noise), "\x01c": string(noise)})
	if err := errors.Join(s.db.Flush(), s.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// damage changes the files of a store that match.
func damage(t *testing.T, dir, pattern string, change func([]byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "store", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if b = change(b); b == nil {
			err = os.Remove(f)
		} else {
			err = os.WriteFile(f, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamageIsSaidAndTheStoreMovedAside(t *testing.T) {
	flip := func(b []byte) []byte {
		for i := range b[:len(b)*3/4] {
			b[i] ^= 0x55
		}
		return b
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	gone := func([]byte) []byte { return nil }
	for name, c := range map[string]struct {
		pattern string
		change  func([]byte) []byte
	}{
		"blocks":          {"*.sst", flip},
		"one block":       {"*.sst", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }},
		"table cut short": {"*.sst", half},
		"table missing":   {"*.sst", gone},
		"manifest":        {"MANIFEST-*", flip},
		"options":         {"OPTIONS-*", flip},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			damage(t, dir, c.pattern, c.change)
			var fatal []error
			s, err := Open(dir, Options{Fatal: func(err error) { fatal = append(fatal, err) }})
			if err == nil { // damaged blocks are met where they are read
				var r *Range
				if r, err = s.Range(Detect, 0); err == nil {
					_, _, err = r.Get(nil, []byte("\x01b"))
				}
				_, again := s.Range(Detect, 1)
				wantError(t, again, ErrCorrupt)
				if len(fatal) != 1 || !errors.Is(fatal[0], ErrCorrupt) {
					t.Errorf("fatal: %v", fatal)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			wantError(t, err, ErrCorrupt, dir, "move it aside")

			_, err = Open(dir, Options{}) // another process, that has not read the block
			wantError(t, err, ErrCorrupt)
			moved, err := MoveDirAside(dir, time.Unix(1, 0))
			if want := filepath.Join(dir, "aside", "store-19700101T000001.000Z"); err != nil || moved != want {
				t.Fatalf("%s, %v", moved, err)
			}
			if left, err := filepath.Glob(filepath.Join(moved, "store", "MANIFEST-*")); err != nil || len(left) == 0 {
				t.Errorf("nothing to look at in %s: %v", moved, err)
			}
			s = open(t, dir, Options{})
			wantPosition(t, rangeOf(t, s, Detect, 0), Position{})
		})
	}
}

func TestUnknownFormatsAreRefused(t *testing.T) {
	t.Run("store", func(t *testing.T) {
		opts := inMemory()
		s := open(t, "d", opts)
		if err := errors.Join(s.db.Set(formatKey, []byte("2"), nil), s.Close()); err != nil {
			t.Fatal(err)
		}
		_, err := Open("d", opts)
		wantError(t, err, ErrFormat, `"2"`, "upgrade", "d")
	})
	t.Run("not ours", func(t *testing.T) {
		opts := inMemory()
		db, err := pebble.Open("d/store", &pebble.Options{FS: opts.FS, Logger: pebbleLog{&Store{opts: opts.withDefaults()}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Set([]byte("k"), nil, nil), db.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = Open("d", opts)
		wantError(t, err, ErrForeign, "d")
		if errors.Is(err, ErrFormat) {
			t.Error("who moves aside what is of another version would move this")
		}
	})
	t.Run("newer Pebble", func(t *testing.T) {
		dir := filled(t)
		markers, _ := filepath.Glob(filepath.Join(dir, "store", "marker.format-version.*"))
		if len(markers) != 1 {
			t.Fatal(markers)
		}
		if err := os.Rename(markers[0], filepath.Join(dir, "store", "marker.format-version.000099.999")); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, Options{})
		wantError(t, err, ErrFormat, "999", "upgrade")
	})
	t.Run("range", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir, Options{})
		prefix := rangePrefix(Group, 2)
		if err := s.db.Set(append(prefix[:], reserved), []byte{positionVersion + 1, 2, 3}, nil); err != nil {
			t.Fatal(err)
		}
		apply(t, rangeOf(t, s, Group, 1), Position{}, at(1), map[string]string{"\x02a": "kept"})
		_, err := s.Range(Group, 2)
		wantError(t, err, ErrFormat, "group partition 2")
		if infos, err := s.Ranges(); err != nil || len(infos) != 2 || !errors.Is(infos[1].Err, ErrFormat) {
			t.Errorf("%+v, %v", infos, err)
		}
		moved, err := s.MoveAside(Group, 2, time.Unix(1, 0))
		if want := filepath.Join(dir, "aside", "group-2-19700101T000001.000Z"); err != nil || moved != want {
			t.Fatalf("%s, %v", moved, err)
		}
		wantPosition(t, rangeOf(t, s, Group, 2), Position{})
		wantContents(t, rangeOf(t, s, Group, 1), map[string]string{"\x02a": "kept"})
		_, err = open(t, moved, Options{ReadOnly: true}).Range(Group, 2)
		wantError(t, err, ErrFormat)
	})
}

// failing is memory whose writes to some files fail once the switch is on.
func failing(t *testing.T, pattern string, errno error) (broken vfs.FS, memory *vfs.MemFS, on *atomic.Bool) {
	on, memory = new(atomic.Bool), vfs.NewCrashableMem()
	matches := errorfs.PathMatch(pattern)
	return errorfs.Wrap(memory, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && matches.Evaluate(op) {
			return errno
		}
		return nil
	})), memory, on
}

// Pebble would go on for a while, or for ever, after a write that failed, or end the process without a word.
func TestFailedWritesEndTheStore(t *testing.T) {
	for name, c := range map[string]struct {
		files string
		errno error
	}{
		"disk full, log":      {"d/store/*.log", syscall.ENOSPC},
		"disk full, table":    {"d/store/*.sst", syscall.ENOSPC},
		"disk full, manifest": {"d/store/MANIFEST-*", syscall.ENOSPC},
		"log":                 {"d/store/*.log", syscall.EIO},
		"table":               {"d/store/*.sst", syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			fs, memory, on := failing(t, c.files, c.errno)
			var fatal atomic.Int32
			s := open(t, "d", Options{FS: fs, MemTableBytes: 256 << 10, Fatal: func(err error) {
				if errors.Is(err, ErrFailed) && errors.Is(err, c.errno) {
					fatal.Add(1)
				}
			}})
			r := rangeOf(t, s, Detect, 0)
			var err error
			for i := int64(1); err == nil; i++ {
				if on.Store(i > 10); i > 5000 {
					t.Fatal("5,000 batches went nowhere and nothing was said")
				}
				err = r.Apply(at(i-1), at(i), puts(batch(0, i)))
			}
			wantError(t, err, ErrFailed, "make room")
			wantError(t, err, c.errno)
			_, _, err = r.Get(nil, []byte("\x01last"))
			wantError(t, err, ErrFailed)
			wantError(t, r.Scan(nil, nil), ErrFailed)
			wantError(t, s.Close(), ErrFailed)
			if n := fatal.Load(); n != 1 {
				t.Errorf("fatal was called %d times", n)
			}

			// The next process finds what the first n batches made.
			next := open(t, "d", Options{FS: memory.CrashClone(vfs.CrashCloneCfg{})})
			r = rangeOf(t, next, Detect, 0)
			pos, _ := r.Position()
			wantPosition(t, r, at(pos.ChangelogNext))
			wantContents(t, r, fold(0, pos.ChangelogNext))
		})
	}
}

func TestOpenOnAFullDisk(t *testing.T) {
	fs, _, on := failing(t, "d/store/*", syscall.ENOSPC)
	on.Store(true)
	_, err := Open("d", Options{FS: fs, Fatal: func(err error) { t.Errorf("fatal instead of an answer: %v", err) }})
	wantError(t, err, ErrFailed, "make room")
	wantError(t, err, syscall.ENOSPC)
}

// A log that is damaged in the middle is cut there or refused, never read over the gap.
func TestDamagedLogIsNoGap(t *testing.T) {
	for _, size := range []int{100, 5_000, 20_000, 40_000} {
		dir := t.TempDir()
		s := open(t, dir, Options{})
		r := rangeOf(t, s, Detect, 0)
		for i := int64(1); i <= 100; i++ {
			apply(t, r, at(i-1), at(i), batch(0, i))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		damage(t, dir, "*.log", func(b []byte) []byte {
			if len(b) > size {
				b[size] ^= 1
			}
			return b
		})
		s, err := Open(dir, Options{})
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r = rangeOf(t, s, Detect, 0)
		pos, _ := r.Position()
		wantContents(t, r, fold(0, pos.ChangelogNext))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What Pebble's logger is told is fatal comes back as the error of the call, with its cause.
func TestFatalLogBecomesAnError(t *testing.T) {
	var fatal []error
	s := &Store{dir: "d", stop: make(chan struct{}), opts: Options{Fatal: func(err error) { fatal = append(fatal, err) }}.withDefaults()}
	s.ready.Store(true)
	err := s.guard(func() error {
		pebbleLog{s}.Fatalf("commit: %v", io.ErrShortWrite)
		return nil
	})
	wantError(t, err, ErrFailed)
	wantError(t, err, io.ErrShortWrite)
	if again := s.fail(io.ErrClosedPipe); again != err {
		t.Errorf("the second failure is %v", again)
	}
	if len(fatal) != 1 || fatal[0] != err {
		t.Errorf("fatal: %v", fatal)
	}
	wantError(t, s.guard(func() error { t.Error("ran"); return nil }), ErrFailed)
}
