package rules

import "firstseen/schemas/wire"

// Second returns the whole second that a time in Unix milliseconds counts in. Windows are decided in whole seconds.
func Second(ms int64) int64 {
	if ms < 0 {
		return (ms+1)/1000 - 1
	}
	return ms / 1000
}

// InWindow says whether a match at second t belongs to the group's current window: the window has no lower bound, so a
// late match joins, also when the window has been reported closed. It ends a fixed time after its first match, that
// second included; a match never extends it. Any other match opens the next window.
func InWindow(w *wire.Window, t int64) bool { return t <= plus(w.Start, w.Policy.Period) }

// OpenWindow returns the window that e opens in the finding's group. The match itself is not counted yet: JoinWindow
// does that, as for all that follow. The window keeps the policy and the ruleset of this finding to its end.
func OpenWindow(f *wire.Finding, e *wire.Entry) wire.Window {
	w := wire.Window{
		Start: Second(e.Match.Time), Ruleset: f.Ruleset, Rule: f.Rule, Group: f.Group, Policy: f.Policy,
		First: *e, LastSeen: Second(e.Match.Time) * 1000,
	}
	w.First.Folded, w.First.Counters = 0, nil // counted by the window
	return w
}

// JoinWindow counts e and what is folded into it, in a record appended at the given Unix milliseconds. It reports
// whether the window's alert is due now: one of these matches is the n-th of a threshold of n. Then Reported is n,
// however many matches came with it: they are left to the closed update, so that the alert does not depend on how
// matches were combined.
func JoinWindow(w *wire.Window, e *wire.Entry, appended int64) (alert bool) {
	w.Count += 1 + e.Folded
	w.LastSeen = max(w.LastSeen, Second(e.Match.Time)*1000)
	w.JoinedAt = max(w.JoinedAt, appended)
	w.Closed = false
	threshold := max(1, w.Policy.Threshold)
	if w.Reported != 0 || w.Count < threshold {
		return false
	}
	w.Reported, w.ReachedAt = threshold, e.Match.Time
	return true
}

// SuppressWindow notes that the window's alert went to the suppressed topic: its updates belong there as well. Reported
// is negative from then on.
func SuppressWindow(w *wire.Window) { w.Reported = -max(w.Reported, -w.Reported) }

// WindowDue returns when the window closes for good measure: once the append times of its partition reach at, which is
// past its end and more than closeAfter past the last join. It is false for a window that has nothing to report: no
// alert yet, or no match since the alert or the last update. Times are Unix milliseconds.
func WindowDue(w *wire.Window, closeAfter int64) (at int64, ok bool) {
	return due(plus(w.Start, w.Policy.Period), w.JoinedAt, closeAfter), w.Reported != 0 && w.Count > reported(w)
}

// CloseWindow closes the window and says whether there is something to report: a closed update with its final count.
func CloseWindow(w *wire.Window) (update bool) {
	if _, update = WindowDue(w, 0); update {
		w.Closed = true
		if w.Reported < 0 {
			w.Reported = -w.Count
		} else {
			w.Reported = w.Count
		}
	}
	return update
}

// reported is the count in the last alert or update.
func reported(w *wire.Window) int64 { return max(w.Reported, -w.Reported) }

// due returns the first millisecond that is past the second end and more than closeAfter past joined.
func due(end, joined, closeAfter int64) int64 {
	const last = 1 << 53 // seconds; far past any date, and a thousand times it still fits
	return max((min(end, last)+1)*1000, plus(joined, closeAfter+1))
}
