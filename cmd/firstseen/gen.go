package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/cmd/firstseen/internal/output"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/traffic"
)

type genCmd struct {
	deployment.Flags `embed:""`
	Brokers          string  `placeholder:"HOST:PORT" help:"Write to topics of these brokers: those of the configuration, or cloudtrail and s3access."`
	Out              string  `placeholder:"FILE" help:"Write to this file, or to - for standard output, which is the default without configuration and brokers."`
	Kind             string  `enum:"both,cloudtrail,s3access" default:"both" help:"cloudtrail: JSON, one record a line; s3access: access-log lines; or both."`
	Count            int     `placeholder:"N" help:"Records to write; default: 10000, or without end if there is a rate."`
	Rate             float64 `default:"0" placeholder:"N" help:"Records a second; 0: as fast as possible."`
	Seed             *uint64 `placeholder:"N" help:"The same seed makes the same bytes. Without it files get those of seed 1, and topics new traffic with times up to now."`
	Anonymous        float64 `default:"0.02" placeholder:"SHARE" help:"Share of CloudTrail records that are anonymous access to a bucket."`
	Outside          float64 `default:"0.3" placeholder:"SHARE" help:"Share of access-log lines from addresses outside the allowlist."`
}

// sink is where records go.
type sink interface {
	write(*traffic.Record) error
	Flush() error // the error of any write so far
	Close() error // flushes; of no use afterwards
}

// Run writes until there are enough records, or until it is interrupted.
func (c *genCmd) Run(a *cli.App) error {
	toTopics := c.Config != "" || c.Brokers != "" || len(c.Set) > 0
	switch {
	case toTopics && c.Out != "":
		return cli.Usage(errors.New("gen: --out is for a file; with a configuration or brokers the records go to topics"))
	case c.Count < 0 || c.Rate < 0:
		return cli.Usage(errors.New("gen: --count and --rate cannot be negative"))
	case c.Count == 0 && c.Rate == 0:
		c.Count = 10_000
	}
	o := c.options(toTopics, time.Now())
	g, err := traffic.New(o)
	if err != nil {
		return cli.Usage(err)
	}
	sum := &genSummary{model: traffic.NewModel(), seed: o.Seed, began: time.Now()}
	var to sink
	if toTopics {
		to, err = c.openTopics(a, sum)
	} else {
		to, err = c.openFile(a, sum)
	}
	if err != nil {
		return err
	}
	err = c.pump(a.Ctx, g, to)
	if a.Ctx.Err() != nil && errors.Is(err, a.Ctx.Err()) {
		err = nil
	}
	if closing := to.Close(); err == nil {
		err = closing
	}
	sum.print(a.Stderr)
	return err
}

// options are those of the traffic. Topics get times that end now, unless a seed asks for the same bytes again.
func (c *genCmd) options(toTopics bool, now time.Time) traffic.Options {
	o := traffic.Defaults()
	o.Anonymous, o.Outside = c.Anonymous, c.Outside
	switch c.Kind {
	case "cloudtrail":
		o.Trail = 1
	case "s3access":
		o.Trail = 0
	}
	if c.Seed != nil {
		o.Seed = *c.Seed
		return o
	}
	if !toTopics {
		return o
	}
	o.Seed = uint64(rand.Uint32())
	if c.Rate > 0 {
		o.Start, o.Rate = now, c.Rate
	} else {
		o.Start = now.Add(-time.Duration(float64(c.Count) / o.Rate * float64(time.Second)))
	}
	return o
}

// pump writes records, at the rate if there is one.
func (c *genCmd) pump(ctx context.Context, g *traffic.Generator, to sink) error {
	const tick = 50 * time.Millisecond
	began := time.Now()
	for n := 0; c.Count == 0 || n < c.Count; {
		due := n + 1000
		if c.Rate > 0 {
			due = int(time.Since(began).Seconds()*c.Rate) + 1
		}
		if c.Count > 0 {
			due = min(due, c.Count)
		}
		for ; n < due; n++ {
			r := g.Next()
			if err := to.write(&r); err != nil {
				return err
			}
		}
		if err := to.Flush(); err != nil {
			return err
		}
		if c.Rate > 0 {
			cli.Pause(ctx, tick)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// genFile is a file or standard output: one record a line.
type genFile struct {
	*output.Lines
	sum *genSummary
}

func (c *genCmd) openFile(a *cli.App, sum *genSummary) (sink, error) {
	if c.Out == "" || c.Out == "-" {
		return genFile{output.NewLines("standard output", bufio.NewWriter(a.Stdout)), sum}, nil
	}
	to, err := output.CreateLines(c.Out)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("gen: %w", err))
	}
	return genFile{to, sum}, nil
}

func (f genFile) write(r *traffic.Record) error {
	f.Add(r.Value)
	f.sum.add(r)
	return nil
}

// genSummary counts what has arrived in its place, and what the built-in rules must make of it.
type genSummary struct {
	mu          sync.Mutex
	model       *traffic.Model
	seed        uint64
	began       time.Time
	trail, line int64
	matches     int64
	bytes       int64
	first, last time.Time
}

func (s *genSummary) add(r *traffic.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Kind == traffic.CloudTrail {
		s.trail++
	} else {
		s.line++
	}
	if r.Rule != "" {
		s.matches++
	}
	s.bytes += int64(len(r.Value))
	if s.first.IsZero() || r.Time.Before(s.first) {
		s.first = r.Time
	}
	if r.Time.After(s.last) {
		s.last = r.Time
	}
	s.model.Add(r)
}

func (s *genSummary) print(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trail+s.line == 0 {
		fmt.Fprintln(w, "nothing written")
		return
	}
	took := time.Since(s.began)
	fmt.Fprintf(w, "%s records, %s in %.1f s: %s of CloudTrail, %s access-log lines\n", show.Grouped(s.trail+s.line), show.Size(s.bytes), took.Seconds(),
		show.Grouped(s.trail), show.Grouped(s.line))
	fmt.Fprintf(w, "event times %s to %s, seed %d\n", s.first.Format(time.RFC3339), s.last.Format(time.RFC3339), s.seed)
	alerts := map[string]int64{}
	for _, a := range s.model.Alerts {
		alerts[a.Rule]++
	}
	fmt.Fprintf(w, "%s match a built-in rule: %s new-terms and %s allowlist alerts, if nothing was seen before and no cap is reached\n",
		show.Grouped(s.matches), show.Grouped(alerts[traffic.NewTermsRule]), show.Grouped(alerts[traffic.AllowlistRule]))
}
