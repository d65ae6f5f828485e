package main

import (
	"firstseen/internal/proof"
)

// finding is what is kept of a record of the findings topic.
type finding struct {
	Rule     string  `json:"rule"`
	Group    string  `json:"group"`
	Period   int64   `json:"period,omitempty"` // of the dedup window, in seconds
	CapCount int64   `json:"cap,omitempty"`
	CapPer   int64   `json:"per,omitempty"`
	Matches  []match `json:"matches"`
}

// match is an entry of a finding.
type match struct {
	Second  int64  `json:"t"`
	EventID string `json:"id"`
	Folded  int64  `json:"folded,omitempty"` // matches after it that are not later
}

// crossing folds what was found by rules whose groups cross source partitions. What they make of it depends on the order
// in which findings came to be, so it is known from the findings only.
type crossing struct {
	windows windows         // of crossedRule
	caps    []*capWindow    // of cappedRule
	held    map[string]bool // findings of cappedRule over the cap, by event id
}

// capWindow is a window in which alerts are counted against a cap.
type capWindow struct {
	start      int64 // Unix seconds of its first finding
	last       int64 // the highest
	alerts     int64
	suppressed int64
	eventID    string // of its first finding
}

func newCrossing() *crossing { return &crossing{windows: windows{}, held: map[string]bool{}} }

// add lets a finding arrive, in the order of its partition.
func (c *crossing) add(f *finding) {
	for _, m := range f.Matches {
		switch f.Rule {
		case crossedRule:
			c.windows.add(f.Group, m.Second, f.Period, 1+m.Folded, m.EventID)
		case cappedRule:
			c.count(f, m)
		}
	}
}

// count counts a finding against the cap.
func (c *crossing) count(f *finding, m match) {
	if n := len(c.caps); n == 0 || m.Second > c.caps[n-1].start+f.CapPer {
		c.caps = append(c.caps, &capWindow{start: m.Second, last: m.Second, eventID: m.EventID})
	}
	w := c.caps[len(c.caps)-1]
	w.last = max(w.last, m.Second)
	if w.alerts < f.CapCount {
		w.alerts++
		return
	}
	w.suppressed++
	c.held[m.EventID] = true
}

// alerts are those of the windows, and those that say that a cap was reached.
func (c *crossing) alerts() []proof.Alert {
	list := c.windows.alerts(crossedRule, func(string) string { return "" })
	for i, w := range c.caps {
		if w.suppressed > 0 {
			list = append(list, proof.Alert{Rule: cappedRule, EventID: w.eventID, Overflow: true, Count: int(w.suppressed), Closed: i < len(c.caps)-1})
		}
	}
	return list
}
