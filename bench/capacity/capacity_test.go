package capacity

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-4*max(1, math.Abs(b)) }

func TestNonNegative(t *testing.T) {
	for name, c := range map[string]struct {
		rows       [][]float64
		want, best []float64
	}{
		"each unit by itself":             {[][]float64{{2, 0}, {0, 4}}, []float64{6, 2}, []float64{3, 0.5}},
		"mixed, and more runs than units": {[][]float64{{1, 1}, {1, 2}, {3, 1}}, []float64{5, 8, 9}, []float64{2, 3}},
		"the mean of two that disagree":   {[][]float64{{1}, {1}}, []float64{2, 4}, []float64{3}},
		"nothing costs less than nothing": {[][]float64{{1, 0}, {1, 1}}, []float64{4, 2}, []float64{3, 0}},
		"a unit that never occurs":        {[][]float64{{1, 0}, {2, 0}}, []float64{1, 2}, []float64{1, 0}},
	} {
		got := nonNegative(c.rows, c.want)
		for k := range c.best {
			if len(got) != len(c.best) || !near(got[k], c.best[k]) {
				t.Fatalf("%s: %v, want %v", name, got, c.best)
			}
		}
	}
}

// A run a hundred times as large does not decide alone: all errors are parts of what was measured.
func TestFitWeighsRunsAlike(t *testing.T) {
	got := fit([][]float64{{1}, {10}}, []float64{1, 20})
	if !near(got[0], 1.2) { // the smallest (1-x)² + (1-x/2)²; the large run alone would give 2
		t.Errorf("%v", got)
	}
	if got := fit([][]float64{{1}, {10}}, []float64{0, 0}); got[0] != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// made is a world whose costs are known, with runs that differ enough.
func made() (truth Model, runs []Run) {
	rnd := rand.New(rand.NewPCG(1, 2))
	truth = make(Model, len(Costs))
	for c := range truth {
		truth[c] = make([]float64, len(Units))
		for k := range truth[c] {
			truth[c][k] = 1 + 5*rnd.Float64()
		}
	}
	truth[2][0] = 0 // no internal record comes of it
	for n := range 12 {
		r := Run{Name: "run", Units: make([]float64, len(Units))}
		for k := range r.Units {
			r.Units[k] = rnd.Float64()
		}
		r.Units[n%len(Units)] += 2
		r.Costs = truth.Predict(r.Units)
		runs = append(runs, r)
	}
	return truth, runs
}

func TestFitFindsWhatThereIs(t *testing.T) {
	truth, runs := made()
	m, err := Fit(runs)
	if err != nil {
		t.Fatal(err)
	}
	for c := range truth {
		for k := range truth[c] {
			if !near(m[c][k], truth[c][k]) {
				t.Errorf("%s of %s: %v, want %v", Costs[c], Units[k], m[c][k], truth[c][k])
			}
		}
	}
	runs[0].Costs[2] = math.NaN() // not measured, and no error of the model
	runs[1].Costs[3] *= 3
	again, err := Fit(runs)
	if err != nil || !near(again[2][4], truth[2][4]) || near(again[3][1], truth[3][1]) {
		t.Errorf("with one cost not measured and one measured wrong: %v %v", again, err)
	}
	if _, err := Fit(runs[:3]); err == nil {
		t.Error("three runs explain all units")
	}
}

func TestTables(t *testing.T) {
	m := Model{{1.5, 0, 0, 0, 0, 0, 0, 0.25}, make([]float64, 8), {0, 0, 0, 640.4, 0, 0, 0, 0}, {0, 0, 0, 45.26, 0, 0, 0, 0}, make([]float64, 8)}
	var b strings.Builder
	m.Print(&b)
	m.Check(&b, []Run{{"long", []float64{2, 0, 0, 1, 0, 0, 0, 1}, []float64{2.5, 0, 640.4, 50, 1}},
		{"rate", []float64{2, 0, 0, 0, 0, 0, 0, 0}, []float64{2, 0.05, math.NaN(), math.NaN(), math.NaN()}}})
	for _, want := range []string{
		"| unit | worker, CPU-s | brokers, CPU-s | internal topics, MB | changelogs, MB | alerts, MB |\n|---|---|---|---|---|---|\n",
		"| a million CloudTrail records that are no candidates | 1.50 | 0 | 0 | 0 | 0 |\n",
		"| a million candidates | 0 | 0 | 640 | 45.3 | 0 |\n",
		"| a start | 0.250 | 0 | 0 | 0 | 0 |\n",
		"| rate | 2.00 / 3.00 (+50 %) | 0.050 / 0 | - | - | - |\n",
		"| long | 2.50 / 3.25 (+30 %) | 0 / 0 | 640 / 640 (+0 %) | 50.0 / 45.3 (-9 %) | 1.00 / 0 (-100 %) |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestExamples(t *testing.T) {
	m := Model{{3, 2, 8, 10, 100, 500, 5, 1000}, {0, 0, 0, 0, 0, 0, 50, 0}, make([]float64, 8), make([]float64, 8), {0, 0, 0, 0, 1500, 0, 0, 0}}
	var b strings.Builder
	m.Examples(&b, []Load{{1_500_000, 10, 4}})
	// 0.98 M + 0.02 M CloudTrail, of the latter 4,000 documents; 0.155 M + 0.345 M lines; 40 transactions.
	want := "| 1500000 records/s, 10 lanes in all, 4 transactions/s each | 6.81 | 2.00 | 0 | 0 | 6.00 |\n"
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("%s, want %s", b.String(), want)
	}
}

func TestMemory(t *testing.T) {
	var points []MemoryPoint
	for _, p := range []MemoryPoint{{8, 3, 0}, {64, 3, 0}, {256, 3, 0}, {16, 6, 0}, {16, 24, 0}} {
		p.MB = 200 + 0.25*float64(p.Partitions) + 12*float64(p.Lanes)
		points = append(points, p)
	}
	if m := FitMemory(points); !near(m.Base, 200) || !near(m.Partition, 0.25) || !near(m.Lane, 12) || m.Worst > 0.1 {
		t.Errorf("%+v", m)
	}
	points[0].MB += 50
	if m := FitMemory(points); m.Worst < 10 || m.Worst > 50 {
		t.Errorf("%+v", m)
	}
	if m := FitMemory(nil); m != (Memory{}) {
		t.Errorf("of nothing: %+v", m)
	}
}
