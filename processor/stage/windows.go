package stage

import (
	"fmt"

	"firstseen/rules"
	"firstseen/schemas/wire"
)

// finding decides on the entries of a finding.
func (g *Group) finding(f *wire.Finding) error {
	g.cap = capWindow{}
	if err := g.entries(f, &g.cap); err != nil {
		return fmt.Errorf("finding of rule %s: %w", f.Rule, err)
	}
	return g.storeCap(&g.cap)
}

func (g *Group) entries(f *wire.Finding, c *capWindow) error {
	if f.Held || f.Policy.Period <= 0 { // no dedup: every match alerts
		for i := range f.Entries {
			e := &f.Entries[i]
			g.counted.Entries++
			g.counted.Matches += 1 + e.Folded
			if _, err := g.alert(f, e, nil, c); err != nil {
				return err
			}
		}
		return nil
	}
	g.key = WindowKey(g.key[:0], f.State, f.Group)
	w, open, err := g.viewWindow(g.key)
	if err != nil {
		return err
	}
	for i := range f.Entries {
		e := &f.Entries[i]
		g.counted.Entries++
		g.counted.Matches += 1 + e.Folded
		t := rules.Second(e.Match.Time)
		if !open || !rules.InWindow(w, t) {
			if open {
				if err := g.closeWindow(w); err != nil {
					return err
				}
			}
			sweepAt := w.SweepAt
			clear(w.Counters)
			*w, open = rules.OpenWindow(f, e), true
			w.SweepAt, w.Counters = sweepAt, g.window.counters[:0]
		}
		if err := g.join(f, w, e, c); err != nil {
			return err
		}
	}
	w.SweepAt = rules.SweepAt(w.SweepAt, g.clock, w.Policy.Period*1000)
	return g.storeWindow(g.key, w)
}

// join counts an entry into the current window and makes the window's alert when it is due.
func (g *Group) join(f *wire.Finding, w *wire.Window, e *wire.Entry, c *capWindow) error {
	due := rules.JoinWindow(w, e, g.now)
	g.window.counters = counters(w.Counters).merge(e.Counters)
	w.Counters = g.window.counters
	if !due {
		return nil
	}
	opened := wire.Finding{Ruleset: w.Ruleset, Rule: w.Rule, State: f.State, Group: w.Group, Policy: w.Policy}
	suppressed, err := g.alert(&opened, &w.First, w, c)
	if suppressed {
		rules.SuppressWindow(w)
	}
	return err
}

// viewWindow reads a window from the state, through the turn's writes; it is empty if there is none. All of it is memory
// of the Group, valid until the next; its counters can be added to.
func (g *Group) viewWindow(key []byte) (w *wire.Window, ok bool, err error) {
	at := &g.window
	clear(at.counters)
	at.Window, at.counters = wire.Window{}, at.counters[:0]
	at.value, ok, err = g.writes.Get(at.value[:0], key)
	if err == nil && ok {
		err = wire.ViewWindow(at.value, &at.Window, &at.memory)
	}
	if err != nil {
		return nil, false, err
	}
	at.counters = append(at.counters, at.Counters...)
	at.Counters = at.counters
	return &at.Window, ok, nil
}

// load reads a value of the state through the turn's writes.
func (g *Group) load(key []byte, decode func([]byte) error) (ok bool, err error) {
	if g.value, ok, err = g.writes.Get(g.value[:0], key); err != nil || !ok {
		return false, err
	}
	return true, decode(g.value)
}

// storeWindow writes a window, and remembers to close it if that will be worth a report.
func (g *Group) storeWindow(key []byte, w *wire.Window) (err error) {
	if g.value, err = wire.AppendWindow(g.value[:0], w); err != nil {
		return fmt.Errorf("window of rule %s: %w", w.Rule, err)
	}
	g.writes.Put(key, g.value)
	if at, ok := rules.WindowDue(w, g.cfg.CloseAfter); ok {
		g.queue(at, key)
	}
	return nil
}

// capWindow is the cap of the finding's rule while its entries are decided on; it is read when the first alert comes.
type capWindow struct {
	wire.Cap
	key  []byte // nil: not read yet
	open bool
}

// allow counts an alert of f at second t against the rule's cap. first is what the alert shows. overflow says that this
// alert is the first over the cap.
func (g *Group) allow(f *wire.Finding, first *wire.Entry, t int64, c *capWindow) (allowed, overflow bool, err error) {
	if f.Policy.CapCount <= 0 {
		return true, false, nil
	}
	if c.key == nil {
		c.key = CapKey(nil, f.State)
		if c.open, err = g.load(c.key, func(value []byte) error { return wire.DecodeCap(value, &c.Cap) }); err != nil {
			return false, false, err
		}
	}
	if !c.open || !rules.InCap(&c.Cap, t) {
		if c.open {
			if err := g.closeCap(&c.Cap); err != nil {
				return false, false, err
			}
		}
		sweepAt := c.SweepAt
		c.Cap, c.open = rules.OpenCap(f, first, t), true
		c.SweepAt = sweepAt
	}
	allowed, overflow = rules.CountAlert(&c.Cap, t, g.now)
	return allowed, overflow, nil
}

// storeCap writes the cap if it was used, and remembers to close it if that will be worth a report.
func (g *Group) storeCap(c *capWindow) (err error) {
	if c.key == nil {
		return nil
	}
	c.SweepAt = rules.SweepAt(c.SweepAt, g.clock, c.Policy.CapPer*1000)
	return g.putCap(c.key, &c.Cap)
}

func (g *Group) putCap(key []byte, c *wire.Cap) (err error) {
	if g.value, err = wire.AppendCap(g.value[:0], c); err != nil {
		return fmt.Errorf("cap of rule %s: %w", c.Rule, err)
	}
	g.writes.Put(key, g.value)
	if at, ok := rules.CapDue(c, g.cfg.CloseAfter); ok {
		g.queue(at, key)
	}
	return nil
}
