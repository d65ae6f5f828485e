package compare

import (
	"math"
	"slices"
	"strings"
	"testing"

	"firstseen/bench/capacity"
	"firstseen/bench/gen"
	"firstseen/bench/meter"
)

// Each kind of work is in some of the blends, and no blend is like another.
func TestBlendsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range blends {
		cfg := b.config(1000)
		if cfg.CloudTrail+cfg.S3Access < 100 || cfg.Partitions != partitions || seen[b.name] {
			t.Errorf("%s: %+v", b.name, cfg)
		}
		seen[b.name] = true
	}
	if len(blends) < len(capacity.Units) {
		t.Errorf("%d blends for %d units", len(blends), len(capacity.Units))
	}
}

func TestUnitsAndCosts(t *testing.T) {
	e := &gen.Expected{Config: gen.Config{CloudTrail: 3e6, S3Access: 2e6}, Candidates: 1e6, Matches: 500_000,
		Alerts: slices.Concat(slices.Repeat([]gen.Alert{{Rule: gen.NewTerms}}, 100_000), slices.Repeat([]gen.Alert{{Rule: gen.Allowlist}}, 150_000))}
	r := &ran{Report: meter.Report{CPUS: 7, BrokerCPUS: 3, Counters: map[string]float64{"alerts_total": 250_000, "transaction_end_seconds_count": 120}},
		topics: map[string]int64{".candidates": 5e6, ".findings": 6e6, ".detect.changelog": 1e6, ".group.changelog": 2e6, ".alerts": 9e6, "cloudtrail": 1e9}}
	if got, want := units(e, r), []float64{2, 1.5, 0.5, 1, 0.1, 0.15, 0.12, 1}; !slices.Equal(got, want) || len(want) != len(capacity.Units) {
		t.Errorf("units %v, want %v", got, want)
	}
	if got, want := costs(r), []float64{7, 3, 11, 3, 9}; !slices.Equal(got, want) || len(want) != len(capacity.Costs) {
		t.Errorf("costs %v, want %v", got, want)
	}
}

func TestSteadyRun(t *testing.T) {
	got := steadyRun("x", meter.LatencyReport{Rate: 5000, Samples: 2000, Cores: 0.5, Broker: 0.25,
		Counters: map[string]float64{"alerts_total": 2100, "transaction_end_seconds_count": 1500}}, 20)
	if want := []float64{0.098, 0, 0, 0.002, 0.0021, 0, 1.5, 0}; !slices.Equal(got.Units, want) || len(want) != len(capacity.Units) {
		t.Errorf("units %v, want %v", got.Units, want)
	}
	if got.Costs[0] != 10 || got.Costs[1] != 5 || !math.IsNaN(got.Costs[2]) || len(got.Costs) != len(capacity.Costs) {
		t.Errorf("costs %v", got.Costs)
	}
}

func TestMedians(t *testing.T) {
	got := medians([]capacity.Run{
		{Name: "a", Units: []float64{1}, Costs: []float64{5}},
		{Name: "a", Units: []float64{3}, Costs: []float64{7}},
		{Name: "b", Units: []float64{4}, Costs: []float64{9}},
	})
	if len(got) != 2 || got[0].Name != "a" || got[0].Units[0] != 2 || got[0].Costs[0] != 6 || got[1].Costs[0] != 9 {
		t.Errorf("%+v", got)
	}
}

// grown is a worker whose memory is 100 MB, 0.5 MB a partition and 20 MB a lane, and which is 30 % dearer with 8 lanes.
func grown() []*setting {
	list := settings()
	for _, g := range list {
		cpu, rss := 1.0, 100.0+20*3*float64(g.at)+0.5*defaultPartitions
		switch {
		case g.axis == "partitions":
			rss = 100 + 20*float64(defaultLanes()) + 0.5*float64(g.at)
		case g.at == 8:
			cpu = 1.3
		}
		for round := range 2 {
			noise := 1 + float64(round) // the machine was slower in the second round
			g.base.rate = append(g.base.rate, measured(1000, 2*noise, 300, 0))
			g.setting.rate = append(g.setting.rate, measured(1000, cpu*noise, rss, 0))
		}
	}
	return list
}

func TestGrowthIsComparedWithItsNeighbour(t *testing.T) {
	var b strings.Builder
	printGrowth(&b, grown(), "short")
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"lanes: 8 1.95 (1.30..2.60) 0.65 (0.65..0.65) 1.30 ",
		"partitions: 256 1.50 (1.00..2.00) 0.50 (0.50..0.50) 1.00 ",
		"CPU per record by partitions: at most 1.00 of the smallest; at most 1.15: met",
		"CPU per record by lanes: at most 1.30 of the smallest; at most 1.15: MISSED",
		"| base | 100 | | a partition | 0.500 | | a lane | 20.0 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
