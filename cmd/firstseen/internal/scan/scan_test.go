package scan

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/traffic"
)

const (
	oldest = "../../../../testdata/honeybucket/oldest-first.ndjson"
	newest = "../../../../testdata/honeybucket/newest-first.ndjson"
)

// scanned runs a scan that must end well and returns its alerts.
func scanned(t *testing.T, args ...string) []clitest.Alert {
	t.Helper()
	e := execute(t, nil, append([]string{"scan", clitest.Now}, args...)...)
	if e.Code != cli.ExitOK {
		t.Fatalf("scan %s: exit code %d\n%s", strings.Join(args, " "), e.Code, e.Stderr)
	}
	return clitest.Alerts(t, e.Stdout)
}

// Scanners on a real open bucket, see testdata/README.md: 284 anonymous events of 301, 128 of them ListObjects.
func TestScanHoneyBucket(t *testing.T) {
	every := []string{"--rules=testdata/every_event_name.yaml"}
	history := func(h string) []string {
		return append(every[:1:1], "--set=aws-s3-unauthenticated-bucket-access-by-rare-source.new_terms.history="+h)
	}
	for _, c := range []struct {
		name, file string
		args       []string
		want       int
	}{
		{"oldest first", oldest, nil, 92},
		{"only the seed's spelling of anonymous", oldest, []string{"--strict"}, 0},
		{"newest first: a late event is not new twice", newest, nil, 87},
		{"every event name", oldest, every, 230},
		{"every event name, 30 days", oldest, history("30d"), 225},
		{"every event name, for ever", oldest, history("36500d"), 216},
		{"every event name, newest first", newest, every, 216},
	} {
		t.Run(c.name, func(t *testing.T) {
			dlq := filepath.Join(t.TempDir(), "dlq")
			alerts := scanned(t, append(c.args, "--dlq", dlq, c.file)...)
			if len(alerts) != c.want {
				t.Errorf("%d alerts, want %d", len(alerts), c.want)
			}
			if dead, err := os.ReadFile(dlq); err != nil || len(dead) > 0 {
				t.Errorf("dead letters: %s %v", dead, err)
			}
		})
	}
}

// An attack simulation without S3 data events. 353 of its records have a service name as their source.
func TestScanInvictusIsSilent(t *testing.T) {
	files, err := filepath.Glob("../../../../testdata/invictus/*.json.gz")
	if err != nil || len(files) != 55 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	e := execute(t, nil, append([]string{"scan", clitest.Now}, files...)...)
	if e.Code != cli.ExitOK || e.Stdout != "" {
		t.Errorf("exit code %d, alerts %s", e.Code, e.Stdout)
	}
	clitest.WantStderr(t, e, "2,900 records in 55 files", "dead        0\n", "alerts      0\n")
}

// The alerts are those that whoever made the traffic expects, with the counts that the windows have in the end.
func TestScanTraffic(t *testing.T) {
	o := traffic.Defaults()
	o.Anonymous, o.Buckets, o.Rate = 0.2, 20, 0.05
	g, err := traffic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	model := traffic.NewModel()
	for range 20_000 {
		r := g.Next()
		model.Add(&r)
		file.Write(r.Value)
		file.WriteByte('\n')
	}
	want, got := map[string]int{}, map[string]int{}
	for _, a := range model.Alerts {
		want[a.Rule+" "+a.EventID] = a.Count
	}
	alerts := scanned(t, "--set="+traffic.NewTermsRule+".max_alerts=off", clitest.Write(t, "traffic", file.String()))
	for _, a := range alerts {
		id := a.Rule.ID + " " + a.Firstseen.Origin.EventID
		if _, known := got[id]; known != (a.Firstseen.Alert.Status == "closed") {
			t.Errorf("%s is %s", id, a.Firstseen.Alert.Status)
		}
		got[id] = a.Firstseen.Alert.Count
	}
	if len(model.Alerts) < 1000 || len(got) != len(model.Alerts) {
		t.Errorf("%d alerts, want %d", len(got), len(model.Alerts))
	}
	for id, count := range want {
		if got[id] != count {
			t.Fatalf("alert %s counts %d, want %d", id, got[id], count)
		}
	}
}

