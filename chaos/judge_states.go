package main

import (
	"fmt"
	"maps"
	"strings"

	"firstseen/internal/proof"
	"firstseen/processor"
	"firstseen/processor/stage"
	"firstseen/processor/verify"
	"firstseen/schemas/wire"
	"firstseen/traffic"
)

// readStates compares the stores with the answer.
func (c *court) readStates(dirs []string) error {
	var disks []proof.Disk
	for _, dir := range dirs {
		disks = append(disks, proof.Disk{Dir: dir})
	}
	stored, err := proof.ReadStates(disks, c.r.Partitions, func(dir string, err error) {
		c.skipped[dir] = true
		c.line("%s is not looked at: %v", dir, err)
	})
	if err != nil {
		return err
	}
	c.compareTerms(stored)
	c.compareWindows(stored)
	c.compareCaps(stored)
	return c.comparePositions(stored)
}

// compareTerms compares the terms of both rules.
func (c *court) compareTerms(stored *proof.States) {
	left, swept := map[string]bool{}, 0
	for key := range stored.Terms {
		left[key] = true
	}
	for _, of := range []struct {
		rule  string
		terms terms
	}{{traffic.NewTermsRule, c.answer.builtin}, {cappedRule, c.answer.capped}} {
		id := c.rules.Rule(of.rule).State()
		for address, t := range of.terms.of {
			key := string(stage.TermKey(nil, id, []string{address}))
			got, ok := stored.Terms[key]
			delete(left, key)
			d := proof.Difference{Kind: proof.Term, Rule: of.rule, Key: address}
			switch {
			case ok && t.is(got):
			case ok:
				d.Detail = fmt.Sprintf("seen %d times from %d to %d, it was %s", got.Count, got.FirstSeen, got.LastSeen, t)
			case c.answer.now.Sub(t.last) > of.terms.history: // nobody will ask for it any more
				swept++
			default:
				d.Detail = "it is not there; it was seen " + t.String()
			}
			if d.Detail != "" {
				c.diff = append(c.diff, d)
			}
		}
	}
	for key := range left {
		c.diff = append(c.diff, proof.Difference{Kind: proof.Term, Key: fmt.Sprintf("%q", key), Detail: "this was never seen"})
	}
	c.line("%d terms, %d more were swept", len(stored.Terms), swept)
}

// is reports whether what is stored is this term, in one of the lives it may have.
func (t *term) is(got wire.Term) bool {
	for _, l := range t.lives {
		if got.FirstSeen == l.first.UnixMilli() && got.Count == t.count-l.before && got.LastSeen == t.last.UnixMilli() {
			return true
		}
	}
	return false
}

func (t *term) String() string {
	var s []string
	for _, l := range t.lives {
		s = append(s, fmt.Sprintf("%d times from %d to %d", t.count-l.before, l.first.UnixMilli(), t.last.UnixMilli()))
	}
	return strings.Join(s, " or ")
}

// compareWindows compares the current windows of both rules, and what they think they have reported with the alerts.
func (c *court) compareWindows(stored *proof.States) {
	left := map[string]wire.Window{}
	for key, w := range stored.Windows {
		left[key] = w
	}
	for rule, all := range map[string]windows{traffic.AllowlistRule: c.answer.buckets, crossedRule: c.crossed.windows} {
		for group, list := range all {
			w := list[len(list)-1]
			got, ok := left[rule+" "+w.eventID]
			delete(left, rule+" "+w.eventID)
			d := proof.Difference{Kind: proof.Window, Rule: rule, EventID: w.eventID, Key: strings.ReplaceAll(group, "\x00", " ")}
			switch {
			case !ok:
				d.Detail = "it is not there"
			case got.Start != w.start || got.Count != w.count || got.LastSeen != w.last*1000:
				d.Detail = fmt.Sprintf("from %d, %d matches up to %d; it was from %d, %d up to %d", got.Start, got.Count, got.LastSeen/1000, w.start, w.count, w.last)
			case got.Reported != c.reported(proof.Alert{Rule: rule, EventID: w.eventID}):
				d.Detail = fmt.Sprintf("%d matches are reported; in the alerts it is %d", got.Reported, c.reported(proof.Alert{Rule: rule, EventID: w.eventID}))
			default:
				continue
			}
			c.diff = append(c.diff, d)
		}
	}
	for _, w := range left {
		c.diff = append(c.diff, proof.Difference{Kind: proof.Window, Rule: w.Rule, EventID: w.First.Match.EventID, Key: strings.ReplaceAll(w.Group, "\x00", " "), Detail: "this is not the current window"})
	}
	c.line("%d windows", len(stored.Windows))
}

