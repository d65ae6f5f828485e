package kql

import (
	"bytes"
	"net/netip"
	"slices"

	"firstseen/schemas"
)

// test is a compiled condition on an event. Tests are pure and hold no state, so that goroutines share them.
type test interface {
	match(e *schemas.Event, in element) bool
	cost() int // relative time, to ask cheap questions first
}

// element says which values count: those of one element of an array, or all.
type element struct {
	index  int32
	one    bool // only the element index
	sorted bool // every field of the nested clause has its values in the order of the elements
}

type (
	always      struct{}
	allOf       []test
	anyOf       []test
	noneOf      struct{ test }
	someElement struct {
		slots []schemas.Slot
		test
	}
	someValue struct {
		slot schemas.Slot
		predicate
	}
	// eventTime is @timestamp: the decoder has parsed it, bounded it, and found one where the record had none.
	eventTime struct{ spans *within[int64] }
)

func (always) match(*schemas.Event, element) bool { return true }

func (t allOf) match(e *schemas.Event, in element) bool {
	for _, x := range t {
		if !x.match(e, in) {
			return false
		}
	}
	return true
}

func (t anyOf) match(e *schemas.Event, in element) bool {
	for _, x := range t {
		if x.match(e, in) {
			return true
		}
	}
	return false
}

func (t noneOf) match(e *schemas.Event, in element) bool { return !t.test.match(e, in) }

func (t eventTime) match(e *schemas.Event, _ element) bool { return t.spans.contains(e.Time) }

func (t someValue) match(e *schemas.Event, in element) bool {
	values := e.Values(t.slot)
	if in.sorted {
		values = values[search(values, in.index):]
	}
	for i := range values {
		if in.one && values[i].Elem != in.index {
			if in.sorted {
				return false
			}
			continue
		}
		if t.holds(&values[i]) {
			return true
		}
	}
	return false
}

// search finds the first value of the element or a later one.
func search(values []schemas.Value, index int32) int {
	low, high := 0, len(values)
	for low < high {
		if mid := (low + high) / 2; values[mid].Elem < index {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// match tries every element that has a value of the fields asked for. Inside another nested clause it would be the same element
// of the same outermost array, so that one is kept.
func (t someElement) match(e *schemas.Event, in element) bool {
	if in.one {
		exists := slices.ContainsFunc(t.slots, func(s schemas.Slot) bool { return someValue{s, present{}}.match(e, in) })
		return exists && t.test.match(e, in)
	}
	in = element{one: true, sorted: true}
	for _, slot := range t.slots {
		values := e.Values(slot)
		for i := 1; i < len(values) && in.sorted; i++ {
			in.sorted = values[i-1].Elem <= values[i].Elem
		}
	}
	for _, slot := range t.slots {
		for i, v := range e.Values(slot) {
			if i > 0 && v.Elem == in.index {
				continue
			}
			in.index = v.Elem
			if t.test.match(e, in) {
				return true
			}
		}
	}
	return false
}

func (always) cost() int        { return 0 }
func (eventTime) cost() int     { return 1 }
func (t allOf) cost() int       { return total(t) }
func (t anyOf) cost() int       { return total(t) }
func (t someElement) cost() int { return 50 + 10*t.test.cost() }

func total(tests []test) int {
	n := 0
	for _, t := range tests {
		n += t.cost()
	}
	return n
}

// predicate is a compiled condition on one value.
type predicate interface {
	holds(v *schemas.Value) bool
	cost() int
}

type (
	present    struct{}
	fewTexts   []string            // compared one by one
	textSet    map[string]struct{} // many
	pattern    [][]byte            // the pieces between the wildcards
	either     []predicate
	textBounds struct { // a range over a keyword field
		op      op
		text    []byte
		number  float64
		numeric bool
	}
	within[T any] struct { // a typed value in a sorted list of spans
		domain[T]
		spans []span[T]
		read  func(text string) (T, bool)
		price int
	}
)

func (present) holds(*schemas.Value) bool { return true }

func (p fewTexts) holds(v *schemas.Value) bool {
	for _, text := range p {
		if string(v.Text) == text {
			return true
		}
	}
	return false
}

func (p textSet) holds(v *schemas.Value) bool {
	_, ok := p[string(v.Text)]
	return ok
}

// holds finds the pieces from left to right, each as early as possible; that is enough for * and never steps back.
func (p pattern) holds(v *schemas.Value) bool {
	text, last := v.Text, len(p)-1
	if !bytes.HasPrefix(text, p[0]) {
		return false
	}
	text = text[len(p[0]):]
	for _, piece := range p[1:last] {
		i := bytes.Index(text, piece)
		if i < 0 {
			return false
		}
		text = text[i+len(piece):]
	}
	return bytes.HasSuffix(text, p[last])
}

func (p either) holds(v *schemas.Value) bool {
	for _, x := range p {
		if x.holds(v) {
			return true
		}
	}
	return false
}

func (p *textBounds) holds(v *schemas.Value) bool {
	c := bytes.Compare(v.Text, p.text)
	if p.numeric && v.Kind == schemas.Number {
		n, ok := number(view(v.Text))
		if !ok {
			return false
		}
		c = numbers.order(n, p.number)
	}
	switch p.op {
	case less:
		return c < 0
	case lessEqual:
		return c <= 0
	case greater:
		return c > 0
	}
	return c >= 0
}

func (p *within[T]) holds(v *schemas.Value) bool {
	x, ok := p.read(view(v.Text))
	return ok && p.contains(x)
}

func (p *within[T]) contains(x T) bool {
	low, high := 0, len(p.spans)
	for low < high { // the first span that does not end before x
		if mid := (low + high) / 2; p.order(p.spans[mid].high, x) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(p.spans) && p.order(p.spans[low].low, x) <= 0
}

func (present) cost() int      { return 1 }
func (p fewTexts) cost() int   { return 1 + len(p) }
func (textSet) cost() int      { return 8 }
func (p pattern) cost() int    { return 6 + len(p) }
func (*textBounds) cost() int  { return 5 }
func (p *within[T]) cost() int { return p.price }
func (p either) cost() int {
	n := 0
	for _, x := range p {
		n += x.cost()
	}
	return n
}

func inNumbers(spans []span[float64]) predicate {
	return &within[float64]{numbers, numbers.merge(spans), number, 12}
}

func inTimes(spans []span[int64]) *within[int64] {
	return &within[int64]{times, times.merge(spans), instant, 30}
}

func inAddresses(spans []span[netip.Addr]) predicate {
	return &within[netip.Addr]{addresses, addresses.merge(spans), address, 20}
}
