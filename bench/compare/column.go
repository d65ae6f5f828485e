package compare

import (
	"context"
	"fmt"

	"firstseen/bench/meter"
)

// disturbed is the number of cores that other work may take before a figure is marked.
const disturbed = 0.3

// A column holds what was measured of one contender.
type column struct {
	contender
	rate      []meter.Report
	changelog []int64 // bytes, of the same runs
	latency   []meter.LatencyReport
	kill      []meter.Report
	terms     figures // in the state when it was killed
	restored  figures // changelog records that were read after the kill
}

func (c *column) measureRate(ctx context.Context, s *site, label string) error {
	r, err := s.meter(ctx, c.contender, label)
	if err != nil {
		return err
	}
	c.rate, c.changelog = append(c.rate, r.Report), append(c.changelog, r.changelog())
	say(r.OtherCores, "%s: %.0f records/s, %.2f CPU-s per million, %.0f MB; %s", label, r.RecordsPerS, r.CPUPerMillion, r.PeakRSSMB, answers(r.Report))
	return nil
}

func (c *column) measureRaw(ctx context.Context, s *site, label string) error {
	var r meter.Report
	if err := s.measure(ctx, &r, "raw", "-scan", "full"); err != nil {
		return err
	}
	r.Label = label
	c.rate = append(c.rate, r)
	say(r.OtherCores, "%s: %.0f records/s, %.2f CPU-s per million, %.0f MB", label, r.RecordsPerS, r.CPUPerMillion, r.PeakRSSMB)
	return nil
}

func (c *column) measureLatency(ctx context.Context, s *site, label string, of size) error {
	r, err := s.latency(ctx, c.contender, label, "-rate", "5000", "-warmup", of.warmup.String(), "-duration", of.duration.String())
	if err != nil {
		return err
	}
	c.latency = append(c.latency, r)
	say(r.Other, "%s: p50 %.0f ms, p99 %.0f ms, %.2f cores; %d alerts, %d missing, %d wrong", label, r.P50, r.P99, r.Cores, r.Samples, r.Missing, r.Wrong)
	return nil
}

// measureKill kills the program when it has done so much of the inputs.
func (c *column) measureKill(ctx context.Context, s *site, label string, at float64) error {
	r, err := s.meter(ctx, c.contender, label, "-kill-at", fmt.Sprint(at))
	if err != nil {
		return err
	}
	c.kill = append(c.kill, r.Report)
	had := ""
	if restored, tells := r.Counters["restore_records_total"]; tells {
		c.terms, c.restored = append(c.terms, float64(r.terms)), append(c.restored, restored)
		had = fmt.Sprintf(" with %d terms, reads %.0f records of the changelogs", r.terms, restored)
	}
	say(r.OtherCores, "%s: killed at %.0f %%%s, commits again after %.2f s, every group after %.2f s; %s", label, r.KilledAt*100, had, r.RestartS, r.RestartAllS, answers(r.Report))
	return nil
}

func answers(r meter.Report) string {
	return fmt.Sprintf("%d alerts, %d missing, %d wrong, %d duplicate", r.Seen, r.Missing, r.Wrong, r.Duplicate)
}

func say(other float64, format string, args ...any) {
	fmt.Printf(format, args...)
	if other > disturbed {
		fmt.Printf(" [disturbed: other work took %.2f cores]", other)
	}
	fmt.Println()
}

// wrong lists the runs whose answers were not all right, or that did not come to an end.
func (c *column) wrong() (list []string) {
	for _, r := range append(append([]meter.Report{}, c.rate...), c.kill...) {
		if !r.Finished {
			list = append(list, r.Label+": not finished")
		} else if r.Missing+r.Wrong+r.Duplicate > 0 {
			list = append(list, r.Label+": "+answers(r))
		}
	}
	for _, r := range c.latency {
		if r.Missing+r.Wrong > 0 {
			list = append(list, fmt.Sprintf("%s: %d missing, %d wrong", r.Label, r.Missing, r.Wrong))
		}
	}
	return list
}

// of collects a figure of each report, and says whether any of the runs was disturbed. What is 0 was not measured: a run
// that was over within one sample has no second half, one that was killed at its end no commit afterwards.
func of[R any](reports []R, figure func(R) float64, other func(R) float64) (f figures, marked bool) {
	for _, r := range reports {
		if v := figure(r); v != 0 {
			f = append(f, v)
			marked = marked || other(r) > disturbed
		}
	}
	return f, marked
}

func metered(reports []meter.Report, figure func(meter.Report) float64) (figures, bool) {
	return of(reports, figure, func(r meter.Report) float64 { return r.OtherCores })
}

func timed(reports []meter.LatencyReport, figure func(meter.LatencyReport) float64) (figures, bool) {
	return of(reports, figure, func(r meter.LatencyReport) float64 { return r.Other })
}
