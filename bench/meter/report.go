// Package meter measures programs that read the inputs and write alerts: their speed, cost, latency and correctness.
package meter

import (
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"firstseen/bench/gen"
)

// Report is the result of a run; raw fills the first part only.
type Report struct {
	Label         string  `json:"label"`
	Records       int64   `json:"records"`
	WallS         float64 `json:"wall_s"`          // from the start of the program to the last progress
	StartupS      float64 `json:"startup_s"`       // to the first committed record
	RecordsPerS   float64 `json:"records_per_s"`   // over wall_s
	SteadyPerS    float64 `json:"steady_per_s"`    // over the second half of the input: no start-up, code compiled
	CPUS          float64 `json:"cpu_s"`           // user + system, all processes of the program
	CPUPerMillion float64 `json:"cpu_per_million"` // CPU seconds per million records
	SteadyCPU     float64 `json:"steady_cpu_per_million"`
	BrokerCPUS    float64 `json:"broker_cpu_s,omitempty"`
	OtherCores    float64 `json:"other_cores"` // cores that other work on the machine took meanwhile
	PeakRSSMB     float64 `json:"peak_rss_mb"`
	KilledAt      float64 `json:"killed_at,omitempty"`     // share of the input committed at the kill
	RestartS      float64 `json:"restart_s,omitempty"`     // from the new start to the next committed record of the input
	RestartAllS   float64 `json:"restart_all_s,omitempty"` // to the moment when every group has committed something again
	Finished      bool    `json:"finished"`
	gen.Verdict
	// What the program counted since its last start, if it tells: a metric's sum over its labels, by the name behind firstseen_.
	Counters map[string]float64 `json:"counters,omitempty"`
}

// A mark is where a run was at about half of its input.
type mark struct {
	done      int64
	wall, cpu float64
}

func (r *Report) rates(half mark) {
	r.RecordsPerS = float64(r.Records) / r.WallS
	r.CPUPerMillion = r.CPUS / float64(r.Records) * 1e6
	if rest := float64(r.Records - half.done); rest > 0 && r.WallS > half.wall {
		r.SteadyPerS = rest / (r.WallS - half.wall)
		r.SteadyCPU = (r.CPUS - half.cpu) / rest * 1e6
	}
}

func (r *Report) print(checked bool) {
	b, _ := json.Marshal(r) // numbers and strings
	fmt.Println(string(b))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, v ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, v...)) }
	row("run", "%s", r.Label)
	row("records", "%d", r.Records)
	row("wall", "%.2f s (first commit after %.2f s)", r.WallS, r.StartupS)
	row("rate", "%.0f records/s (second half: %.0f)", r.RecordsPerS, r.SteadyPerS)
	row("CPU", "%.1f s, %.2f s per million records (second half: %.2f)", r.CPUS, r.CPUPerMillion, r.SteadyCPU)
	if r.BrokerCPUS > 0 {
		row("broker CPU", "%.1f s", r.BrokerCPUS)
	}
	row("other work", "%.2f cores on average; the rates are worth little if this is not near 0", r.OtherCores)
	row("peak RSS", "%.0f MB", r.PeakRSSMB)
	if r.KilledAt > 0 {
		row("killed", "at %.0f %% of the input; next commit %.2f s after the restart, of every group %.2f s", r.KilledAt*100, r.RestartS, r.RestartAllS)
	}
	if checked {
		row("alerts", "%d seen of %d expected: %d missing, %d wrong, %d duplicate", r.Seen, r.Expected, r.Missing, r.Wrong, r.Duplicate)
	}
	if !r.Finished {
		row("NOT FINISHED", "the numbers cover the part before the time limit")
	}
	_ = w.Flush() // a table that cannot be printed has no reader
}
