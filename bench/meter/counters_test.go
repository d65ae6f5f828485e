package meter

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

const exposition = `# HELP firstseen_alerts_total Alerts written.
# TYPE firstseen_alerts_total counter
firstseen_alerts_total{status="open"} 120
firstseen_alerts_total{status="closed"} 3
firstseen_rule_documents_total{rule="a rule } of mine",topic="alerts"} 1.5e+06
firstseen_lag{stage="ingest",topic="a",partition="0"} 7
firstseen_transaction_end_seconds_bucket{stage="ingest",le="0.002"} 5
firstseen_transaction_end_seconds_count{stage="ingest"} 6
firstseen_transaction_end_seconds_count{stage="group"} 4
firstseen_store_bytes 4096
go_goroutines 12
`

// Counters are added up over their labels; gauges by partition and other programs' metrics are left out.
func TestCounters(t *testing.T) {
	got, err := counters(strings.NewReader(exposition))
	want := map[string]float64{"alerts_total": 123, "rule_documents_total": 1.5e6, "transaction_end_seconds_count": 10, "store_bytes": 4096}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	if _, err := counters(strings.NewReader("firstseen_alerts_total many\n")); err == nil {
		t.Error("many is a number")
	}
}

func TestMeterReadsCountersAtTheEnd(t *testing.T) {
	t.Parallel()
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprint(rw, exposition)
	}))
	defer srv.Close()
	w := newWorld(t, true)
	if r := w.meter(t, "", "-metrics", srv.URL).report; r.Counters["alerts_total"] != 123 || asked != 1 {
		t.Errorf("%v, asked %d times", r.Counters, asked)
	}
	if _, err := readCounters(t.Context(), srv.URL+"/\x00"); err == nil {
		t.Error("no error")
	}
}

// The state is copied as the killed program left it, before the next one starts.
func TestMeterCopiesTheStateOfTheKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	state, copied := filepath.Join(w.dir, "state"), filepath.Join(w.dir, "copy")
	if err := os.MkdirAll(filepath.Join(state, "db"), 0o755); err != nil {
		t.Fatal(err)
	}
	// The program's command line notes every start in the state, ahead of the program.
	r, err := measure(t.Context(), []string{"-bootstrap", w.broker, "-group", "workers", "-cmd",
		"sh -c 'echo start >>" + filepath.Join(state, "db", "starts") + "; exec " + w.command(w.expected, "") + "'",
		"-expected", w.expected, "-log", filepath.Join(w.dir, "log"), "-quiet", "500ms", "-timeout", "60s", "-kill-at", "0.3", "-state", state, "-state-copy", copied})
	if err != nil || !r.report.Finished {
		t.Fatalf("%v %+v", err, r)
	}
	if b, err := os.ReadFile(filepath.Join(copied, "db", "starts")); err != nil || string(b) != "start\n" {
		t.Errorf("the copy: %q %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(state, "db", "starts")); err != nil || string(b) != "start\nstart\n" {
		t.Errorf("the state: %q %v", b, err)
	}
}

// Only what was counted in the measured time counts.
func TestLatencyReadsCountersTwice(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(rw, "firstseen_alerts_total{status=\"open\"} %d\n", 100*asked.Add(1))
	}))
	defer srv.Close()
	w := newWorld(t, false)
	r, err := measureLatency(t.Context(), []string{"-bootstrap", w.broker, "-partitions", "4", "-rate", "1000", "-warmup", "200ms", "-duration", "1s",
		"-cmd", w.command("", ""), "-log", filepath.Join(w.dir, "log"), "-metrics", srv.URL})
	if err != nil || r.Counters["alerts_total"] != 100 || asked.Load() != 2 {
		t.Errorf("%v %+v, asked %d times", err, r, asked.Load())
	}
}
