package processor

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// docs/traps.md has a row for each trap, and every test, trace and check of the model that it and CHANGELOG.md name exists.
func TestTrapsNameWhatExists(t *testing.T) {
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	page, model := read("../docs/traps.md"), read("../docs/spec/README.md")
	exists := map[string]bool{}
	if err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(path), -1) {
				exists[m[1]] = true
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Z]\\w+|[a-z0-9_]+\\.txt|broken-[a-z-]+)`")
	names := named.FindAllStringSubmatch(page, -1)
	for _, m := range append(named.FindAllStringSubmatch(read("../CHANGELOG.md"), -1), names...) {
		name := m[1]
		switch {
		case strings.HasSuffix(name, ".txt"):
			read("testdata/" + name)
		case strings.HasPrefix(name, "broken-") && !strings.Contains(model, "`"+name+"`"), strings.HasPrefix(name, "Test") && !exists[name]:
			t.Errorf("docs/traps.md or CHANGELOG.md names %s, which does not exist", name)
		}
	}
	traces, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range traces {
		if name := filepath.Base(path); !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/traps.md does not name the trace %s", name)
		}
	}
	if rows := regexp.MustCompile(`(?m)^\| \d+ \|.*\| .*\S.* \|$`).FindAllString(page, -1); len(rows) != 42 || len(names) < 90 {
		t.Errorf("docs/traps.md has %d rows and %d names", len(rows), len(names))
	}
}

// Where a key goes is decided by a hash that must never change: its state would be elsewhere.
func TestPartitionOfAKey(t *testing.T) {
	for key, want := range map[string]int32{"192.0.2.1": 769, "2001:db8::1": 385} {
		if got := partition([]byte(key), 1000); got != want {
			t.Errorf("key %q goes to partition %d of 1000, not %d", key, got, want)
		}
	}
}

// A dead worker's transaction ends before another gets its partitions: the other would wait for it.
func TestTransactionEndsBeforeTheSession(t *testing.T) {
	cfg := Config{App: "app", Sources: []Source{{Topic: "logs"}}, Rules: newLoopShared(t).rules, StateDir: t.TempDir()}
	if err := cfg.setDefaults(); err != nil || cfg.Timing.Transaction >= cfg.Timing.Session {
		t.Errorf("by default a transaction ends after %s, a session after %s: %v", cfg.Timing.Transaction, cfg.Timing.Session, err)
	}
	cfg.Timing.Transaction = cfg.Timing.Session + time.Second
	if err := cfg.setDefaults(); err == nil || !strings.Contains(err.Error(), "must be below the session time-out") {
		t.Errorf("a transaction time-out of %s is refused with: %v", cfg.Timing.Transaction, err)
	}
}

// Earlier versions of the client lose records.
func TestClientVersion(t *testing.T) {
	b, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`github.com/twmb/franz-go v(\d+)\.(\d+)\.(\d+)\n`).FindStringSubmatch(string(b))
	var v [3]int
	if m == nil {
		t.Fatal("go.mod does not require github.com/twmb/franz-go")
	}
	for i := range v {
		if v[i], err = strconv.Atoi(m[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if slices.Compare(v[:], []int{1, 22, 2}) < 0 {
		t.Errorf("go.mod requires franz-go %s, not 1.22.2 or later", m[0])
	}
}

// docs/upstream shows what the versions that the worker is built with do, and has a page for each behaviour.
func TestUpstreamVersions(t *testing.T) {
	versions := func(path string) map[string]string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		of := map[string]string{}
		for _, m := range regexp.MustCompile(`(github.com/twmb/franz-go\S*) (v\S+)`).FindAllStringSubmatch(string(b), -1) {
			of[m[1]] = m[2]
		}
		return of
	}
	if worker, shown := versions("../go.mod"), versions("../docs/upstream/go.mod"); len(shown) < 4 || !maps.Equal(worker, shown) {
		t.Errorf("the worker is built with %v, docs/upstream with %v", worker, shown)
	}
	index, err := os.ReadFile("../docs/upstream/README.md")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../docs/upstream/*_*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no programs: %v", err)
	}
	for _, path := range sources {
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".go"), "_", "-")
		if page, err := os.ReadFile("../docs/upstream/" + name + ".md"); err != nil || !strings.Contains(string(page), "`go run . "+name+"`") {
			t.Errorf("docs/upstream has no page %s.md that says how to run it: %v", name, err)
		}
		if !strings.Contains(string(index), "]("+name+".md)") {
			t.Errorf("docs/upstream/README.md does not name %s", name)
		}
	}
}
