package replay

import (
	"maps"
	"slices"

	"firstseen/schemas"
)

// report is what replay --json prints.
type report struct {
	From        string           `json:"from,omitempty"` // Kafka timestamp of the first record of the range, RFC 3339
	To          string           `json:"to,omitempty"`   // and the highest
	Partitions  []span           `json:"partitions,omitempty"`
	Files       int              `json:"files,omitempty"`
	Records     int64            `json:"records"` // of logs, decoded
	WarmUp      int64            `json:"warm_up"` // Kafka records before the range
	Ruleset     string           `json:"ruleset"` // SHA-256 of the candidate rules
	Against     string           `json:"against"` // what the alerts are compared with
	Rules       []*ruleDiff      `json:"rules"`
	Added       []changedAlert   `json:"added"`
	Gone        []changedAlert   `json:"gone"`
	Moved       []alertPair      `json:"moved"`
	DeadLetters []deadLetterSort `json:"dead_letters"`
	Notes       []string         `json:"notes"`
}

// span is the range in one partition: offsets, To is the first behind it.
type span struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Begin     int64  `json:"begin"` // of the warm-up
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// ruleDiff counts alerts of one rule whose event is in the range. Would and Did are those that went out or were over the
// rule's cap.
type ruleDiff struct {
	Rule      string           `json:"rule"`
	Would     int64            `json:"would"`
	Did       int64            `json:"did"`
	Same      int64            `json:"same"`
	Moved     int64            `json:"moved"`
	Added     int64            `json:"added"`
	Gone      int64            `json:"gone"`
	WouldHeld map[string]int64 `json:"would_suppressed,omitempty"` // by reason; cap: these are in Would
	DidHeld   map[string]int64 `json:"did_suppressed,omitempty"`
	WouldCaps int64            `json:"would_caps,omitempty"` // alerts that say that the cap was reached
	DidCaps   int64            `json:"did_caps,omitempty"`
}

// changedAlert is an alert of one side. Suppressed is why the other side has it, but held it back.
type changedAlert struct {
	comparedAlert
	OtherSide string `json:"suppressed_on_the_other_side,omitempty"`
}

// deadLetterSort counts dead letters of one reason, and shows the first.
type deadLetterSort struct {
	Reason schemas.Reason `json:"reason"`
	Count  int64          `json:"count"`
	First  string         `json:"first"`
	Detail string         `json:"detail,omitempty"`
}

// fill counts what a comparison found. only has the rules to report; empty: all.
func (r *report) fill(c *comparison, would, did *alertSet, rules []string) {
	byID := map[string]*ruleDiff{}
	of := func(rule string) *ruleDiff {
		if byID[rule] == nil {
			byID[rule] = &ruleDiff{Rule: rule, WouldHeld: map[string]int64{}, DidHeld: map[string]int64{}}
		}
		return byID[rule]
	}
	for _, rule := range rules {
		of(rule)
	}
	r.Added, r.Gone, r.Moved = []changedAlert{}, []changedAlert{}, []alertPair{}
	pair := func(p alertPair, same bool) {
		a := p.Would
		if a == nil {
			a = p.Did
		}
		d := of(a.Rule)
		switch {
		case p.Would.goes() && p.Did.goes(), p.PartOf != "" && a.goes():
			if same {
				d.Same++
			} else {
				d.Moved++
				r.Moved = append(r.Moved, p)
			}
		case p.Would.goes():
			d.Added++
			r.Added = append(r.Added, changedAlert{*p.Would, p.Did.heldWhy()})
		case p.Did.goes():
			d.Gone++
			r.Gone = append(r.Gone, changedAlert{*p.Did, p.Would.heldWhy()})
		}
	}
	for _, p := range c.same {
		pair(p, true)
	}
	for _, p := range c.moved {
		pair(p, false)
	}
	for _, a := range c.would {
		pair(alertPair{Would: a}, false)
	}
	for _, a := range c.did {
		pair(alertPair{Did: a}, false)
	}
	count := func(s *alertSet, n func(*ruleDiff) *int64, held func(*ruleDiff) map[string]int64) {
		for _, a := range s.byID {
			if a.outside {
				continue
			}
			d := of(a.Rule)
			if a.goes() {
				*n(d)++
			}
			if a.Suppressed != "" {
				held(d)[a.Suppressed]++
			}
		}
	}
	count(would, func(d *ruleDiff) *int64 { return &d.Would }, func(d *ruleDiff) map[string]int64 { return d.WouldHeld })
	count(did, func(d *ruleDiff) *int64 { return &d.Did }, func(d *ruleDiff) map[string]int64 { return d.DidHeld })
	for rule, n := range would.caps {
		of(rule).WouldCaps = n
	}
	for rule, n := range did.caps {
		of(rule).DidCaps = n
	}
	for _, rule := range slices.Sorted(maps.Keys(byID)) {
		r.Rules = append(r.Rules, byID[rule])
	}
	byTime := func(a, b changedAlert) int { return byTime(&a.comparedAlert, &b.comparedAlert) }
	slices.SortFunc(r.Added, byTime)
	slices.SortFunc(r.Gone, byTime)
}

// differs says whether an alert was added or is gone.
func (r *report) differs() bool { return len(r.Added)+len(r.Gone) > 0 }
