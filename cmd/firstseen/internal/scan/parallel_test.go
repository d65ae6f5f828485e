package scan

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/cmd/firstseen/internal/logfiles"
	"firstseen/traffic"
)

// Many files at a time give what one after the other gives, byte for byte: alerts, dead letters, what is suppressed, and
// what the next scan knows. One core takes turns with itself, more cores than files leave some without work.
func TestScanReadsFilesInParallel(t *testing.T) {
	dir := t.TempDir()
	var list []string
	for i := range 40 {
		var lines []string
		for n := range 1 + i%7*20 {
			lines = append(lines, strings.TrimSpace(clitest.Anonymous(fmt.Sprintf("192.0.2.%d", (i*n)%50))), strings.TrimSpace(clitest.AccessLine(fmt.Sprintf("198.51.100.%d", n%30), fmt.Sprintf("31/Jan/2026:10:%02d:00 +0000", i), "x")))
		}
		content := strings.Join(lines, "\n")
		switch i % 4 {
		case 0:
			content = gzipped(content)
		case 1:
			content = gzipped(records(lines[0], lines[len(lines)/2]))
		case 2:
			content = gzipped(content)
			content = content[:len(content)*9/10] // damaged
		}
		list = append(list, filepath.Join(dir, fmt.Sprintf("%02d", i)))
		if err := os.WriteFile(list[i], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	type result struct{ alerts, again, dlq, suppressed string }
	scan := func(args ...string) (r result) {
		kept := t.TempDir()
		for _, alerts := range []*string{&r.alerts, &r.again} {
			options := []string{"scan", clitest.Now, "--set=aws-s3-unauthenticated-bucket-access-by-rare-source.max_alerts={count: 20, per: 5m}",
				"--state", filepath.Join(kept, "state"), "--dlq", filepath.Join(kept, "dlq"), "--suppressed", filepath.Join(kept, "suppressed")}
			e := execute(t, strings.NewReader(""), append(options, args...)...)
			if e.Code != cli.ExitOK {
				t.Fatalf("exit code %d: %s", e.Code, e.Stderr)
			}
			*alerts = e.Stdout
			for name, to := range map[string]*string{"dlq": &r.dlq, "suppressed": &r.suppressed} {
				content, err := os.ReadFile(filepath.Join(kept, name))
				if err != nil {
					t.Fatal(err)
				}
				*to += string(content)
			}
		}
		return r
	}
	var turns []string // standard input between them keeps them apart
	for _, path := range list {
		turns = append(turns, path, "-")
	}
	want := scan(turns...)
	if strings.Count(want.alerts, "\n") < 20 || strings.Count(want.dlq, "\n") < 10 || want.suppressed == "" {
		t.Fatalf("%d alerts, %d dead letters, %d bytes suppressed", strings.Count(want.alerts, "\n"), strings.Count(want.dlq, "\n"), len(want.suppressed))
	}
	for _, a := range clitest.Alerts(t, want.alerts) { // whichever file it is of
		if a.Rule.ID == traffic.NewTermsRule && a.Firstseen.Alert.Status == "open" && a.Firstseen.NewTerms.HistoryStart != "2026-01-31T10:00:00.000Z" {
			t.Errorf("an alert of %s has a history since %q", a.Firstseen.Origin.File, a.Firstseen.NewTerms.HistoryStart)
		}
	}
	for _, cores := range []int{1, 2, 7, 64} {
		runtime.GOMAXPROCS(cores)
		if got := scan(dir); got != want {
			t.Errorf("with %d cores something else comes out", cores)
		}
	}
}

// A file that cannot be read ends the scan where it is its turn: what came of the files before it is reported.
func TestScanEndsAtAnUnreadableFile(t *testing.T) {
	dir := t.TempDir()
	for i := range 9 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(clitest.Anonymous(fmt.Sprint("192.0.2.", i))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inputs, err := logfiles.Find([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "5")); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	s, err := (&Command{Format: "auto", Output: "text"}).open(&cli.App{Ctx: t.Context(), Stdout: &stdout, Stderr: &stderr}, inputs)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(nil, inputs); err == nil || !strings.Contains(err.Error(), "5: no such file") {
		t.Errorf("error %v", err)
	}
	if err := s.close(); err != nil || s.alerts.N != 5 || s.stats.Records != 5 {
		t.Errorf("%d alerts of %d records, %v", s.alerts.N, s.stats.Records, err)
	}
}