func TestScanIsTheSameEveryTime(t *testing.T) {
	for _, format := range []string{"ecs", "ocsf", "panther", "text"} {
		var runs []clitest.Execution
		for range 2 {
			runs = append(runs, execute(t, nil, "scan", clitest.Now, "--output", format, oldest))
		}
		if runs[0].Stdout != runs[1].Stdout || len(runs[0].Stdout) < 92*100 {
			t.Errorf("%s: two runs give %d and %d bytes that differ", format, len(runs[0].Stdout), len(runs[1].Stdout))
		}
	}
	// What is read in one go and what trickles in are the same but for the name.
	content, err := os.ReadFile(oldest)
	if err != nil {
		t.Fatal(err)
	}
	piped := execute(t, bytes.NewReader(content), "scan", clitest.Now, "-")
	file := execute(t, nil, "scan", clitest.Now, oldest)
	if got := strings.ReplaceAll(piped.Stdout, `"file":"stdin"`, `"file":"`+oldest+`"`); got != file.Stdout {
		t.Error("standard input gives other alerts than the file")
	}
}

// The history that alerts speak of begins with the first event read, whether it matches a rule or not.
func TestScanHistoryStart(t *testing.T) {
	alerts := scanned(t, oldest)
	for i, a := range alerts {
		if got := a.Firstseen.NewTerms.HistoryStart; got != "2020-02-11T03:33:11.000Z" {
			t.Fatalf("alert %d: history starts %s", i, got)
		}
		if complete := a.Timestamp >= "2020-02-18T03:33:11.000Z"; complete != a.Firstseen.NewTerms.HistoryComplete {
			t.Errorf("alert of %s: history complete: %v", a.Timestamp, a.Firstseen.NewTerms.HistoryComplete)
		}
	}
}

// Directories are read whole, in the order of names, files in the order given.
func TestScanOrder(t *testing.T) {
	dir := t.TempDir()
	for name, address := range map[string]string{"b/2": "192.0.2.3", "a": "192.0.2.1", "b/1.gz": "192.0.2.2", ".hidden": "192.0.2.9", "b/.git/x": "192.0.2.8", "c": "192.0.2.4"} {
		path := filepath.Join(dir, name)
		content := clitest.Anonymous(address)
		if strings.HasSuffix(name, ".gz") {
			content = gzipped(content)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(dir, filepath.Join(dir, "b", "loop")); err != nil {
		t.Fatal(err)
	}
	first := clitest.Write(t, "first", clitest.Anonymous("192.0.2.5"))
	e := execute(t, strings.NewReader(clitest.Anonymous("192.0.2.6")), "scan", clitest.Now, first, "-", dir)
	var got []string
	for _, a := range clitest.Alerts(t, e.Stdout) {
		got = append(got, a.Source.Address)
	}
	want := []string{"192.0.2.5", "192.0.2.6", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v\n%s", got, want, e.Stderr)
	}
}

func TestScanExitCodes(t *testing.T) {
	alerts, none := clitest.Write(t, "alerts", clitest.Anonymous("192.0.2.1")), clitest.Write(t, "none", "")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{alerts}, cli.ExitOK, "alerts      1\n"},
		{[]string{"--fail-on-alert", alerts}, cli.ExitFindings, "alerts      1\n"},
		{[]string{"--fail-on-alert", none}, cli.ExitOK, "alerts      0\n"},
		{[]string{alerts, "missing.json"}, cli.ExitUsage, "missing.json: no such file or directory"},
		{[]string{}, cli.ExitUsage, "<path>"},
		{[]string{"--format", "xml", none}, cli.ExitUsage, "--format"},
		{[]string{"--now", "yesterday", none}, cli.ExitUsage, "--now"},
		{[]string{"--rules", "missing.yaml", none}, cli.ExitUsage, "missing.yaml"},
		{[]string{"--set", "x.mode=off", none}, cli.ExitUsage, "no rule with this id"},
		{[]string{"--dlq", alerts, alerts}, cli.ExitUsage, "among what is read"},
		{[]string{"--suppressed", alerts, filepath.Dir(alerts)}, cli.ExitUsage, "among what is read"},
		{[]string{"--dlq", "x", "--suppressed", "./x", none}, cli.ExitUsage, "the same file"},
	} {
		e := execute(t, nil, append([]string{"scan", "--now=2026-01-31T12:00:00Z"}, c.args...)...)
		if e.Code != c.code || !strings.Contains(e.Stderr, c.says) {
			t.Errorf("scan %v: exit code %d, want %d with %q:\n%s", c.args, e.Code, c.code, c.says, e.Stderr)
		}
		if c.code == cli.ExitUsage && e.Stdout != "" {
			t.Errorf("scan %v: alerts before the error: %s", c.args, e.Stdout)
		}
	}
	if content, err := os.ReadFile(alerts); err != nil || string(content) != clitest.Anonymous("192.0.2.1") {
		t.Errorf("an input was overwritten: %s %v", content, err)
	}
}

