package stage

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"unicode/utf8"
)

// Records and alerts must stay small whatever a record of the input contains. Titles, terms, groups and counted values
// are bounded by the rules, each value of evidence by the event.
const (
	maxEventID  = 1024     // bytes
	maxEvidence = 16 << 10 // bytes of all values
)

// boundID returns the id of an event as alerts are identified by. One that is too long is cut and ends in the SHA-256
// of all of it: two long ones are the same only if they are the same to the last byte.
func boundID(id []byte) string {
	if len(id) <= maxEventID {
		return string(id)
	}
	sum := sha256.Sum256(id)
	return string(cutAt(id, maxEventID-1-2*len(sum))) + "#" + hex.EncodeToString(sum[:])
}

// cutAt returns at most n bytes, without the beginning of a character that ends later.
func cutAt(value []byte, n int) []byte {
	if len(value) <= n {
		return value
	}
	end := n
	for end > 0 && end > n-utf8.UTFMax && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}

// boundEvidence bounds the evidence that begins at from in buf, in place: if there is too much, every field keeps its
// first value only. Values are bounded themselves (schemas.Event.AppendEvidence).
func boundEvidence(buf []byte, from int) []byte {
	if len(buf)-from <= maxEvidence {
		return buf
	}
	rest, kept, last := buf[from:], buf[:from], uint64(1<<64-1)
	for len(rest) > 0 {
		field, n := binary.Uvarint(rest)
		size, m := binary.Uvarint(rest[max(n, 0):])
		if n <= 0 || m <= 0 || size > uint64(len(rest)-n-m) {
			break
		}
		pair := rest[:n+m+int(size)]
		rest = rest[len(pair):]
		if field != last {
			kept = append(kept, pair...)
		}
		last = field
	}
	return kept
}
