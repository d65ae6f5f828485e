package literal

import (
	"bytes"
	"math"
	"slices"
	"strings"
)

// Needle is a literal, searched for by its rarest byte; the next rarest spares most comparisons of the whole.
type Needle struct {
	text       string
	rare, next int
}

// commonFirst are the bytes of CloudTrail records, the most frequent one first (counted over the 2,900 records of the
// invictus-ir dataset).
const commonFirst = `"earts:n-oi2c,1dum30.7AlpI8v94/wfSb g65yCTDEh{}NRHPMVQFzqxZkUjKB()GOL+JX;_W[]Y\%=*'!$&?`

// rank is higher for rarer bytes.
func rank(c byte) int {
	if r := strings.IndexByte(commonFirst, c); r >= 0 {
		return r
	}
	return len(commonFirst)
}

// New returns a needle.
func New(text string) Needle {
	rare := 0
	for i := range len(text) {
		if rank(text[i]) > rank(text[rare]) {
			rare = i
		}
	}
	return newNeedle(text, rare)
}

// newNeedle returns a needle that is searched for by the byte at rare.
func newNeedle(text string, rare int) Needle {
	n := Needle{text: text, rare: rare}
	if rare == 0 && len(text) > 1 {
		n.next = 1
	}
	for i := range len(text) {
		if i != rare && rank(text[i]) > rank(text[n.next]) {
			n.next = i
		}
	}
	return n
}

// Text returns the literal.
func (n *Needle) Text() string { return n.text }

// at reports whether the literal begins at start.
func (n *Needle) at(record []byte, start int) bool {
	return record[start+n.next] == n.text[n.next] && string(record[start:start+len(n.text)]) == n.text
}

// Index is bytes.Index; that one looks for the first byte, this one for the rarest.
func (n *Needle) Index(record []byte) int {
	last := len(record) - len(n.text) + n.rare // where the rarest byte can be at most
	for at := n.rare; at <= last; at++ {
		i := bytes.IndexByte(record[at:last+1], n.text[n.rare])
		if i < 0 {
			return -1
		}
		if at += i; n.at(record, at-n.rare) {
			return at - n.rare
		}
	}
	return -1
}

// search looks for several literals at once, by a byte that all of them have.
type search struct {
	by      byte
	needles []Needle
}

// found reports whether the record has one of the literals.
func (s *search) found(record []byte) bool {
	for at := 0; at < len(record); at++ {
		i := bytes.IndexByte(record[at:], s.by)
		if i < 0 {
			return false
		}
		at += i
		for k := range s.needles {
			n := &s.needles[k]
			if start := at - n.rare; start >= 0 && len(record)-start >= len(n.text) && n.at(record, start) {
				return true
			}
		}
	}
	return false
}

// newSearches covers the literals with searches: one by one the byte that costs least for each literal that has it. A
// search costs what reading the record does, about as much as two or three hits of the byte, and its hits.
func newSearches(texts []string) (list []search) {
	texts = slices.Clone(texts)
	for len(texts) > 0 {
		best, least := byte(0), math.Inf(1)
		for c := range 256 {
			n := 0
			for _, text := range texts {
				if strings.IndexByte(text, byte(c)) >= 0 {
					n++
				}
			}
			if cost := (2.5 + hits(byte(c))) / float64(n); n > 0 && cost < least {
				best, least = byte(c), cost
			}
		}
		s := search{by: best}
		texts = slices.DeleteFunc(texts, func(text string) bool {
			i := strings.IndexByte(text, best)
			if i >= 0 {
				s.needles = append(s.needles, newNeedle(text, i))
			}
			return i >= 0
		})
		list = append(list, s)
	}
	return list
}

// hits is about how often a record of 1.5 KB has the byte: it halves every 13 ranks.
func hits(c byte) float64 { return 118 * math.Exp2(-float64(rank(c))/13.4) }
