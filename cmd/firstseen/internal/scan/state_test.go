package scan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/state"
)

// A scan in two parts finds what a scan of the whole finds, and a third time there is nothing new.
func TestScanRemembers(t *testing.T) {
	content, err := os.ReadFile(oldest)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(content), "\n")
	first, second := clitest.Write(t, "first", strings.Join(lines[:150], "")), clitest.Write(t, "second", strings.Join(lines[150:], ""))
	dir := filepath.Join(t.TempDir(), "state")
	var ids []string
	for i, part := range []struct{ file, known string }{
		{first, "new, nothing is known"},
		{second, "terms and 0 windows known after 1 run, recorded since 2020-02-11T03:33:11Z\n"},
	} {
		e := execute(t, nil, "scan", clitest.Now, "--state", dir, part.file)
		if e.Code != cli.ExitOK || !strings.HasPrefix(e.Stderr, "state "+dir+": ") || !strings.Contains(e.Stderr, part.known) {
			t.Fatalf("part %d: exit code %d\n%s", i, e.Code, e.Stderr)
		}
		for _, a := range clitest.Alerts(t, e.Stdout) {
			ids = append(ids, a.Event.ID)
			if got := a.Firstseen.NewTerms.HistoryStart; got != "2020-02-11T03:33:11.000Z" {
				t.Errorf("part %d: history starts %s", i, got)
			}
		}
	}
	for i, a := range scanned(t, oldest) {
		if i >= len(ids) || ids[i] != a.Event.ID {
			t.Fatalf("alert %d of the whole is not that of the parts", i)
		}
	}
	if len(ids) != 92 {
		t.Errorf("%d alerts, want 92", len(ids))
	}
	if again := scanned(t, "--state", dir, second); len(again) != 0 {
		t.Errorf("%d alerts again", len(again))
	}
}

// A window that a run has closed goes on in the next: a late match joins it, and only the count is new.
func TestScanRemembersWindows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	line := func(minute string) string {
		return clitest.AccessLine("192.0.2.1", "31/Jan/2026:10:"+minute+":00 +0000", "curl/8.5")
	}
	before := scanned(t, "--state", dir, clitest.Write(t, "before", line("00")+line("01")))
	after := scanned(t, "--state", dir, clitest.Write(t, "after", line("02")))
	if len(before) != 2 || len(after) != 1 || after[0].Event.ID != before[0].Event.ID {
		t.Fatalf("alerts %v, then %v", before, after)
	}
	if a := after[0].Firstseen.Alert; a.Status != "closed" || a.Count != 3 {
		t.Errorf("then %v", a)
	}
}

// What other rules have let pass was not seen: the history begins anew when they change.
func TestScanRemembersWithOtherRules(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	scanned(t, "--state", dir, oldest)
	e := execute(t, nil, "scan", clitest.Now, "--state", dir, "--rules=testdata/every_event_name.yaml", clitest.Write(t, "later", clitest.Anonymous("192.0.2.1")))
	alerts := clitest.Alerts(t, e.Stdout)
	if !strings.Contains(e.Stderr, "with other rules") || len(alerts) != 1 || alerts[0].Firstseen.NewTerms.HistoryStart != alerts[0].Timestamp {
		t.Errorf("alerts %v\n%s", alerts, e.Stderr)
	}
}

func TestScanLeavesTheStateOfAWorkerAlone(t *testing.T) {
	dir := t.TempDir()
	store, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Range(state.Detect, 7)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(state.Position{}, state.Position{ChangelogID: [16]byte{1}, ChangelogNext: 1}, func(func(k, v []byte) bool) {}); err != nil {
		t.Fatal(err)
	}
	e := execute(t, nil, "scan", "--state", dir, oldest)
	if e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "in use by another process") {
		t.Errorf("while it runs: exit code %d: %s", e.Code, e.Stderr)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	e = execute(t, nil, "scan", "--state", dir, oldest)
	if e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "is that of a worker") || e.Stdout != "" {
		t.Errorf("afterwards: exit code %d: %s", e.Code, e.Stderr)
	}
}
