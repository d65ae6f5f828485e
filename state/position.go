package state

import (
	"encoding/binary"
	"fmt"

	"firstseen/schemas/wire"
)

// Position is how far a range has come: it contains its changelog up to, and without, ChangelogNext, and with that its
// stage's input up to InputNext.
type Position struct {
	ChangelogID   [16]byte // topic id of the changelog
	ChangelogNext int64    // offset in the changelog partition
	Barrier       Barrier
	wire.Offset
}

// Barrier is the last record that was consumed from the changelog: the barrier, unless the restore was interrupted. Only
// consumed records carry their leader epoch, so it is what tells whether the log still is the one that was read.
//
// Timestamp is when the last barrier that was reached was written, or for a range that began empty and has reached none,
// the one written before its first record was read: until then no tombstone can have been missed.
type Barrier struct {
	Offset    int64
	Epoch     int32
	Timestamp int64 // Unix milliseconds, the broker's
}

// AsOf is the time up to which the range is known to have missed no tombstone, in Unix milliseconds of the brokers'
// clocks: of those written later, it may lack what it has not read.
func (p Position) AsOf() int64 { return max(p.Barrier.Timestamp, p.InputTimestamp) }

// at reports whether two positions are the same point of the same changelog.
func (p Position) at(q Position) bool {
	return p.ChangelogID == q.ChangelogID && p.ChangelogNext == q.ChangelogNext
}

func (p Position) String() string {
	return fmt.Sprintf("changelog %x:%d", p.ChangelogID[:4], p.ChangelogNext)
}

// appendPosition encodes a position as it is on disk: positionVersion, the two ids, then the numbers as varints.
func appendPosition(dst []byte, p Position) []byte {
	dst = append(dst, positionVersion)
	dst = append(dst, p.ChangelogID[:]...)
	dst = append(dst, p.InputTopicID[:]...)
	for _, n := range [...]int64{p.ChangelogNext, p.Barrier.Offset, int64(p.Barrier.Epoch), p.Barrier.Timestamp,
		p.InputNext, p.SweepClock, p.InputTimestamp} {
		dst = binary.AppendVarint(dst, n)
	}
	return dst
}

// decodePosition fails with ErrFormat for a position of a later version and for anything that is none.
func decodePosition(src []byte) (p Position, err error) {
	if len(src) == 0 || src[0] == 0 || src[0] > positionVersion {
		return p, fmt.Errorf("position % x: %w", src[:min(len(src), 1)], ErrFormat)
	}
	if len(src) < 33 {
		return p, fmt.Errorf("position of %d bytes: %w", len(src), ErrFormat)
	}
	copy(p.ChangelogID[:], src[1:])
	copy(p.InputTopicID[:], src[17:])
	rest := src[33:]
	var epoch int64
	for _, to := range [...]*int64{&p.ChangelogNext, &p.Barrier.Offset, &epoch, &p.Barrier.Timestamp,
		&p.InputNext, &p.SweepClock, &p.InputTimestamp} {
		v, n := binary.Varint(rest)
		if n <= 0 {
			return Position{}, fmt.Errorf("position is cut short: %w", ErrFormat)
		}
		*to, rest = v, rest[n:]
	}
	if p.Barrier.Epoch = int32(epoch); len(rest) > 0 || int64(p.Barrier.Epoch) != epoch {
		return Position{}, fmt.Errorf("position with %d bytes too many: %w", len(rest), ErrFormat)
	}
	return p, nil
}
