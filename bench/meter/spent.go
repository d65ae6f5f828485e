package meter

import (
	"context"

	"firstseen/bench/process"
)

// spent is what has been used up to some moment: CPU seconds, and what the program counted.
type spent struct {
	program, broker, other float64
	counters               chan counted
}

type counted struct {
	counts map[string]float64
	err    error
}

// spent looks, and lets nobody wait for the program's answer: the next record is due.
func (o *offer) spent(ctx context.Context) spent {
	s := spent{broker: process.CPU(o.brokerPID), counters: make(chan counted, 1)}
	if o.prog != nil {
		s.program = o.prog.Sample()
	}
	s.other = process.MachineCPU() - s.program - s.broker - process.SelfCPU()
	go func() {
		var c counted
		if o.metrics != "" {
			c.counts, c.err = readCounters(ctx, o.metrics)
		}
		s.counters <- c
	}()
	return s
}
