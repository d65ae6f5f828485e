package schemas

import (
	"bytes"

	"firstseen/schemas/internal/literal"
	"firstseen/schemas/jsonscan"
)

// A list is the elements of an array while they are decoded.
//
// A bad element must not take its neighbours with it, whatever is wrong with it. Counting brackets does not tell where
// an element ends that lacks one. But records begin alike: the mark is how the first one begins, {"eventVersion" or the
// same with line breaks. In valid JSON a mark is never within a string, where a quote has a backslash before it. So
// what lies between two marks is taken for an element if its brackets are even; if not it is read closely, and behind
// a bad element the next mark is where to go on.
type list struct {
	data []byte
	mark literal.Needle
	next int // where the next mark is; len(data) if there is none

	wrong int // bytes looked at for wrong guesses
}

// usualMark is for a list whose first element has none.
var usualMark = literal.New(`{"eventVersion"`)

func listAt(data []byte, i int) list {
	l := list{data: data, mark: usualMark, next: -1}
	if i < len(data) && data[i] == '{' {
		if quote := jsonscan.Space(data, i+1); quote < len(data) && data[quote] == '"' {
			n := bytes.IndexByte(data[quote+1:min(len(data), quote+40)], '"')
			if n > 0 && string(data[i:quote+n+2]) != usualMark.Text() {
				l.mark = literal.New(string(data[i : quote+n+2]))
			}
		}
	}
	return l
}

// after returns where the first mark behind i is.
func (l *list) after(i int) int {
	if l.next <= i {
		if n := l.mark.Index(l.data[i+1:]); n >= 0 {
			l.next = i + 1 + n
		} else {
			l.next = len(l.data)
		}
	}
	return l.next
}

// guess returns the end of the object at i if it is plain to see, else 0. Guessing wrong costs up to the next mark, so
// there is an end to it.
func (l *list) guess(i int) (end int) {
	next := l.after(i)
	if next == len(l.data) || l.wrong > 4*len(l.data) {
		return 0
	}
	if end = beforeComma(l.data, i, next); end > 0 && isObject(l.data[i:end]) {
		return end
	}
	l.wrong += next - i
	return 0
}

// read returns the end of the element at i; with a reason it is no good, or breaks off there.
func (l *list) read(d *Decoder, i int) (end int, reason Reason) {
	end, reason = d.skipTo(l.data, i)
	if reason != "" {
		return end, reason
	}
	if n := jsonscan.Space(l.data, end); n < len(l.data) && l.data[n] != ',' && l.data[n] != ']' {
		d.budget -= end - i
		return end, InvalidJSON
	}
	if l.after(i) < end {
		if reason := d.parse(noTree, l.data[i:end]); reason != "" {
			d.budget -= end - i
			return end, reason
		}
	}
	return end, ""
}

var noTree = jsonscan.NewTree(nil)

// beforeComma returns the end of the object between i and the comma before next, 0 if it does not look like one.
func beforeComma(data []byte, i, next int) int {
	for next--; next > i && data[next] <= ' '; next-- {
	}
	if data[next] != ',' {
		return 0
	}
	for next--; next > i && data[next] <= ' '; next-- {
	}
	if data[i] != '{' || data[next] != '}' {
		return 0
	}
	return next + 1
}

// isObject reports whether the brace that closes the first one is the last byte. Braces in strings count, too: for an
// object that has any it may be false. What is no object may only pass if braces are missing where others are in
// strings.
func isObject(b []byte) bool {
	var c braceCount
	return c.closing(b) == len(b)
}

// braceCount looks for the brace that closes the first one.
type braceCount struct{ at, level int }

// closing returns the index after that brace, 0 if it is not there: then it goes on behind the data when called with more.
func (c *braceCount) closing(data []byte) int {
	for {
		n := bytes.IndexByte(data[c.at:], '}')
		if n < 0 {
			c.level += bytes.Count(data[c.at:], opening)
			c.at = len(data)
			return 0
		}
		c.level += bytes.Count(data[c.at:c.at+n], opening)
		for c.at += n; c.at < len(data) && data[c.at] == '}'; {
			c.at++
			if c.level--; c.level <= 0 {
				return c.at
			}
		}
	}
}

