package compare

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"firstseen/bench/meter"
)

// A table is the comparison.
type table struct {
	*options
	product, limited, peer, raw *column
	cold                        []*column // what was run to warm the broker
}

// A row is one quantity of each column.
type row struct {
	name   string
	format string
	of     func(c *column) (f figures, marked bool)
}

var rows = []row{
	{"records/s", "%.0f", func(c *column) (figures, bool) { return metered(c.rate, recordsPerS) }},
	{"  in the second half", "%.0f", func(c *column) (figures, bool) {
		return metered(c.rate, func(r meter.Report) float64 { return r.SteadyPerS })
	}},
	{"CPU-s per million records", "%.2f", func(c *column) (figures, bool) { return metered(c.rate, cpuPerMillion) }},
	{"  in the second half", "%.2f", func(c *column) (figures, bool) {
		return metered(c.rate, func(r meter.Report) float64 { return r.SteadyCPU })
	}},
	{"broker's CPU-s per million", "%.2f", func(c *column) (figures, bool) {
		return metered(c.rate, func(r meter.Report) float64 { return r.BrokerCPUS / float64(r.Records) * 1e6 })
	}},
	{"peak RSS, MB", "%.0f", func(c *column) (figures, bool) { return metered(c.rate, peakRSS) }},
	{"changelog bytes per record", "%.1f", func(c *column) (f figures, marked bool) {
		for i, bytes := range c.changelog {
			f = append(f, float64(bytes)/float64(c.rate[i].Records))
		}
		return f, false
	}},
	{"latency p50, ms", "%.0f", func(c *column) (figures, bool) { return timed(c.latency, p50) }},
	{"latency p99, ms", "%.0f", func(c *column) (figures, bool) { return timed(c.latency, p99) }},
	{"  cores meanwhile", "%.2f", func(c *column) (figures, bool) { return timed(c.latency, cores) }},
	{"kill -9 to the next commit, s", "%.2f", func(c *column) (figures, bool) {
		return metered(c.kill, func(r meter.Report) float64 { return r.RestartS })
	}},
	{"  of every group, s", "%.2f", func(c *column) (figures, bool) { return metered(c.kill, restart) }},
	{"  terms in the state", "%.0f", func(c *column) (figures, bool) { return c.terms, false }},
	{"  changelog records read again", "%.0f", func(c *column) (figures, bool) { return c.restored, false }},
}

func recordsPerS(r meter.Report) float64   { return r.RecordsPerS }
func cpuPerMillion(r meter.Report) float64 { return r.CPUPerMillion }
func peakRSS(r meter.Report) float64       { return r.PeakRSSMB }
func restart(r meter.Report) float64       { return r.RestartAllS }
func p50(r meter.LatencyReport) float64    { return r.P50 }
func p99(r meter.LatencyReport) float64    { return r.P99 }
func cores(r meter.LatencyReport) float64  { return r.Cores }

// columns are those that have something to show.
func (t *table) columns() (list []*column) {
	for _, c := range []*column{t.product, t.limited, t.peer, t.raw} {
		if len(c.rate)+len(c.latency)+len(c.kill) > 0 {
			list = append(list, c)
		}
	}
	return list
}

func (t *table) print(to io.Writer) {
	cfg, _ := t.config() // checked by Run
	fmt.Fprintf(to, "\n%d CloudTrail records, %.0f %% of them candidates, and %d S3 lines (%s); rounds: %d\n",
		cfg.CloudTrail-cfg.Terms, cfg.Candidates*100, cfg.S3Access, t.mix, t.rounds)
	if cfg.Terms > 0 {
		fmt.Fprintf(to, "before them %d candidates with an address each\n", cfg.Terms)
	}
	fmt.Fprintf(to, "median (smallest..largest); * other work took more than %.1f cores during one of the runs\n\n", disturbed)
	w := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	for _, c := range t.columns() {
		fmt.Fprintf(w, "\t%s", c.name)
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		line, any := r.name, false
		for _, c := range t.columns() {
			f, marked := r.of(c)
			any = any || len(f) > 0
			line += "\t" + cell(f, r.format, marked)
		}
		if any {
			fmt.Fprintln(w, line)
		}
	}
	_ = w.Flush() // as the writer of each line
	if list := t.targets(); len(list) > 0 {
		fmt.Fprint(to, "\nof Kafka Streams or of the scan: round by round\n\n")
		for _, g := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", g.what, cell(g.figures, "%.2f", g.marked), g.bound(), g.verdict(t.size))
		}
		_ = w.Flush()
	}
	if wrong := t.wrong(); len(wrong) > 0 {
		fmt.Fprintf(to, "\nWRONG ANSWERS\n  %s\n", strings.Join(wrong, "\n  "))
	}
	fmt.Fprintf(to, "\n%s\n", t.lastLine())
}

func cell(f figures, format string, marked bool) string {
	if marked {
		return f.text(format) + " *"
	}
	return f.text(format)
}

// wrong lists the wrong answers. A peer that is wrong is no peer.
func (t *table) wrong() (list []string) {
	for _, c := range append([]*column{t.product, t.limited, t.peer}, t.cold...) {
		list = append(list, c.wrong()...)
	}
	return list
}

// judge fails if an answer was wrong.
func (t *table) judge() error {
	if len(t.wrong()) > 0 {
		return errors.New("there are wrong answers")
	}
	return nil
}

// lastLine is firstseen's part of what Kafka Streams takes, for programs to read.
func (t *table) lastLine() string {
	value := func(f figures) string {
		if len(f) == 0 {
			return "n/a"
		}
		return fmt.Sprintf("%.2f", f.median())
	}
	rate := func(figure func(meter.Report) float64) string {
		f, _ := t.rateRatio(figure, t.peer)
		return value(f)
	}
	late, _ := t.latencyRatio(p99)
	return fmt.Sprintf("ratio cpu=%s rate=%s rss=%s p99=%s", rate(cpuPerMillion), rate(recordsPerS), rate(peakRSS), value(late))
}

func (t *table) rateRatio(figure func(meter.Report) float64, of *column) (figures, bool) {
	a, marked := metered(t.product.rate, figure)
	b, too := metered(of.rate, figure)
	return a.per(b), marked || too
}

func (t *table) latencyRatio(figure func(meter.LatencyReport) float64) (figures, bool) {
	a, marked := timed(t.product.latency, figure)
	b, too := timed(t.peer.latency, figure)
	return a.per(b), marked || too
}
