package stage

import (
	"fmt"

	"firstseen/rules"
	"firstseen/schemas/wire"
)

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
