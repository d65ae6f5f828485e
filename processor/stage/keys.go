package stage

import (
	"encoding/binary"

	"firstseen/schemas/wire"
)

// The kinds of state, which are the first byte of a state key. The second to ninth are the rule's state id.
const (
	TermKind   byte = 1 // detect: wire.Term by terms
	WindowKind byte = 2 // group: wire.Window by group
	CapKind    byte = 3 // group: wire.Cap, one a rule
)

// TermKey appends the state key of a rule's terms.
func TermKey(dst []byte, state wire.StateID, terms []string) []byte {
	return appendTerms(append(append(dst, TermKind), state[:]...), terms)
}

// WindowKey appends the state key of a group's window.
func WindowKey(dst []byte, state wire.StateID, group string) []byte {
	return append(append(append(dst, WindowKind), state[:]...), group...)
}

// CapKey appends the state key of a rule's cap window.
func CapKey(dst []byte, state wire.StateID) []byte {
	return append(append(dst, CapKind), state[:]...)
}

// candidateKey is what the candidates of a rule are partitioned by: the source address if it is one of the terms, so that
// one worker sees all of an address, else all terms.
func candidateKey(terms []string, source int) []byte {
	if source >= 0 {
		return []byte(terms[source])
	}
	return appendTerms(nil, terms)
}

// appendTerms appends terms so that no two lists of the same length look alike: all but the last with their length
// before them. One term, the usual case, is just its bytes.
func appendTerms[T string | []byte](dst []byte, terms []T) []byte {
	for i, term := range terms {
		if i < len(terms)-1 {
			dst = binary.AppendUvarint(dst, uint64(len(term)))
		}
		dst = append(dst, term...)
	}
	return dst
}
