package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestOperationsNameWhatExists: the tests and metrics that docs/operations.md names are there.
func TestOperationsNameWhatExists(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := declared(t, "_test.go", regexp.MustCompile(`(?m)^func (Test\w+)\(`))
	names := regexp.MustCompile("`(Test[A-Z]\\w+)`").FindAllStringSubmatch(string(page), -1)
	if len(names) < 20 {
		t.Fatalf("the page names %d tests", len(names))
	}
	for _, m := range names {
		if !slices.Contains(tests, m[1]) {
			t.Errorf("docs/operations.md names %s, which does not exist", m[1])
		}
	}
	metrics := declared(t, "observe.go", regexp.MustCompile(`"([a-z_]+)"`))
	metrics = append(metrics, declared(t, "disk.go", regexp.MustCompile(`gauge\("([a-z_]+)"`))...)
	for _, m := range regexp.MustCompile(`firstseen_([a-z_]+)`).FindAllStringSubmatch(string(page), -1) {
		if !slices.Contains(metrics, m[1]) {
			t.Errorf("docs/operations.md names the metric firstseen_%s, which does not exist", m[1])
		}
	}
}

// TestOperationsQuoteWhatIsSaid: what docs/operations.md quotes is said somewhere: every run of words in it that stand
// for nothing else.
func TestOperationsQuoteWhatIsSaid(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	err = filepath.WalkDir("../..", func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		sources.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`" \+\s*"`).ReplaceAllString(sources.String(), "")
	quotes := regexp.MustCompile(`(?m)^> (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(quotes) < 30 {
		t.Fatalf("the page quotes %d times", len(quotes))
	}
	for _, m := range quotes {
		checked := 0
		for _, run := range regexp.MustCompile(`\S*[A-Z0-9"=%]\S*|[.;:,(]`).Split(m[1], -1) {
			if run = strings.TrimSpace(run); len(run) < 12 || strings.Contains(run, " --") { // the flags of a command are put together
				continue
			}
			_, tail, _ := strings.Cut(run, " ")
			head := run[:max(0, strings.LastIndexByte(run, ' '))]
			says := func(s string) bool { return len(s) > 6 && strings.Contains(said, s) }
			if checked++; !says(run) && !says(tail) && !says(head) { // a word at the end may stand for another
				t.Errorf("docs/operations.md quotes %q: nothing says %q", m[1], run)
			}
		}
		if checked == 0 {
			t.Errorf("docs/operations.md quotes %q, of which nothing can be looked up", m[1])
		}
	}
}

// TestOperationsIndex: every situation of docs/operations.md is in the table at its head, and the table leads nowhere else.
func TestOperationsIndex(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	index, rest, ok := strings.Cut(string(page), "\n## Four commands\n")
	if !ok {
		t.Fatal("where does the table end?")
	}
	var sections, linked []string
	for _, m := range regexp.MustCompile(`(?m)^### (.*)$`).FindAllStringSubmatch(rest, -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		sections = append(sections, strings.ReplaceAll(anchor, " ", "-"))
	}
	for _, m := range regexp.MustCompile(`\(#(.*?)\)`).FindAllStringSubmatch(index, -1) {
		linked = append(linked, m[1])
	}
	if slices.Sort(sections); len(sections) < 20 {
		t.Fatalf("%d sections", len(sections))
	}
	if slices.Sort(linked); !slices.Equal(sections, linked) {
		t.Errorf("sections:\n%s\nlinks:\n%s", strings.Join(sections, "\n"), strings.Join(linked, "\n"))
	}
}

// declared returns what a pattern finds in the files whose names end so, of the folders with workers and commands.
func declared(t *testing.T, end string, pattern *regexp.Regexp) (found []string) {
	t.Helper()
	for _, dir := range []string{".", "internal/*", "../../processor", "../../processor/*", "../../state"} {
		files, err := filepath.Glob(filepath.Join(dir, "*"+end))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
				found = append(found, strings.TrimSpace(m[1]))
			}
		}
	}
	return found
}
