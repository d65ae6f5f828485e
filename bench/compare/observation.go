package compare

import (
	"math"

	"firstseen/bench/capacity"
	"firstseen/bench/gen"
	"firstseen/bench/meter"
)

// steadyRun is a measurement at a fixed rate. Each alert is a candidate; what became of the topics is not looked at.
func steadyRun(name string, r meter.LatencyReport, seconds float64) capacity.Run {
	candidates := float64(r.Samples) / 1e6
	nan := math.NaN()
	return capacity.Run{Name: name,
		Units: []float64{float64(r.Rate)*seconds/1e6 - candidates, 0, 0, candidates, r.Counters["alerts_total"] / 1e6, 0, r.Counters["transaction_end_seconds_count"] / 1e3, 0},
		Costs: []float64{r.Cores * seconds, r.Broker * seconds, nan, nan, nan}}
}

// units is what a run had to do, by capacity.Units.
func units(e *gen.Expected, r *ran) []float64 {
	million := func(n int) float64 { return float64(n) / 1e6 }
	terms := 0 // alerts of terms, which have one document each: their windows last longer than a run
	for _, a := range e.Alerts {
		if a.Rule == gen.NewTerms {
			terms++
		}
	}
	return []float64{million(e.Config.CloudTrail - e.Candidates), million(e.Config.S3Access - e.Matches), million(e.Matches), million(e.Candidates),
		million(terms), r.Counters["alerts_total"]/1e6 - million(terms), r.Counters["transaction_end_seconds_count"] / 1e3, 1}
}

// costs is what it took, by capacity.Costs.
func costs(r *ran) []float64 {
	mb := func(n int64) float64 { return float64(n) / 1e6 }
	return []float64{r.CPUS, r.BrokerCPUS, mb(r.topics[".candidates"] + r.topics[".findings"]), mb(r.changelog()), mb(r.topics[".alerts"])}
}

// medians makes one run of those that have the name in common, kind by kind.
func medians(runs []capacity.Run) (list []capacity.Run) {
	middle := func(of [][]float64) []float64 {
		out := make([]float64, len(of[0]))
		for k := range out {
			var f figures
			for _, values := range of {
				f = append(f, values[k])
			}
			out[k] = f.median()
		}
		return out
	}
	for first := 0; first < len(runs); {
		next := first
		var units, costs [][]float64
		for ; next < len(runs) && runs[next].Name == runs[first].Name; next++ {
			units, costs = append(units, runs[next].Units), append(costs, runs[next].Costs)
		}
		list = append(list, capacity.Run{Name: runs[first].Name, Units: middle(units), Costs: middle(costs)})
		first = next
	}
	return list
}
