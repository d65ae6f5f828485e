package compare

import "fmt"

// A target is a figure with the bound that it is to keep.
type target struct {
	what    string
	figures figures
	marked  bool
	atLeast bool
	limit   float64
}

// targets lists those that the mix and what was measured allow.
func (t *table) targets() (list []target) {
	add := func(what string, limit float64, atLeast bool, f figures, marked bool) {
		if len(f) > 0 {
			list = append(list, target{what, f, marked, atLeast, limit})
		}
	}
	atMost := func(what string, limit float64) func(figures, bool) {
		return func(f figures, marked bool) { add(what, limit, false, f, marked) }
	}
	atLeast := func(what string, limit float64) func(figures, bool) {
		return func(f figures, marked bool) { add(what, limit, true, f, marked) }
	}
	switch t.mix {
	case mixPlain:
		atMost("CPU per record, of Kafka Streams", 0.30)(t.rateRatio(cpuPerMillion, t.peer))
		atMost("CPU per record, of the full scan", 1.0)(t.rateRatio(cpuPerMillion, t.raw))
		atLeast("records/s, of Kafka Streams", 2.3)(t.rateRatio(recordsPerS, t.peer))
		atMost("peak RSS, MB", 350)(metered(t.product.rate, peakRSS))
		atMost("peak RSS with GOMEMLIMIT=256MiB, MB", 310)(metered(t.limited.rate, peakRSS))
		atMost("latency p50, of Kafka Streams", 0.20)(t.latencyRatio(p50))
		atMost("latency p99, of Kafka Streams", 0.28)(t.latencyRatio(p99))
		atMost("cores at 5,000 records/s", 0.35)(timed(t.product.latency, cores))
		atMost("kill -9 to the next commit of every group, s", 2)(metered(t.product.kill, restart))
	case mixCandidates:
		atMost("CPU per record, of Kafka Streams", 0.28)(t.rateRatio(cpuPerMillion, t.peer))
		atLeast("records/s, of Kafka Streams", 3)(t.rateRatio(recordsPerS, t.peer))
	case mixSkewed:
		atMost("CPU-s per million records", 2.0)(metered(t.product.rate, cpuPerMillion))
	}
	return list
}

func (g target) bound() string {
	if g.atLeast {
		return fmt.Sprintf("at least %g", g.limit)
	}
	return fmt.Sprintf("at most %g", g.limit)
}

// verdict says whether the median keeps the bound. The bounds were set for long runs: in short ones starting up weighs more.
func (g target) verdict(size string) string {
	met := g.figures.median() <= g.limit
	if g.atLeast {
		met = g.figures.median() >= g.limit
	}
	switch {
	case size != "long":
		return "(meant for long runs)"
	case met:
		return "met"
	default:
		return "MISSED"
	}
}
