package meter

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/bench/gen"
)

const trail, lines = 6000, 3000

// A world is a broker with records on it and a file with the alerts that must come of them.
type world struct {
	broker, expected, dir string
	alerts                int
}

func newWorld(t *testing.T, records bool) world {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "cloudtrail", "s3access", "alerts"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := world{broker: c.ListenAddrs()[0], dir: t.TempDir()}
	w.expected = filepath.Join(w.dir, "expected.json")
	if !records {
		return w
	}
	cfg := gen.Default()
	cfg.CloudTrail, cfg.S3Access, cfg.Partitions, cfg.Pool = trail, lines, 4, 300
	g, oracle := &gen.Generator{Config: cfg}, gen.NewOracle()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.broker), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	send := func(topic string, recs []gen.Record) {
		for i := range recs {
			oracle.Add(&recs[i])
			cl.Produce(context.Background(), &kgo.Record{Topic: topic, Partition: recs[i].Partition, Value: recs[i].Value}, nil)
		}
	}
	for n := range gen.Chunks(trail) {
		send("cloudtrail", g.CloudTrailChunk(n))
	}
	for n := range gen.Chunks(lines) {
		send("s3access", g.S3AccessChunk(n))
	}
	if err := cl.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.alerts = len(oracle.Alerts)
	if err := (&gen.Expected{Config: cfg, Alerts: oracle.Alerts}).Write(w.expected); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w world) command(expected, fault string) string {
	return "env WORKER_BROKER=" + w.broker + " WORKER_EXPECTED=" + expected + " WORKER_FAULT=" + fault + " " + os.Args[0]
}

func (w world) meter(t *testing.T, fault string, more ...string) *run {
	t.Helper()
	r, err := measure(t.Context(), append([]string{"-bootstrap", w.broker, "-group", "workers", "-cmd", w.command(w.expected, fault),
		"-expected", w.expected, "-log", filepath.Join(w.dir, "log"), "-quiet", "500ms", "-timeout", "60s"}, more...))
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(w.dir, "log"))
		t.Fatalf("%v: %s", err, log)
	}
	return r
}

// Whatever a program gets wrong is found.
func TestMeterJudgesTheAlerts(t *testing.T) {
	for fault, want := range map[string]gen.Verdict{
		"":       {},
		"drop":   {Seen: -1, Missing: 1},
		"double": {Seen: +1, Duplicate: 1},
		"key":    {Wrong: 1},
	} {
		t.Run("fault "+fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			r := w.meter(t, fault).report
			want.Expected, want.Seen = w.alerts, w.alerts+want.Seen
			if !r.Finished || r.Records != trail+lines || r.Verdict != want || w.alerts < 100 {
				t.Errorf("%+v, want %+v", r, want)
			}
			if r.RecordsPerS <= 0 || r.CPUPerMillion <= 0 || r.PeakRSSMB < 1 || r.SteadyPerS <= 0 {
				t.Errorf("figures are missing: %+v", r)
			}
		})
	}
}

func TestMeterKillsAndRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	run := w.meter(t, "", "-kill-at", "0.3")
	r := run.report
	if !r.Finished || r.Missing+r.Wrong > 0 || r.KilledAt < 0.3 || r.KilledAt >= 1 {
		t.Errorf("%+v", r)
	}
	// There is but one group, and it commits on the inputs only.
	if r.RestartS <= 0 || r.RestartAllS != r.RestartS {
		t.Errorf("commits again after %v s, every group after %v s", r.RestartS, r.RestartAllS)
	}
	if run.killed.cpu <= 0 || r.CPUS <= run.killed.cpu || run.killed.peak == 0 {
		t.Errorf("what the killed one took is left out: %+v, %v s in all", run.killed, r.CPUS)
	}
	// Had the first one lived on, the second would have thrown it out, and it would complain.
	if log, err := os.ReadFile(filepath.Join(w.dir, "log")); err != nil || string(log) != "up\nup\n" {
		t.Errorf("%s %v", log, err)
	}
}

func TestMeterReportsAProgramThatEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	if r, err := measure(t.Context(), []string{"-bootstrap", w.broker, "-group", "workers", "-cmd", "false", "-log", filepath.Join(w.dir, "log")}); err == nil {
		t.Errorf("no error: %+v", r.report)
	}
}

// Every candidate has an alert of its own, and none that came is too many.
func TestLatencyCountsEveryAlert(t *testing.T) {
	for fault, want := range map[string]struct{ missing, wrong int }{"": {}, "drop": {missing: 1}, "double": {wrong: 1}} {
		t.Run("fault "+fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, false)
			r, err := measureLatency(t.Context(), []string{"-bootstrap", w.broker, "-partitions", "4", "-rate", "1000", "-warmup", "200ms", "-duration", "1s",
				"-cmd", w.command("", fault), "-log", filepath.Join(w.dir, "log"), "-patience", "2s"})
			if err != nil {
				t.Fatal(err)
			}
			if r.Offered != 1200 || r.Samples < 5 || r.Missing != want.missing || r.Wrong != want.wrong {
				t.Errorf("%+v, want %+v", r, want)
			}
			if r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 || r.Cores <= 0 {
				t.Errorf("figures: %+v", r)
			}
		})
	}
}

func TestRawReadsEverything(t *testing.T) {
	w := newWorld(t, true)
	for _, consumers := range []int{1, 3} {
		c := reader{bootstrap: w.broker, scan: "full"}
		c.topics.CloudTrail, c.topics.S3Access = "cloudtrail", "s3access"
		if err := c.look(t.Context(), []string{"cloudtrail", "s3access"}); err != nil {
			t.Fatal(err)
		}
		for n := range consumers {
			if err := c.consume(t.Context(), n, consumers); err != nil {
				t.Fatal(err)
			}
		}
		if done := c.done.Load(); done != trail+lines {
			t.Errorf("%d consumers read %d records", consumers, done)
		}
		if found := c.matches.Load(); found < lines/2 || found > lines {
			t.Errorf("%d consumers found %d records that the rules look at", consumers, found)
		}
	}
}
