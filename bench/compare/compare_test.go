package compare

import (
	"regexp"
	"strings"
	"testing"

	"firstseen/bench/gen"
	"firstseen/bench/meter"
)

func TestFigures(t *testing.T) {
	for _, c := range []struct {
		f    figures
		want string
	}{
		{nil, "-"},
		{figures{2}, "2.0"},
		{figures{3, 1}, "2.0 (1.0..3.0)"},
		{figures{9, 1, 2}, "2.0 (1.0..9.0)"},
	} {
		if got := c.f.text("%.1f"); got != c.want {
			t.Errorf("%v: %s, want %s", c.f, got, c.want)
		}
	}
	// Not the ratio of the medians: the second round was bad for both.
	if got := (figures{1, 9, 2}).per(figures{4, 18, 4}).text("%.2f"); got != "0.50 (0.25..0.50)" {
		t.Errorf("round by round: %s", got)
	}
}

func TestDearer(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after figures
		want          bool
	}{
		{"much the same", figures{1, 1.1, 0.9}, figures{1.05, 1, 1.1}, false},
		{"cheaper", figures{1, 1.1, 0.9}, figures{0.5, 0.4, 0.6}, false},
		{"dearer by less than is allowed", figures{1, 1.01, 1.02}, figures{1.05, 1.06, 1.07}, false},
		{"dearer", figures{1, 1.1, 0.9}, figures{1.3, 1.35, 1.25}, true},
		{"dearer, but no more than the runs differ", figures{1, 1.5, 0.9}, figures{1.3, 1.4, 1.25}, false},
	} {
		if got := dearer(c.before, c.after, 10); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// measured is a run with the figures that the table shows.
func measured(rate, cpu, rss, other float64) meter.Report {
	return meter.Report{Records: 1e6, RecordsPerS: rate, SteadyPerS: rate, CPUPerMillion: cpu, SteadyCPU: cpu, PeakRSSMB: rss, OtherCores: other, Finished: true,
		Verdict: gen.Verdict{Expected: 5, Seen: 5}}
}

// twoRounds is a comparison whose ratios can be worked out by hand.
func twoRounds() *table {
	o := &options{size: "long", mix: mixPlain, rounds: 2}
	return &table{options: o,
		product: &column{contender: contender{name: productName}, changelog: []int64{4e6, 5e6},
			rate:    []meter.Report{measured(800_000, 1.0, 300, 0.1), measured(600_000, 1.2, 320, 0.4)},
			latency: []meter.LatencyReport{{P50: 30, P99: 60, Cores: 0.3}},
			terms:   figures{1_000_000, 1_100_000}, restored: figures{32},
			kill: []meter.Report{{KilledAt: 0.5, RestartS: 0.5, RestartAllS: 0.9, Finished: true}, {KilledAt: 1, Finished: true}}},
		limited: &column{contender: contender{name: limitedName}, rate: []meter.Report{measured(700_000, 1.1, 290, 0)}},
		peer: &column{contender: contender{name: peerName},
			rate:    []meter.Report{measured(400_000, 5, 1000, 0), measured(200_000, 5, 1000, 0)},
			latency: []meter.LatencyReport{{P50: 200, P99: 250, Cores: 0.5}}},
		raw: &column{contender: contender{name: rawName}, rate: []meter.Report{measured(1e6, 2, 500, 0), measured(1e6, 1, 500, 0)}},
	}
}

// line returns the line of the printed table that begins with the words, its cells parted by one bar.
func line(t *testing.T, tab *table, begin string) string {
	t.Helper()
	var b strings.Builder
	tab.print(&b)
	for l := range strings.Lines(b.String()) {
		if strings.HasPrefix(l, begin) {
			return regexp.MustCompile(` {3,}`).ReplaceAllString(strings.TrimSpace(l), "|")
		}
	}
	t.Errorf("no line %q in\n%s", begin, b.String())
	return ""
}

func TestTable(t *testing.T) {
	tab := twoRounds()
	for _, want := range []string{
		"records/s|700000 (600000..800000) *|700000|300000 (200000..400000)|1000000 (1000000..1000000)",
		"CPU-s per million records|1.10 (1.00..1.20) *|1.10|5.00 (5.00..5.00)|1.50 (1.00..2.00)",
		"changelog bytes per record|4.5 (4.0..5.0)|-|-|-",
		"latency p99, ms|60|-|250|-",
		"kill -9 to the next commit, s|0.50|-|-|-", // in the second round there was nothing left to commit
		"  of every group, s|0.90|-|-|-",
		"  terms in the state|1050000 (1000000..1100000)|-|-|-",
		"  changelog records read again|32|-|-|-",
		"CPU per record, of Kafka Streams|0.22 (0.20..0.24) *|at most 0.3|met",
		"CPU per record, of the full scan|0.85 (0.50..1.20) *|at most 1|met",
		"records/s, of Kafka Streams|2.50 (2.00..3.00) *|at least 2.3|met",
		"peak RSS, MB|310 (300..320) *|290|1000 (1000..1000)|500 (500..500)",
		"peak RSS with GOMEMLIMIT=256MiB, MB|290.00|at most 310|met",
		"latency p50, of Kafka Streams|0.15|at most 0.2|met",
		"cores at 5,000 records/s|0.30|at most 0.35|met",
		"kill -9 to the next commit of every group, s|0.90|at most 2|met",
		"ratio cpu=0.22 rate=2.50 rss=0.31 p99=0.24",
	} {
		begin, _, _ := strings.Cut(want, "|")
		if got := line(t, tab, begin); got != strings.TrimSpace(want) {
			t.Errorf("%s\n, want\n%s", got, want)
		}
	}
	if err := tab.judge(); err != nil {
		t.Error(err)
	}
}

func TestMissedTargetsAreSaid(t *testing.T) {
	tab := twoRounds()
	tab.product.rate[0].RecordsPerS = 100_000
	if got := line(t, tab, "records/s, of Kafka Streams"); got != "records/s, of Kafka Streams|1.62 (0.25..3.00) *|at least 2.3|MISSED" {
		t.Error(got)
	}
	tab.size = "short"
	if got := line(t, tab, "records/s, of Kafka Streams"); !strings.HasSuffix(got, "|(meant for long runs)") {
		t.Error(got)
	}
}

func TestLastLine(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*table)
		want   string
	}{
		"all":        {func(*table) {}, "ratio cpu=0.22 rate=2.50 rss=0.31 p99=0.24"},
		"no latency": {func(tab *table) { tab.product.latency = nil }, "ratio cpu=0.22 rate=2.50 rss=0.31 p99=n/a"},
		"no peer":    {func(tab *table) { tab.peer = &column{} }, "ratio cpu=n/a rate=n/a rss=n/a p99=n/a"},
		"wrong":      {func(tab *table) { tab.product.rate[0].Missing = 1 }, "ratio cpu=0.22 rate=2.50 rss=0.31 p99=0.24"},
	} {
		tab := twoRounds()
		c.change(tab)
		var b strings.Builder
		tab.print(&b)
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if got := lines[len(lines)-1]; got != c.want {
			t.Errorf("%s: the last line is %q, want %q", name, got, c.want)
		}
	}
}

