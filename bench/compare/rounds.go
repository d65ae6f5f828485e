package compare

import (
	"context"
	"fmt"
	"slices"
)

// A step is one measurement of a round.
type step struct {
	part   string
	column *column
	run    func(ctx context.Context, s *site, label string) error
}

// steps lists what a round measures, and in which order: the programs that are compared with each other follow one another,
// and each is the first, the second, ... of them in turn.
func (t *table) steps(round int) (list []step) {
	rate := func(c *column) func(context.Context, *site, string) error { return c.measureRate }
	latency := func(c *column) func(context.Context, *site, string) error {
		return func(ctx context.Context, s *site, label string) error {
			return c.measureLatency(ctx, s, label, sizes[t.size])
		}
	}
	kill := func(c *column) func(context.Context, *site, string) error {
		return func(ctx context.Context, s *site, label string) error {
			return c.measureKill(ctx, s, label, t.killAt())
		}
	}
	for _, group := range [][]step{
		{{"rate", t.product, rate(t.product)}, {"rate", t.peer, rate(t.peer)}, {"rate", t.raw, t.raw.measureRaw}, {"memory", t.limited, rate(t.limited)}},
		{{"latency", t.product, latency(t.product)}, {"latency", t.peer, latency(t.peer)}},
		{{"kill", t.product, kill(t.product)}, {"kill", t.peer, kill(t.peer)}},
	} {
		group = slices.DeleteFunc(group, func(s step) bool {
			return !t.has(s.part) || s.column == t.peer && (!t.options.peer || s.part == "kill" && !t.killPeer) || s.column == t.raw && !t.options.raw
		})
		list = append(list, rotated(group, round)...)
	}
	return list
}

// rotated is the list in the order of a round: in as many rounds as it is long, each is once at each place.
func rotated[T any](list []T, round int) []T {
	if len(list) == 0 {
		return nil
	}
	k := round % len(list)
	return slices.Concat(list[k:], list[:k])
}

// killAt is the share of the inputs after which programs are killed: half, or when all the terms have been read that were
// asked for, and half of the other CloudTrail records, whichever input is read first.
func (o *options) killAt() float64 {
	if o.terms == 0 {
		return 0.5
	}
	of := sizes[o.size]
	return (float64(o.terms) + float64(of.s3) + float64(of.cloudTrail)/2) / float64(o.terms+of.s3+of.cloudTrail)
}

// warm runs every program once and keeps no figure. The broker compiles itself to machine code while it works for the first
// time: on two cores that takes as much of them as the work does, and would be charged to whoever comes first.
func (t *table) warm(ctx context.Context, s *site) error {
	if t.size == "smoke" || t.terms > 0 { // after a million terms it is warm
		return nil
	}
	met := map[string]bool{}
	for _, st := range t.steps(0) {
		c := st.column
		if c == t.limited {
			c = t.product // the same program
		}
		if met[c.name] {
			continue
		}
		met[c.name] = true
		cold := &column{contender: c.contender}
		measure := cold.measureRate
		if c == t.raw {
			measure = cold.measureRaw
		}
		t.cold = append(t.cold, cold)
		if err := measure(ctx, s, "warming the broker, not counted, "+c.name); err != nil {
			return err
		}
	}
	return nil
}

// fill runs everything.
func (t *table) fill(ctx context.Context, s *site) error {
	if err := t.warm(ctx, s); err != nil {
		return err
	}
	for round := range t.rounds {
		for _, st := range t.steps(round) {
			if err := st.run(ctx, s, fmt.Sprintf("round %d, %s, %s", round+1, st.column.name, st.part)); err != nil {
				return err
			}
		}
	}
	return nil
}
