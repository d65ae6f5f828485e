package schemas

import (
	"strings"

	"firstseen/schemas/jsonscan"
)

// Layout gives every field name that the loaded rules use a slot, and knows where records have it. It is immutable and
// shared by all decoders.
type Layout struct {
	slots map[string]Slot
	size  int
	wants [fieldEnd]bool // known fields that cost something to make and are asked for
	wilds []wildcard
	tree  *jsonscan.Tree // of a CloudTrail record
}

// wildcard is a name with stars: its slot gets the values of every field that matches.
type wildcard struct {
	slot    Slot
	pattern string
	known   []Slot
	within  []Field // the flattened objects in which names can match
}

// Hits in a CloudTrail record that are no fields.
const (
	hitConsoleLogin = -1 - iota
	hitTime
)

const flattened = "aws.cloudtrail.flattened."

// flat are the objects whose members are fields: the field of the whole object and its name under flattened.
var flat = []struct {
	field Field
	name  string
}{
	{fRequestText, "request_parameters"},
	{fResponseText, "response_elements"},
	{fAdditionalText, "additional_eventdata"},
	{fServiceText, "service_event_details"},
}

// NewLayout makes the layout for these names: known fields, Panther's names, members of flattened objects such as
// aws.cloudtrail.flattened.request_parameters.bucketName, and wildcards such as "user.*". A name that no record can
// have gets a slot that stays empty.
func NewLayout(names []string) *Layout {
	l := &Layout{slots: map[string]Slot{}, size: int(fieldEnd)}
	paths := []jsonscan.Path{
		{Keys: []string{"responseElements", "ConsoleLogin"}, ID: hitConsoleLogin},
		{Keys: []string{"eventTime"}, ID: hitTime},
	}
	for f, info := range fields {
		if info.path != "" {
			paths = append(paths, jsonscan.Path{Keys: strings.Split(info.path, "."), ID: int32(f)})
		}
	}
	for _, name := range names {
		if f, ok := Known(name); ok {
			l.wants[f] = true
			continue
		}
		if _, ok := l.slots[name]; ok {
			continue
		}
		slot := Slot(l.size)
		l.slots[name] = slot
		l.size++
		if strings.Contains(name, "*") {
			l.wildcard(slot, name)
			continue
		}
		paths = append(paths, flatPaths(slot, name)...)
		for _, o := range flat {
			if name == flattened+o.name { // the whole object: any of its values
				l.wilds = append(l.wilds, wildcard{slot: slot, pattern: name + ".*", within: []Field{o.field}})
			}
		}
	}
	l.tree = jsonscan.NewTree(paths)
	return l
}

// Slot returns where an event has the values of that field. Known fields have one in every layout.
func (l *Layout) Slot(name string) (Slot, bool) {
	if f, ok := Known(name); ok {
		return Slot(f), true
	}
	s, ok := l.slots[name]
	return s, ok
}

func (l *Layout) wildcard(slot Slot, pattern string) {
	w := wildcard{slot: slot, pattern: pattern}
	for f, info := range fields {
		if info.name != "" && matches(pattern, info.name) {
			w.known = append(w.known, Slot(f))
			l.wants[f] = true
		}
	}
	for _, o := range flat {
		literal, _, _ := strings.Cut(pattern, "*")
		if root := flattened + o.name + "."; strings.HasPrefix(root, literal) || strings.HasPrefix(literal, root) {
			w.within = append(w.within, o.field)
		}
	}
	l.wilds = append(l.wilds, w)
}

// fill gives the slot the values of all fields that match.
func (w *wildcard) fill(e *Event) {
	e.slots[w.slot] = e.slots[w.slot][:0]
	for _, s := range w.known {
		e.slots[w.slot] = append(e.slots[w.slot], e.Values(s)...)
	}
	for _, f := range w.within {
		o := f - fRequestText
		if e.objects[o] == nil {
			continue
		}
		jsonscan.Leaves([]byte(flattened+flat[o].name), e.objects[o], 0, func(name, text []byte, kind jsonscan.Kind, elem int32) {
			if matches(w.pattern, string(name)) {
				e.slots[w.slot] = append(e.slots[w.slot], Value{Text: text, Kind: Kind(kind), Elem: elem})
			}
		})
	}
}

// matches reports whether the name matches a pattern in which a star stands for any characters.
func matches(pattern, name string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], next
	}
}

// flatPaths returns where a flattened name can be in a record. A dot in it may be a level or part of a key, so every
// split is a path: two to the number of dots, of which more than ten are taken as levels.
func flatPaths(slot Slot, name string) (paths []jsonscan.Path) {
	rest, ok := strings.CutPrefix(name, flattened)
	if !ok {
		return nil
	}
	for _, o := range flat {
		member, ok := strings.CutPrefix(rest, o.name+".")
		if !ok {
			continue
		}
		parts := strings.Split(member, ".")
		splits := 1
		if len(parts) <= 11 {
			splits = 1 << (len(parts) - 1)
		}
		for split := range splits {
			keys := []string{fields[o.field].path, parts[0]}
			for i, part := range parts[1:] {
				if split>>i&1 == 1 {
					keys[len(keys)-1] += "." + part
				} else {
					keys = append(keys, part)
				}
			}
			paths = append(paths, jsonscan.Path{Keys: keys, ID: int32(slot)})
		}
	}
	return paths
}
