package alert

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"firstseen/schemas/internal/times"
	"firstseen/schemas/wire"
)

// MaxBytes is the size that no document exceeds.
const MaxBytes = 256_000

// document collects values by the dotted path of their field and writes them as one JSON object, nested and in the
// order of the paths. A path that is there already keeps its value, so what is added first cannot be replaced by what
// an event says. Empty strings and unknown times are not added, nor is what there is no room for.
//
// Paths consist of letters, digits, _ and @, which all sort behind the dot.
type document struct {
	room   int  // bytes that can still be added
	full   bool // something had no room
	json   []byte
	values []value
	slots  *slots // of paths that have a place; nil: all are values
}

// value is the JSON at [from, to) of a document.
type value struct {
	path     string
	from, to int
}

func newDocument(room int) *document {
	return &document{room: room}
}

// reset makes the document empty.
func (d *document) reset(room int) {
	d.room, d.full, d.json, d.values = room, false, d.json[:0], d.values[:0]
	if d.slots != nil {
		clear(d.slots[:len(places)])
	}
}

// end takes what was appended to d.json since from as the value of the path.
func (d *document) end(path string, from int) {
	if d.slots != nil {
		if i, ok := placeOf(path); ok {
			d.endAt(i, from)
			return
		}
	}
	if d.pay(from, costOf(path)) {
		d.values = append(d.values, value{path, from, len(d.json)})
	}
}

// endAt is end for the path of a place.
func (d *document) endAt(i, from int) {
	if d.pay(from, places[i].cost) && d.slots[i].to == 0 {
		d.slots[i] = slot{int32(from), int32(len(d.json))}
	}
}

// pay takes the room for what was appended since from, or takes that back if there is not enough.
func (d *document) pay(from, nesting int) bool {
	cost := len(d.json) - from + nesting
	if cost > d.room {
		d.json = d.json[:from]
		d.full = true
		return false
	}
	d.room -= cost
	return true
}

// costOf returns what the nesting of a path costs: at most its own length and six bytes a level. What levels share is
// counted again, on the safe side.
func costOf(path string) int { return len(path) + 6*(1+strings.Count(path, ".")) }

// object adds an object.
func (d *document) object(path string, o *document) {
	from := len(d.json)
	d.json = o.appendTo(d.json)
	d.full = d.full || o.full
	d.end(path, from)
}

// text adds a string, cut at MaxText characters.
func (d *document) text(path, s string) { d.long(path, s, MaxText) }

// long adds a string, cut at a number of characters.
func (d *document) long(path, s string, most int) {
	if s != "" {
		d.always(path, s, most)
	}
}

// always adds a string, also an empty one.
func (d *document) always(path, s string, most int) {
	from := len(d.json)
	d.json = appendString(d.json, s, most)
	d.end(path, from)
}

// texts adds an array of strings, [] for none. What is over 64 strings is left out.
func (d *document) texts(path string, list []string) {
	if len(list) > 64 {
		list, d.full = list[:64], true
	}
	from := len(d.json)
	d.json = append(d.json, '[')
	for i, s := range list {
		if i > 0 {
			d.json = append(d.json, ',')
		}
		d.json = appendString(d.json, s, MaxText)
	}
	d.json = append(d.json, ']')
	d.end(path, from)
}

// objects adds an array of objects.
func (d *document) objects(path string, list ...*document) {
	from := len(d.json)
	d.json = append(d.json, '[')
	for i, o := range list {
		if i > 0 {
			d.json = append(d.json, ',')
		}
		d.json = o.appendTo(d.json)
		d.full = d.full || o.full
	}
	d.json = append(d.json, ']')
	d.end(path, from)
}

// addresses adds an array of addresses.
func (d *document) addresses(path string, list []netip.Addr) {
	from := len(d.json)
	d.json = append(d.json, '[')
	for i, ip := range list {
		if i > 0 {
			d.json = append(d.json, ',')
		}
		d.json = append(ip.AppendTo(append(d.json, '"')), '"')
	}
	d.json = append(d.json, ']')
	d.end(path, from)
}

// hex adds bytes as a string of hexadecimal digits.
func (d *document) hex(path string, b []byte) {
	if len(b) > 0 {
		from := len(d.json)
		d.json = append(hex.AppendEncode(append(d.json, '"'), b[:min(len(b), MaxText/2)]), '"')
		d.end(path, from)
	}
}

// id adds an id.
func (d *document) id(path string, id uuid.UUID) {
	from := len(d.json)
	d.json = append(appendID(append(d.json, '"'), id), '"')
	d.end(path, from)
}

func appendID(dst []byte, id uuid.UUID) []byte {
	for i, part := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

func (d *document) number(path string, n int64) {
	from := len(d.json)
	d.json = strconv.AppendInt(d.json, n, 10)
	d.end(path, from)
}

func (d *document) boolean(path string, b bool) {
	from := len(d.json)
	d.json = strconv.AppendBool(d.json, b)
	d.end(path, from)
}

// time adds a time as RFC 3339 in UTC with milliseconds.
func (d *document) time(path string, ms int64) {
	if ms == wire.NoTime {
		return
	}
	from := len(d.json)
	d.json = append(appendTime(append(d.json, '"'), ms), '"')
	d.end(path, from)
}

// appendTo appends the object to dst.
func (d *document) appendTo(dst []byte) []byte {
	if d.slots != nil {
		if len(d.values) == 0 {
			return d.appendSlots(dst)
		}
		for i, v := range d.slots[:len(places)] {
			if v.to > 0 {
				d.values = append(d.values, value{places[i].path, int(v.from), int(v.to)})
			}
		}
	}
	slices.SortStableFunc(d.values, func(a, b value) int { return strings.Compare(a.path, b.path) })
	dst = append(dst, '{')
	last := "" // the path written before
	for i, v := range d.values {
		if i > 0 && (v.path == last || strings.HasPrefix(v.path, last+".")) {
			continue // has a value, or is inside of one
		}
		shared := sharedLevels(last, v.path)
		if i > 0 {
			for range strings.Count(last[shared:], ".") {
				dst = append(dst, '}')
			}
			dst = append(dst, ',')
		}
		rest := v.path[shared:]
		for name, inner, more := strings.Cut(rest, "."); ; name, inner, more = strings.Cut(inner, ".") {
			dst = append(append(append(dst, '"'), name...), '"', ':')
			if !more {
				break
			}
			dst = append(dst, '{')
		}
		dst = append(dst, d.json[v.from:v.to]...)
		last = v.path
	}
	for range strings.Count(last, ".") {
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// sharedLevels returns the length of the levels, dots included, that two paths have in common.
func sharedLevels(a, b string) int {
	shared := 0
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == '.' {
			shared = i + 1
		}
	}
	return shared
}

// appendTime appends a time in Unix milliseconds as RFC 3339, which knows the years 1 to 9999.
func appendTime(dst []byte, ms int64) []byte {
	const first, last = -62135596800000, 253402300799999
	return times.Append(dst, min(max(ms, first), last))
}
