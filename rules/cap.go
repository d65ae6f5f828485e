package rules

import "firstseen/schemas/wire"

// InCap says whether an alert at second t falls into the rule's current cap window. It is the same kind of window as
// the one of a group: anchored at its first alert, never extended, without a lower bound.
func InCap(c *wire.Cap, t int64) bool { return t <= plus(c.Start, c.Policy.CapPer) }

// OpenCap returns the cap window that an alert at second t opens for its rule; e is what the alert shows. The alert
// itself is not counted yet: CountAlert does that.
func OpenCap(f *wire.Finding, e *wire.Entry, t int64) wire.Cap {
	c := wire.Cap{Start: t, Ruleset: f.Ruleset, Rule: f.Rule, Policy: f.Policy, First: *e, LastSeen: t * 1000}
	c.First.Folded, c.First.Counters = 0, nil
	return c
}

// CountAlert counts an alert of the rule at second t, in a record appended at the given Unix milliseconds. allowed
// alerts go out; the others are suppressed, and the first of these makes the window's overflow alert. Nothing is lost:
// the suppressed topic has every alert over the cap.
func CountAlert(c *wire.Cap, t, appended int64) (allowed, overflow bool) {
	c.LastSeen = max(c.LastSeen, t*1000)
	c.JoinedAt = max(c.JoinedAt, appended)
	c.Closed = false
	if c.Alerts < c.Policy.CapCount {
		c.Alerts++
		return true, false
	}
	c.Suppressed++
	if c.Reported > 0 {
		return false, false
	}
	c.Reported = 1
	return false, true
}

// CapDue is WindowDue for a cap window: what it has to report are alerts suppressed since the overflow alert or its
// last update.
func CapDue(c *wire.Cap, closeAfter int64) (at int64, ok bool) {
	return due(plus(c.Start, c.Policy.CapPer), c.JoinedAt, closeAfter), c.Reported > 0 && c.Suppressed > c.Reported
}

// CloseCap closes the cap window and says whether there is something to report: an update of the overflow alert with
// the final number.
func CloseCap(c *wire.Cap) (update bool) {
	if _, update = CapDue(c, 0); update {
		c.Closed, c.Reported = true, c.Suppressed
	}
	return update
}
