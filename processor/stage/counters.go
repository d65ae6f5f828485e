package stage

import (
	"slices"

	"firstseen/schemas/wire"
)

const (
	// maxValues is how many values of one summary attribute are counted.
	maxValues = 16
	// maxCounted is how many bytes of a value are told apart.
	maxCounted = 256
)

// counters are the most frequent values of summary attributes: SpaceSaving (Metwally, Agrawal, El Abbadi 2005) with 16
// counters an attribute, mergeable (Agarwal et al. 2012). For every value:
//
//   - counted, its true number is between Count-Error and Count;
//   - not counted, its true number is at most the lowest Count of its attribute.
//
// While an attribute has at most 16 values all numbers are exact, and in the order in which the values were first met.
type counters []wire.Counter

// look returns where o's value is counted. If it is not, at is -1, n is how many values of its attribute are, and least
// is where the first is of those with the lowest number, or -1.
func (c counters) look(o *wire.Counter) (at, n, least int) {
	least = -1
	for i := range c {
		if c[i].Attribute != o.Attribute {
			continue
		}
		if c[i].Value == o.Value {
			return i, 0, 0
		}
		if n++; least < 0 || c[i].Count < c[least].Count {
			least = i
		}
	}
	return -1, n, least
}

// addValue counts one occurrence of a value, of which own makes a string that stays.
func (c counters) addValue(attribute string, value []byte, own func([]byte) string) counters {
	value = cutAt(value, maxCounted)
	at, n, least := c.look(&wire.Counter{Attribute: attribute, Value: view(value)})
	switch {
	case at >= 0:
		c[at].Count++
	case n < maxValues:
		c = append(c, wire.Counter{Attribute: attribute, Value: own(value), Count: 1})
	default:
		c[least].Value, c[least].Error = own(value), c[least].Count
		c[least].Count++
	}
	return c
}

// merge adds the counters of other, which stay as they are.
func (c counters) merge(other counters) counters {
	if !other.single() {
		return c.mergeAll(other)
	}
	for i := range other {
		c = c.join(&other[i])
	}
	return c
}

// single says whether there is one value of each attribute, as for a match that nothing was folded into.
func (c counters) single() bool {
	for i := range c {
		if c[:i].has(c[i].Attribute) {
			return false
		}
	}
	return len(c) < maxValues
}

func (c counters) has(attribute string) bool {
	for i := range c {
		if c[i].Attribute == attribute {
			return true
		}
	}
	return false
}

// join is mergeAll for the only value of its attribute, in one walk.
func (c counters) join(o *wire.Counter) counters {
	at, n, least := c.look(o)
	if at >= 0 {
		c[at].Count += o.Count
		c[at].Error += o.Error
		return c
	}
	low := int64(0)
	if n >= maxValues {
		low = c[least].Count // it may have been met as often as the rarest, whose place it takes
		c = slices.Delete(c, least, least+1)
	}
	c = append(c, *o)
	c[len(c)-1].Count += low
	c[len(c)-1].Error += low
	return c
}

func (c counters) mergeAll(other counters) counters {
	before := len(c)
	for i := range other {
		o := &other[i]
		at, n, least := c[:before].look(o)
		if at >= 0 {
			c[at].Count += o.Count
			c[at].Error += o.Error
			continue
		}
		c = append(c, *o)
		if n >= maxValues { // it may have been met here as often as the rarest that is counted
			c[len(c)-1].Count += c[least].Count
			c[len(c)-1].Error += c[least].Count
		}
	}
	for i := range c[:before] {
		if len(other) < maxValues {
			break // each value of it is counted
		}
		if at, n, least := other.look(&c[i]); at < 0 && n >= maxValues {
			c[i].Count += other[least].Count
			c[i].Error += other[least].Count
		}
	}
	if len(c) == before {
		return c
	}
	for i := range other {
		if !other[:i].has(other[i].Attribute) {
			c = c.trim(other[i].Attribute)
		}
	}
	return c
}

// trim removes those values of an attribute that are too many: the ones with the lowest number, among equals the first.
func (c counters) trim(attribute string) counters {
	var room [2 * maxValues]int
	at := room[:0] // of the attribute's values
	for i := range c {
		if c[i].Attribute == attribute {
			at = append(at, i)
		}
	}
	if len(at) <= maxValues {
		return c
	}
	for len(at) > maxValues {
		least := 0
		for n, i := range at {
			if c[i].Count < c[at[least]].Count {
				least = n
			}
		}
		c[at[least]].Count = removed
		at = slices.Delete(at, least, least+1)
	}
	return slices.DeleteFunc(c, func(o wire.Counter) bool { return o.Count == removed })
}

// removed is the number of a value that is no longer counted.
const removed = -1 << 63
