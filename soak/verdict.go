package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// A row is one quantity over the time of the run.
type row struct {
	name   string
	unit   float64 // what a sample is divided by for the table; 0: 1
	slack  float64 // in samples: less than this is not growth, whatever the share
	judged bool

	at     []time.Duration
	values []float64
}

func (r *row) add(at time.Duration, value float64) {
	r.at, r.values = append(r.at, at), append(r.values, value)
}

// growth is the share by which the median of the last third may be above that of the middle third. The first third is
// the start: caches and stores fill. Medians, because some quantities are saws, which compactions and purges cut down.
const growth = 0.10

// thirds are the medians of the three thirds of the run.
func (r *row) thirds() (first, middle, last float64) {
	n := len(r.values)
	return median(r.values[:n/3]), median(r.values[n/3 : 2*n/3]), median(r.values[2*n/3:])
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// minSamples is how many samples a verdict needs at least.
const minSamples = 30

// verdict is flat, grows, or a reason why there is none.
func (r *row) verdict() string {
	_, middle, last := r.thirds()
	switch {
	case !r.judged:
		return "not judged"
	case len(r.values) < minSamples:
		return fmt.Sprintf("only %d samples", len(r.values))
	case last > middle*(1+growth) && last > middle+r.slack:
		return "grows"
	}
	return "flat"
}

// slope is the rise in an hour, of the line through the samples of the last two thirds that fits them best.
func (r *row) slope() float64 {
	from := len(r.values) / 3
	var n, sx, sy, sxx, sxy float64
	for i, v := range r.values[from:] {
		x := r.at[from+i].Hours()
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+v, sxx+x*x, sxy+x*v
	}
	if d := n*sxx - sx*sx; d > 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}

// report prints the table, and returns the rows that are judged and not flat.
func report(w io.Writer, rows []*row) (bad []string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "what\tstart\tmiddle\tend\tmax\tan hour\tverdict\t")
	for _, r := range rows {
		first, middle, last := r.thirds()
		highest, verdict := 0.0, r.verdict()
		if len(r.values) > 0 {
			highest = slices.Max(r.values)
		}
		unit := r.unit
		if unit == 0 {
			unit = 1
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%+.1f\t%s\t\n", r.name, first/unit, middle/unit, last/unit, highest/unit, r.slope()/unit, verdict)
		if r.judged && verdict != "flat" {
			bad = append(bad, r.name+": "+verdict)
		}
	}
	_ = t.Flush() // the writer is a terminal or a buffer
	return bad
}
