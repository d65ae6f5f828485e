package capacity

import (
	"fmt"
	"io"
)

// A Load is what a deployment has to do all the time.
type Load struct {
	Records      int     // a second
	Lanes        int     // of all stages and workers
	Transactions float64 // a second and lane
}

// units is what a second of the load has of each unit: two thirds are CloudTrail records, of which 2 % are candidates and
// a tenth of those new; of the S3 lines 69 % match. A new term makes two documents; the windows of buckets that go on and
// on make next to none.
func (l Load) units() []float64 {
	million := float64(l.Records) / 1e6
	trail, lines := million*2/3, million/3
	candidates := 0.02 * trail
	return []float64{trail - candidates, 0.31 * lines, 0.69 * lines, candidates, 2 * 0.1 * candidates, 0, l.Transactions * float64(l.Lanes) / 1e3, 0}
}

// Examples writes what loads cost each second as a table in Markdown: CPU-s in a second are cores.
func (m Model) Examples(to io.Writer, loads []Load) {
	header(to, append([]string{"each second"}, Costs...))
	for _, l := range loads {
		line := []string{fmt.Sprintf("%d records/s, %d lanes in all, %.0f transactions/s each", l.Records, l.Lanes, l.Transactions)}
		for _, cost := range m.Predict(l.units()) {
			line = append(line, figure(cost))
		}
		row(to, line)
	}
}