func TestWrongAnswersFail(t *testing.T) {
	for name, change := range map[string]func(*table){
		"missing":                 func(tab *table) { tab.product.rate[1].Missing = 1 },
		"wrong":                   func(tab *table) { tab.product.rate[0].Wrong = 1 },
		"duplicate":               func(tab *table) { tab.product.rate[0].Duplicate = 1 },
		"not finished":            func(tab *table) { tab.product.rate[0].Finished = false },
		"after the kill":          func(tab *table) { tab.product.kill[0].Duplicate = 1 },
		"with little memory":      func(tab *table) { tab.limited.rate[0].Missing = 1 },
		"at a fixed rate":         func(tab *table) { tab.product.latency[0].Missing = 1 },
		"too many at a fixed one": func(tab *table) { tab.product.latency[0].Wrong = 1 },
		"while warming": func(tab *table) {
			r := measured(1, 1, 1, 0)
			r.Missing = 1
			tab.cold = []*column{{rate: []meter.Report{r}}}
		},
		"the peer's": func(tab *table) { tab.peer.rate[0].Missing = 1 },
	} {
		tab := twoRounds()
		change(tab)
		if tab.judge() == nil {
			t.Errorf("%s: no error", name)
		}
		line(t, tab, "WRONG ANSWERS")
	}
}

func TestMixes(t *testing.T) {
	for mix, want := range map[string][3]float64{mixPlain: {0.02, 0, 0}, mixCandidates: {0.7, 0, 0}, mixSkewed: {0.02, 0.6, 0.9}} {
		cfg, err := (&options{size: "long", mix: mix}).config()
		if err != nil || [3]float64{cfg.Candidates, cfg.Scanner, cfg.HotBucket} != want || cfg.CloudTrail != 5_000_000 || cfg.S3Access != 2_500_000 {
			t.Errorf("%s: %+v %v", mix, cfg, err)
		}
	}
	for _, o := range []options{{size: "huge", mix: mixPlain}, {size: "long", mix: "odd"}} {
		if _, err := o.config(); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}