// What an option changes shows in the alerts.
func TestScanOptions(t *testing.T) {
	trail, mapped := clitest.Write(t, "trail", clitest.Anonymous("192.0.2.1")), clitest.Write(t, "log", clitest.AccessLine("::ffff:10.0.0.1", "31/Jan/2026:10:00:00 +0000", "x"))
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{mapped}, 0},
		{[]string{"--strict", mapped}, 1}, // an IPv4-mapped address stays IPv6, and so is in no network
		{[]string{"--set=AWS.S3.ServerAccess.IPWhitelist.allowlist.networks=[192.0.2.0/24]", mapped}, 1},
		{[]string{"--format=cloudtrail", trail}, 1},
		{[]string{"--format=s3access", trail}, 0},
		{[]string{"--rules", clitest.Write(t, "rule.yaml", clitest.Rule), mapped}, 1},
		{[]string{"--rules", clitest.Write(t, "rule.yaml", clitest.Rule), "--no-builtin", trail, mapped}, 1},
	} {
		if got := scanned(t, c.args...); len(got) != c.want {
			t.Errorf("%v: %d alerts, want %d", c.args, len(got), c.want)
		} else if slices.Contains(c.args, "--strict") && got[0].Source.IP != "::ffff:10.0.0.1" {
			t.Errorf("%v: the address became %s", c.args, got[0].Source.IP)
		}
	}
}

// Alerts over a cap and those of a rule in shadow mode are counted, and kept if that is asked for.
func TestScanSuppressed(t *testing.T) {
	const rule = "--set=aws-s3-unauthenticated-bucket-access-by-rare-source."
	var trail strings.Builder
	for i := range 5 {
		trail.WriteString(clitest.Anonymous(fmt.Sprint("192.0.2.", i)))
	}
	file, kept := clitest.Write(t, "trail", trail.String()), filepath.Join(t.TempDir(), "suppressed")
	e := execute(t, nil, "scan", clitest.Now, rule+"max_alerts={count: 2, per: 5m}", "--suppressed", kept, file)
	clitest.WantStderr(t, e, "alerts      2, and 1 for a cap that was reached\n", "suppressed  3: cap 3; they are in "+kept)
	var status []string
	for _, a := range clitest.Alerts(t, e.Stdout) {
		status = append(status, a.Firstseen.Alert.Status)
	}
	if want := []string{"open", "open", "overflow", "closed"}; !slices.Equal(status, want) {
		t.Errorf("alerts are %v, want %v", status, want)
	}
	content, err := os.ReadFile(kept)
	if err != nil || len(clitest.Alerts(t, string(content))) != 3 {
		t.Errorf("suppressed: %s %v", content, err)
	}
	e = execute(t, nil, "scan", clitest.Now, rule+"mode=shadow", file)
	clitest.WantStderr(t, e, "alerts      0\n", "suppressed  5: shadow 5; --suppressed FILE keeps them\n")
	if e.Stdout != "" {
		t.Errorf("alerts of a rule in shadow mode: %s", e.Stdout)
	}
}

// When whoever reads the alerts has had enough the scan ends, without a word, and closes its files.
func TestScanIntoABrokenPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	var stderr bytes.Buffer
	dlq := filepath.Join(t.TempDir(), "dlq")
	file := clitest.Write(t, "file", "nonsense\n"+clitest.Anonymous("192.0.2.1"))
	code := cli.Run(commands(), &cli.App{Ctx: t.Context(), Stdout: w, Stderr: &stderr}, []string{"scan", clitest.Now, "--dlq", dlq, file})
	if code != cli.ExitOK || stderr.Len() > 0 {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	if dead, err := os.ReadFile(dlq); err != nil || !bytes.Contains(dead, []byte("nonsense")) {
		t.Errorf("dead letters: %s %v", dead, err)
	}
}

// Standard input may wait for ever. What has come of it so far is written while it waits, and an interrupt ends it.
func TestScanInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	input, type_ := io.Pipe()
	output, stdout := io.Pipe()
	var stderr bytes.Buffer
	code, dir := make(chan int), filepath.Join(t.TempDir(), "state")
	go func() {
		code <- cli.Run(commands(), &cli.App{Ctx: ctx, Stdin: input, Stdout: stdout, Stderr: &stderr}, []string{"scan", clitest.Now, "--state", dir, "-"})
	}()
	if _, err := io.WriteString(type_, clitest.Anonymous("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	var a clitest.Alert
	if err := json.NewDecoder(output).Decode(&a); err != nil || a.Source.Address != "192.0.2.1" {
		t.Errorf("alert %v, %v", a, err)
	}
	interrupt()
	if got := <-code; got != cli.ExitGuarantee || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d: %s", got, &stderr)
	}
	type_.Close()
	if again := scanned(t, "--state", dir, clitest.Write(t, "again", clitest.Anonymous("192.0.2.1"))); len(again) != 1 {
		t.Errorf("%d alerts after an interrupted run, want the one again", len(again))
	}
}
