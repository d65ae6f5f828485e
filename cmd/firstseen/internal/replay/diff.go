package replay

import (
	"cmp"
	"maps"
	"slices"

	"firstseen/schemas/alert"
)

// alertSet is one side of a comparison: what would alert, or what did. Updates of an alert, its other formats, and the
// alert made once more are one.
type alertSet struct {
	byID    map[string]*comparedAlert
	capped  map[string]bool  // ids of the alerts that say that a cap was reached
	caps    map[string]int64 // how many of these each rule has, in the range
	n       int64            // of byID, in the range
	outside func(*comparedAlert) bool
}

func newAlertSet(outside func(*comparedAlert) bool) *alertSet {
	return &alertSet{byID: map[string]*comparedAlert{}, capped: map[string]bool{}, caps: map[string]int64{}, outside: outside}
}

// add takes a document.
func (s *alertSet) add(a *comparedAlert) {
	a.outside = s.outside(a)
	old := s.byID[a.ID]
	switch {
	case a.kind == alert.Gap:
	case s.capped[a.ID]:
	case a.kind == alert.Overflow:
		s.capped[a.ID] = true
		if !a.outside {
			s.caps[a.Rule]++
		}
	case old == nil:
		s.byID[a.ID] = a
		if !a.outside {
			s.n++
		}
	case !old.Origin.known() && a.Origin.known(): // another format, which says more
		a.Suppressed = old.Suppressed
		s.byID[a.ID] = a
	}
}

// alertPair is an alert of each side, or of one alone.
type alertPair struct {
	Would *comparedAlert `json:"would,omitempty"`
	Did   *comparedAlert `json:"did,omitempty"`
	// PartOf is the id of the other side's alert whose window has the events of this one: windows are anchored where the
	// first one began, and over a stretch of time one more or less may fit.
	PartOf string `json:"part_of,omitempty"`
}

// comparison pairs the alerts of two sides.
type comparison struct {
	history    func(rule string) int64 // milliseconds
	would, did []*comparedAlert        // not paired so far, by time
	same       []alertPair             // the same id
	moved      []alertPair             // the same group or terms at about the same time, or the same event
}

// compareAlerts pairs by id, which is rule, terms or group, and event; what is left by the event alone, then by what it
// is about: terms within the rule's history, windows that overlap.
func compareAlerts(would, did *alertSet, history func(rule string) int64) *comparison {
	c := &comparison{history: history, would: slices.SortedFunc(maps.Values(would.byID), byTime), did: slices.SortedFunc(maps.Values(did.byID), byTime)}
	windows := map[string][]*comparedAlert{}
	for _, a := range slices.Concat(c.would, c.did) {
		if a.end != 0 {
			windows[a.about()] = append(windows[a.about()], a)
		}
	}
	always := func(_, _ *comparedAlert) bool { return true }
	c.pair(&c.same, func(a *comparedAlert) string { return a.ID }, always)
	c.pair(&c.moved, func(a *comparedAlert) string {
		if !a.Origin.known() {
			return ""
		}
		return a.Rule + "\x00" + a.Origin.String()
	}, always)
	inside := func(a *comparedAlert) bool { return !a.outside }
	c.would, c.did = filter(c.would, inside), filter(c.did, inside)
	c.pair(&c.moved, (*comparedAlert).about, c.near)
	c.edges(windows, did)
	return c
}

func byTime(a, b *comparedAlert) int {
	x, y := &a.Origin, &b.Origin
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Offset, y.Offset),
		cmp.Compare(x.Line, y.Line), cmp.Compare(x.Index, y.Index), cmp.Compare(a.ID, b.ID))
}

func filter(list []*comparedAlert, keep func(*comparedAlert) bool) (kept []*comparedAlert) {
	for _, a := range list {
		if keep(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

// near says whether two alerts about the same can stand for each other.
func (c *comparison) near(a, b *comparedAlert) bool {
	reach := c.history(a.Rule)
	if a.end != 0 {
		reach = max(a.end-a.at, b.end-b.at)
	}
	return max(a.at-b.at, b.at-a.at) <= reach
}

// pair moves alerts of both sides that have the same key and are near to a list of pairs, each with the first it can.
func (c *comparison) pair(to *[]alertPair, key func(*comparedAlert) string, near func(a, b *comparedAlert) bool) {
	open := map[string][]*comparedAlert{}
	for _, d := range c.did {
		if k := key(d); k != "" {
			open[k] = append(open[k], d)
		}
	}
	taken := map[*comparedAlert]bool{}
	c.would = filter(c.would, func(w *comparedAlert) bool {
		k := key(w)
		for len(open[k]) > 0 {
			d := open[k][0]
			switch {
			case near(w, d):
				open[k] = open[k][1:]
				taken[d] = true
				if !w.outside || !d.outside {
					*to = append(*to, alertPair{Would: w, Did: d})
				}
				return false
			case d.at > w.at:
				return true
			}
			open[k] = open[k][1:] // too early for this one, and so for those that follow
		}
		return true
	})
	c.did = filter(c.did, func(d *comparedAlert) bool { return !taken[d] })
}

// edges finds the windows that are over at an end of the range. Where a group never falls silent for its period, windows
// that began at another event stay apart for ever: then one side has one window more, but never two.
func (c *comparison) edges(windows map[string][]*comparedAlert, did *alertSet) {
	left := map[string]int{}
	for _, a := range slices.Concat(c.would, c.did) {
		left[a.about()]++
	}
	explained := func(a *comparedAlert) bool {
		if a.end == 0 || left[a.about()] != 1 {
			return false
		}
		ours := did.byID[a.ID] == a
		for _, b := range windows[a.about()] {
			if (did.byID[b.ID] == b) != ours && b.end-b.at == a.end-a.at && c.near(a, b) {
				p := alertPair{Would: a, PartOf: b.ID}
				if ours {
					p = alertPair{Did: a, PartOf: b.ID}
				}
				c.moved = append(c.moved, p)
				return true
			}
		}
		return false
	}
	unexplained := func(a *comparedAlert) bool { return !explained(a) }
	c.would, c.did = filter(c.would, unexplained), filter(c.did, unexplained)
}