var opening = []byte("{")

// objectLine returns the end of the object at i if it is plain to see that the line holds one object and no more, else
// 0. In a value that goes on in the next line, a comma or a bracket would follow. more says that data may go on.
func objectLine(data []byte, i int, more bool) (end int) {
	window := data[i:min(len(data), i+maxLine)]
	n := bytes.IndexByte(window, '\n')
	if n < 0 {
		return 0
	}
	next := jsonscan.Space(data, i+n)
	if next >= len(data) && more || next < len(data) && bytes.IndexByte([]byte(",]}"), data[next]) >= 0 {
		return 0
	}
	for n > 0 && window[n-1] <= ' ' {
		n--
	}
	if n > 1 && window[n-1] == '}' && isObject(window[:n]) {
		return i + n
	}
	return 0
}

// maxLine is how far objectLine looks for the end of the line.
const maxLine = 16 << 10

// elements decodes the elements of an array, from after its bracket, each by decode, and returns the index after the
// array. It is not ok if the array breaks off; then all up to next has become dead letters.
func (d *Decoder) elements(data []byte, i, level int, decode func(d *Decoder, data []byte, i, end, level int) Reason) (next int, ok bool) {
	l := listAt(data, jsonscan.Space(data, i))
	for comma := false; ; {
		if i = jsonscan.Space(data, i); i >= len(data) {
			return d.remains(data, i, i, Truncated), false
		}
		if data[i] == ']' && !(comma && l.after(i) < len(data)) {
			return i + 1, true
		}
		var reason Reason
		end := l.guess(i)
		if end > 0 {
			reason = decode(d, data, i, end, level)
		}
		if end == 0 || reason == InvalidJSON {
			if end, reason = l.read(d, i); reason == "" {
				reason = decode(d, data, i, end, level)
			} else if next := l.after(i); next < len(data) {
				end = next
			} else if end == len(data) || reason == Truncated {
				return d.remains(data, i, end, reason), false
			}
		}
		if reason != "" {
			if reason == Truncated { // but others follow
				reason = InvalidJSON
			}
			// A bracket in the wrong place may have ended the element, and what is left of it is no element.
			if next := l.after(i); reason == InvalidJSON && next < len(data) && next > end && !beginsElement(data, end) {
				end = next
			}
			d.dead(reason, "", bytes.TrimRight(data[i:end], ", \t\r\n"))
		}
		i = jsonscan.Space(data, end)
		if comma = i < len(data) && data[i] == ','; comma {
			i++
		}
	}
}

// beginsElement reports whether a comma and a record follow at i.
func beginsElement(data []byte, i int) bool {
	if i = jsonscan.Space(data, i); i >= len(data) || data[i] != ',' {
		return false
	}
	i = jsonscan.Space(data, i+1)
	return i < len(data) && data[i] == '{' && sniff(data, i) != sniffNothing
}

// recordElement decodes an element that is a record, or another thing that can be a message.
func (d *Decoder) recordElement(data []byte, i, end, level int) (bad Reason) {
	raw := data[i:end]
	if raw[0] != '{' {
		d.dead(UnknownShape, "an element that is no object", raw)
		return ""
	}
	kind := sniff(raw, 0)
	v := isNone
	if kind != sniffNothing {
		v, bad = d.record(raw, kind, true)
	}
	if v == isNone {
		ended := d.ended
		d.envelope(data[:end], i, level, kind)
		d.ended = ended // that was the end of the element
	}
	return bad
}

var logTree = jsonscan.NewTree([]jsonscan.Path{{Keys: []string{"message"}}})

// logElement decodes a log event of CloudWatch Logs. It and its list are one envelope.
func (d *Decoder) logElement(data []byte, i, end, level int) (bad Reason) {
	raw := data[i:end]
	if reason := d.parse(logTree, raw); reason != "" {
		return reason
	}
	switch {
	case len(d.parser.Hits) == 0 || d.parser.Hits[0].Kind != jsonscan.Text:
		d.dead(UnknownShape, "a log event without a message", raw)
	default:
		h := d.parser.Hits[0]
		d.enter(raw[h.Start-1:h.End+1], level)
	}
	return ""
}
