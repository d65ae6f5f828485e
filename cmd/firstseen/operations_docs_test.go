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
	for _, dir := range []string{".", "internal/*", "../../processor", "../../state"} {
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
