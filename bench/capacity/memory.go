package capacity

import (
	"fmt"
	"io"
)

// A MemoryPoint is the peak memory of a run of one worker.
type MemoryPoint struct {
	Partitions int // of each internal topic
	Lanes      int // of all stages together
	MB         float64
}

// Memory is a model of the resident set of one worker that reads as fast as it can.
type Memory struct{ Base, Partition, Lane, Worst float64 } // MB; Worst is the largest error among the runs it is made from

// FitMemory makes the model that explains the points best.
func FitMemory(points []MemoryPoint) Memory {
	units, measured := make([][]float64, len(points)), make([]float64, len(points))
	for i, p := range points {
		units[i], measured[i] = []float64{1, float64(p.Partitions), float64(p.Lanes)}, p.MB
	}
	x := fit(units, measured)
	if x == nil {
		return Memory{}
	}
	m := Memory{Base: x[0], Partition: x[1], Lane: x[2]}
	for _, p := range points {
		wrong := p.MB - m.Base - m.Partition*float64(p.Partitions) - m.Lane*float64(p.Lanes)
		m.Worst = max(m.Worst, wrong, -wrong)
	}
	return m
}

// Print writes the model as a table in Markdown.
func (m Memory) Print(to io.Writer) {
	header(to, []string{"memory of a worker", "MB"})
	row(to, []string{"base", figure(m.Base)})
	row(to, []string{"a partition", figure(m.Partition)})
	row(to, []string{"a lane", figure(m.Lane)})
	row(to, []string{"the largest error among the runs", fmt.Sprintf("%.0f", m.Worst)})
}
