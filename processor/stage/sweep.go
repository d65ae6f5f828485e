package stage

import (
	"fmt"

	"firstseen/rules"
	"firstseen/schemas/wire"
)

// maxTick is what one record can add to the sweep clock, in milliseconds.
const maxTick = 60_000

// Advance returns the sweep clock and the highest append time of a partition, both in milliseconds, after a record
// appended at timestamp was read. The clock rises with the append times, but by at most a minute a record: it stands
// still while nothing is read, so that after an outage, in a back-fill or with a clock gone wrong nothing is taken for
// old that was not yet due for a comparison.
func Advance(clock, highest, timestamp int64) (newClock, newHighest int64) {
	if timestamp <= highest {
		return clock, highest
	}
	return clock + min(timestamp-highest, maxTick), timestamp
}

// Sweep deletes those of the keys whose sweep deadline clock has passed. The keys come from the stored state, which may
// be older than the view: a key updated in this transaction is looked at as it is now. A window that has not reported
// all of its matches yet stays until it has. It returns how many went; its error says that a value cannot be read.
func Sweep(view *Overlay, clock int64, keys [][]byte) (swept int, err error) {
	var value []byte
	for _, key := range keys {
		if value, _, err = view.Get(value[:0], key); err != nil {
			return swept, fmt.Errorf("sweep: %w", err)
		}
		if at, ok := wire.SweepAt(value); !ok || clock <= at {
			continue
		}
		pending, err := unreported(key[0], value)
		if err != nil {
			return swept, fmt.Errorf("sweep: %w", err)
		}
		if !pending {
			view.Delete(key)
			swept++
		}
	}
	return swept, nil
}

// unreported says whether a value is a window or a cap that still has something to report.
func unreported(kind byte, value []byte) (pending bool, err error) {
	switch kind {
	case WindowKind:
		var w wire.Window
		err = wire.DecodeWindow(value, &w)
		_, pending = rules.WindowDue(&w, 0)
	case CapKind:
		var c wire.Cap
		err = wire.DecodeCap(value, &c)
		_, pending = rules.CapDue(&c, 0)
	}
	return pending, err
}
