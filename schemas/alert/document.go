package alert

import (
	"slices"
	"strconv"
	"strings"
	"time"

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
}

// value is the JSON at [from, to) of a document.
type value struct {
	path     string
	from, to int
}

func newDocument(room int) *document {
	return &document{room: room}
}

// end takes what was appended to d.json since from as the value of the path. The nesting of a path costs at most its
// own length and six bytes a level; what levels share is counted again, on the safe side.
func (d *document) end(path string, from int) {
	cost := len(d.json) - from + len(path) + 6*(1+strings.Count(path, "."))
	if cost > d.room {
		d.json = d.json[:from]
		d.full = true
		return
	}
	d.room -= cost
	d.values = append(d.values, value{path, from, len(d.json)})
}

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
	return time.UnixMilli(min(max(ms, first), last)).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}
