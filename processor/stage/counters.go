package stage

import "firstseen/schemas/wire"

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

// addValue counts one occurrence of a value, of which own makes a string that stays.
func (c counters) addValue(attribute string, value []byte, own func([]byte) string) counters {
	value = cutAt(value, maxCounted)
	n, least := 0, -1
	for i := range c {
		if c[i].Attribute != attribute {
			continue
		}
		if c[i].Value == string(value) {
			c[i].Count++
			return c
		}
		if n++; least < 0 || c[i].Count < c[least].Count {
			least = i
		}
	}
	if n < maxValues {
		return append(c, wire.Counter{Attribute: attribute, Value: own(value), Count: 1})
	}
	c[least].Value, c[least].Error = own(value), c[least].Count
	c[least].Count++
	return c
}

// merge adds the counters of other, which stay as they are.
func (c counters) merge(other counters) counters {
	if other.single() {
		for i := range other {
			c = c.join(&other[i])
		}
		return c
	}
	return c.mergeAll(other)
}

// single says whether there is one value of each attribute, as for a match that nothing was folded into.
func (c counters) single() bool {
	for i := range c {
		for j := range c[:i] {
			if c[i].Attribute == c[j].Attribute {
				return false
			}
		}
	}
	return len(c) < maxValues
}

// join is mergeAll for the only value of its attribute, in one walk.
func (c counters) join(o *wire.Counter) counters {
	n, least := 0, -1
	for i := range c {
		if c[i].Attribute != o.Attribute {
			continue
		}
		if c[i].Value == o.Value {
			c[i].Count += o.Count
			c[i].Error += o.Error
			return c
		}
		if n++; least < 0 || c[i].Count < c[least].Count {
			least = i
		}
	}
	if n < maxValues {
		return append(c, *o)
	}
	low := c[least].Count // it may have been met as often as the rarest, whose place it takes
	c = append(append(c[:least], c[least+1:]...), *o)
	c[len(c)-1].Count += low
	c[len(c)-1].Error += low
	return c
}

func (c counters) mergeAll(other counters) counters {
	before := len(c)
	for i := range other {
		o := &other[i]
		if j := c[:before].find(o); j >= 0 {
			c[j].Count += o.Count
			c[j].Error += o.Error
			continue
		}
		n := *o // it may have been met here as often as the rarest that is counted
		low := c[:before].low(o.Attribute)
		n.Count += low
		n.Error += low
		c = append(c, n)
	}
	for i := range c[:before] {
		if len(other) < maxValues {
			break // each value of it is counted
		}
		if other.find(&c[i]) < 0 {
			low := other.low(c[i].Attribute)
			c[i].Count += low
			c[i].Error += low
		}
	}
	for i := range other {
		for c.values(other[i].Attribute) > maxValues {
			c = c.drop(other[i].Attribute)
		}
	}
	return c
}

// drop removes the counter with the lowest number of an attribute, among equals the one added first.
func (c counters) drop(attribute string) counters {
	least := -1
	for i := range c {
		if c[i].Attribute == attribute && (least < 0 || c[i].Count < c[least].Count) {
			least = i
		}
	}
	return append(c[:least], c[least+1:]...)
}

// find returns where a counter's value is counted, or -1.
func (c counters) find(o *wire.Counter) int {
	for i := range c {
		if c[i].Attribute == o.Attribute && c[i].Value == o.Value {
			return i
		}
	}
	return -1
}

// values returns how many values of an attribute are counted.
func (c counters) values(attribute string) (n int) {
	for i := range c {
		if c[i].Attribute == attribute {
			n++
		}
	}
	return n
}

// low returns the most that a value of the attribute can have occurred without being counted.
func (c counters) low(attribute string) int64 {
	if c.values(attribute) < maxValues {
		return 0
	}
	low := int64(1<<63 - 1)
	for i := range c {
		if c[i].Attribute == attribute {
			low = min(low, c[i].Count)
		}
	}
	return low
}