// reported is the count that an alert has come to in the alerts topic.
func (c *court) reported(a proof.Alert) int64 { return int64(c.alerts.Reported(a)) }

// compareCaps compares the current window of the one cap there is. Which findings it let through depends on the order in
// which they came, so it is known from them, and what it has reported from the alerts.
func (c *court) compareCaps(stored *proof.States) {
	left := maps.Clone(stored.Caps)
	if n := len(c.crossed.caps); n > 0 {
		w, key := c.crossed.caps[n-1], string(stage.CapKey(nil, c.rules.Rule(cappedRule).State()))
		got, ok := left[key]
		delete(left, key)
		reported := c.reported(proof.Alert{Rule: cappedRule, EventID: w.eventID, Overflow: true})
		d := proof.Difference{Kind: proof.Cap, Rule: cappedRule, EventID: w.eventID}
		switch {
		case !ok:
			d.Detail = "it is not there"
		case got.First.Match.EventID != w.eventID || got.Start != w.start || got.LastSeen != w.last*1000:
			d.Detail = fmt.Sprintf("from %d with %s, up to %d; it was from %d, up to %d", got.Start, got.First.Match.EventID, got.LastSeen/1000, w.start, w.last)
		case got.Alerts != w.alerts || got.Suppressed != w.suppressed:
			d.Detail = fmt.Sprintf("%d alerts and %d suppressed; it was %d and %d", got.Alerts, got.Suppressed, w.alerts, w.suppressed)
		case got.Reported != reported:
			d.Detail = fmt.Sprintf("%d suppressed are reported; in the alerts it is %d", got.Reported, reported)
		}
		if d.Detail != "" {
			c.diff = append(c.diff, d)
		}
	}
	for key, cap := range left {
		c.diff = append(c.diff, proof.Difference{Kind: proof.Cap, Rule: cap.Rule, EventID: cap.First.Match.EventID, Key: fmt.Sprintf("%q", key), Detail: "this rule has no cap"})
	}
	c.line("%d caps", len(stored.Caps))
}

// verify compares every range of every store with its changelog, as `state verify` does.
func (c *court) verify(dirs []string) error {
	cfg := processor.Config{App: c.r.App, Instance: "judge", Client: c.conn, Rules: c.rules, Version: "chaos"}
	for _, s := range c.r.Sources {
		cfg.Sources = append(cfg.Sources, processor.Source{Topic: s})
	}
	keys, ranges := 0, 0
	for _, dir := range dirs {
		if c.skipped[dir] {
			continue
		}
		cfg.StateDir = dir
		differs := func(d verify.Difference) {
			c.diff = append(c.diff, proof.Difference{Kind: proof.Store, Topic: c.r.App + "." + string(d.Stage) + ".changelog", Partition: d.Partition, Key: fmt.Sprintf("%q", d.Key),
				Detail: fmt.Sprintf("%s: the store has %x, its changelog %x", dir, d.Store, d.Topic)})
		}
		told := func(v verify.Compared) {
			if keys, ranges = keys+v.Keys, ranges+1; v.Wrong != "" {
				c.diff = append(c.diff, proof.Difference{Kind: proof.Store, Topic: c.r.App + "." + string(v.Stage) + ".changelog", Partition: v.Partition, Detail: dir + ": " + v.Wrong})
			}
		}
		if err := verify.Compare(c.ctx, cfg, dir, -1, differs, told); err != nil {
			return fmt.Errorf("compare %s with the changelogs: %w", dir, err)
		}
	}
	c.line("%d keys in %d ranges are as in their changelogs", keys, ranges)
	return nil
}
