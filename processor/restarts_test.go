//go:build restarts

package processor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/internal/testkafka"
	"firstseen/rules"
)

// figures is what make restarts measures: the built program on an Apache Kafka of its own, with the default settings.
type figures struct {
	*cluster
	kafka   *testkafka.Cluster
	app     string
	bin     string
	dir     string
	set     *rules.Set
	seen    *sightings
	terms   int
	updates int // of each, in the changelog
	parts   int // partitions of the internal topics
	rows    [][4]string
	slow    []string // rows over their limit
}

// row notes a figure beside what it has to be.
func (f *figures) row(what string, took, limit time.Duration, remark string, args ...any) {
	f.t.Helper()
	f.rows = append(f.rows, [4]string{what, took.Round(10 * time.Millisecond).String(), limit.String(), fmt.Sprintf(remark, args...)})
	f.t.Logf("%s: %s", what, took)
	if took > limit {
		f.slow = append(f.slow, what)
	}
}

// TestRestarts measures what a restart costs, see `make restarts`. TERMS is how many terms the state has, UPDATES how often
// each is in the changelog, once by default: what is left when it has been compacted. PARTITIONS is how many the internal
// topics have, 16 by default.
func TestRestarts(t *testing.T) {
	number := func(name string, otherwise int) int {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s must be a number: %q", name, text)
		}
		return n
	}
	terms := number("TERMS", 1_000_000)
	f := &figures{updates: number("UPDATES", 1), parts: number("PARTITIONS", 16), kafka: testkafka.Start(t, 1), app: newApp(), dir: t.TempDir(), set: mustLoad(t, rules.LoadOptions{Set: noCap}), terms: terms}
	f.cluster = newTestCluster(t, strings.Join(f.kafka.Brokers(), ","))
	f.bin = filepath.Join(f.dir, "firstseen")
	if out, err := exec.Command("go", "build", "-o", f.bin, "../cmd/firstseen").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f.createSources(f.app, 8, nil)
	defer f.print()
	w := f.process("w0")
	w.start()
	w.awaitReady(time.Minute) // which creates the topics
	f.seen = f.watch()
	f.probe()
	f.row("stop, idle", w.stop(), 5*time.Second, "")
	f.fill()
	f.rebuild(w)
	f.warmStarts(w)
	f.stops(w)
	w.stop()
	f.rolling()
	f.stopAlone()
}

func (f *figures) print() {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\n%d terms, %d partitions\ttook\tlimit\t\n", f.terms, f.parts)
	for _, r := range f.rows {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", r[0], r[1], r[2], r[3])
	}
	_ = out.Flush()
	if len(f.slow) > 0 {
		f.t.Errorf("over the limit: %s", strings.Join(f.slow, "; "))
	}
}

// rebuild loses the disk and restores it from the changelog.
func (f *figures) rebuild(w *process) {
	if err := os.RemoveAll(w.dir); err != nil {
		f.t.Fatal(err)
	}
	w.start()
	w.awaitReady(15 * time.Minute)
	took := w.tookOver("detect")
	f.row("rebuild after losing the disk", took.ended.Sub(took.began), time.Minute, "%.0f terms/s; the process is ready %s after its start, CPU %s, peak RSS %d MB",
		float64(f.terms)/took.ended.Sub(took.began).Seconds(), time.Since(w.began).Round(10*time.Millisecond), w.cpu(), w.peakRSS())
	f.judge(w)
}

// judge asks for a sample of what the changelog held: none of it is new, and what is, is.
func (f *figures) judge(w *process) {
	var known []*kgo.Record
	for i := 0; i < f.terms; i += max(1, f.terms/500) {
		known = append(known, f.event(int32(i%8), filledAddress(i)))
	}
	if err := f.cl.ProduceSync(context.Background(), known...).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
	f.probe()
	f.awaitDrained(f.app, time.Minute)
	f.probe()
	for i := 0; i < f.terms; i += max(1, f.terms/500) {
		if _, alerted := f.seen.at(filledAddress(i)); alerted {
			f.t.Fatalf("%s was in the changelog and is new to the restored state", filledAddress(i))
		}
	}
}

// warmStarts kills the worker under load, five times, and starts it again. The slowest counts.
func (f *figures) warmStarts(w *process) {
	var worst, taking, gap time.Duration
	for range 5 {
		stop := f.load(100)
		f.probe()
		w.kill()
		lost := time.Now()
		address := f.sendProbe(3) // while there is no worker
		w.start()
		f.seen.await(f.t, address, time.Minute)
		at, _ := f.seen.at(address)
		stop()
		w.awaitReady(time.Minute)
		took := w.tookOver("detect")
		worst, taking, gap = max(worst, at.Sub(took.began)), max(taking, took.ended.Sub(took.began)), max(gap, at.Sub(lost))
	}
	f.row("warm start after kill -9", worst, 5*time.Second, "worst of 5: first alert after the assignment, of which taking over %s; first alert %s after the kill",
		taking, gap.Round(10*time.Millisecond))
}

// stops stops the worker under load and starts it again.
func (f *figures) stops(w *process) {
	stop := f.load(2000)
	f.probe()
	f.row("stop under load", w.stop(), 5*time.Second, "")
	began := time.Now()
	address := f.sendProbe(5)
	w.start()
	f.seen.await(f.t, address, time.Minute)
	at, _ := f.seen.at(address)
	stop()
	f.row("restart under load", at.Sub(began), 5*time.Second, "from the start of the process to the first alert; peak RSS %d MB, disk %.0f bytes a term",
		w.peakRSS(), w.metric(storeBytes)/float64(f.terms))
}

// stopAlone stops a worker whose broker is gone.
func (f *figures) stopAlone() {
	w := f.process("w0")
	w.start()
	w.awaitReady(time.Minute)
	stop := f.load(1000)
	defer stop()
	f.probe()
	f.kafka.Kill(f.t, 1)
	w.code = exitUnfinished
	f.row("stop without brokers", w.stop(), 5*time.Second, "under load, exit code %d", w.cmd.ProcessState.ExitCode())
}

// The code with which a worker ends that could not finish its last transaction.
const exitUnfinished = 3
