package stage

import (
	"container/heap"
	"fmt"
	"math"

	"firstseen/rules"
	"firstseen/schemas/wire"
)

// dueKey is a window or cap and the append time at which it closes, or an earlier one.
type dueKey struct {
	at  int64 // Unix milliseconds
	key string
}

// dueHeap has the key that closes first at the front; keys that close together come in the order of their bytes. A
// window that got more matches closes later, never earlier, so it stays in its place and is put back when its turn
// comes: the order in which windows close follows from the state alone.
type dueHeap []dueKey

// Len, Less, Swap, Push and Pop are container/heap's.
func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].key < h[j].key
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(dueKey)) }
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func (h *dueHeap) push(d dueKey) { heap.Push(h, d) }
func (h *dueHeap) pop() dueKey   { return heap.Pop(h).(dueKey) }

// queue remembers that a key closes at the given time.
func (g *Group) queue(at int64, key []byte) {
	if !g.queued[string(key)] {
		d := dueKey{at: at, key: string(key)}
		g.queued[d.key] = true
		g.due.push(d)
	}
}

// Open prepares the stage for the partition's state as the view has it, read up to the append time timestamp (Unix
// milliseconds, wire.Offset.InputTimestamp). To be called when the partition is taken over and after every transaction
// that did not commit. Errors are those of Record.
func (g *Group) Open(view View, timestamp int64) error {
	g.now = timestamp
	g.due = g.due[:0]
	clear(g.queued)
	err := view.Scan([]byte{WindowKind}, func(key, value []byte) error {
		var w wire.Window
		if err := wire.ViewWindow(value, &w, &g.window.memory); err != nil {
			return err
		}
		if at, ok := rules.WindowDue(&w, g.cfg.CloseAfter); ok {
			g.queue(at, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("open windows: %w", err)
	}
	err = view.Scan([]byte{CapKind}, func(key, value []byte) error {
		var c wire.Cap
		if err := wire.DecodeCap(value, &c); err != nil {
			return err
		}
		if at, ok := rules.CapDue(&c, g.cfg.CloseAfter); ok {
			g.queue(at, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("open caps: %w", err)
	}
	return nil
}

// Close reports every window and cap that has something to report, as at the end of a scan. Errors are those of Record.
func (g *Group) Close(view *Overlay, lookup RuleLookup) ([]Output, error) {
	g.begin(view, 0, lookup)
	return g.end(view, g.closeDue(math.MaxInt64))
}

// closeDue closes what is due at append time now.
func (g *Group) closeDue(now int64) error {
	for len(g.due) > 0 && g.due[0].at <= now {
		d := g.due.pop()
		delete(g.queued, d.key)
		g.popped = append(g.popped, d)
		close := g.dueWindow
		if d.key[0] == CapKind {
			close = g.dueCap
		}
		if err := close([]byte(d.key), d.at); err != nil {
			return err
		}
	}
	return nil
}

// dueWindow closes a window whose time may have come: it is put back if it got matches in the meantime.
func (g *Group) dueWindow(key []byte, at int64) error {
	w, ok, err := g.viewWindow(key)
	if err != nil || !ok {
		return err
	}
	switch due, ok := rules.WindowDue(w, g.cfg.CloseAfter); {
	case !ok:
		return nil
	case due > at:
		g.queue(due, key)
		return nil
	}
	if err := g.closeWindow(w); err != nil {
		return err
	}
	return g.storeWindow(key, w)
}

// dueCap is dueWindow for a cap.
func (g *Group) dueCap(key []byte, at int64) error {
	var c wire.Cap
	ok, err := g.load(key, func(value []byte) error { return wire.DecodeCap(value, &c) })
	if err != nil || !ok {
		return err
	}
	switch due, ok := rules.CapDue(&c, g.cfg.CloseAfter); {
	case !ok:
		return nil
	case due > at:
		g.queue(due, key)
		return nil
	}
	if err := g.closeCap(&c); err != nil {
		return err
	}
	return g.putCap(key, &c)
}
