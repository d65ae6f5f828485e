package rulefile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// decoder turns nodes into values and notes what is wrong with them. A value with a problem stays zero.
type decoder struct {
	file     *source
	from     map[*yaml.Node]*source // nodes that overrides put in; all others are of the file
	problems Errors
	uses     []use
	keys     map[string][]string // for the test of the JSON Schema: what each kind of mapping may hold
}

// problem notes what is wrong with a node, at the offset in its value if it is a scalar.
func (d *decoder) problem(n *yaml.Node, offset int, format string, args ...any) *Problem {
	src := d.source(n)
	line, col := src.at(n, offset)
	d.problems = append(d.problems, Problem{File: src.name, Line: line, Col: col, Message: fmt.Sprintf(format, args...)})
	return &d.problems[len(d.problems)-1]
}

// source is the text that a node was read from.
func (d *decoder) source(n *yaml.Node) *source {
	if src := d.from[n]; src != nil {
		return src
	}
	return d.file
}

// place is the file and the line of a node.
func (d *decoder) place(n *yaml.Node) (file string, line int) {
	src := d.source(n)
	line, _ = src.at(n, 0)
	return src.name, line
}

type (
	read   func(*yaml.Node)
	fields map[string]read
)

// object reads a mapping with the given keys and returns the nodes of those it has. A key whose value is null counts as
// not written. The name is that of the kind in the JSON Schema.
func (d *decoder) object(n *yaml.Node, name string, keys fields) map[string]*yaml.Node {
	names := make([]string, 0, len(keys))
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names)
	if d.keys != nil {
		d.keys[name] = names
	}
	if n.Kind != yaml.MappingNode {
		d.problem(n, 0, "%s: want keys (%s), got %s", name, strings.Join(names, ", "), kindOf(n))
		return nil
	}
	seen := make(map[string]*yaml.Node)
	for key, value := range pairs(n) {
		switch read, known := keys[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			d.problem(key, 0, "%s: a key must be a word, not %s", name, kindOf(key))
		case !known:
			d.problem(key, 0, "unknown key %q in %s", key.Value, name).Suggestion = Nearest(key.Value, names)
		case seen[key.Value] != nil:
			d.problem(key, 0, "%s: %q is there twice", name, key.Value)
		case isNull(value):
		default:
			seen[key.Value] = value
			read(value)
		}
	}
	return seen
}

// require notes the keys that a mapping lacks.
func (d *decoder) require(n *yaml.Node, name string, seen map[string]*yaml.Node, keys ...string) {
	if seen == nil {
		return // not even a mapping
	}
	for _, key := range keys {
		if seen[key] == nil {
			d.problem(n, 0, "%s: %q is missing", name, key)
		}
	}
}

func (d *decoder) list(n *yaml.Node, name string, each read) {
	if n.Kind != yaml.SequenceNode {
		d.problem(n, 0, "%s: want a list, got %s", name, kindOf(n))
		return
	}
	for _, item := range n.Content {
		each(item)
	}
}

// text reads a scalar that is not empty. A number or a truth value where text is wanted is a slip, except where the key
// takes either.
func (d *decoder) text(n *yaml.Node, name string, to *string) bool {
	switch tag := n.ShortTag(); {
	case n.Kind != yaml.ScalarNode || tag != "!!str" && tag != "!!timestamp":
		d.problem(n, 0, "%s: want text, got %s", name, kindOf(n))
	case strings.TrimSpace(n.Value) == "":
		d.problem(n, 0, "%s is empty", name)
	default:
		*to = strings.TrimRight(n.Value, " \t\r\n") // how a block scalar ends is formatting
		return true
	}
	return false
}

func (d *decoder) readText(name string, to *string) read {
	return func(n *yaml.Node) { d.text(n, name, to) }
}

func (d *decoder) readTexts(name string, to *[]string) read {
	return func(n *yaml.Node) {
		*to = nil
		d.list(n, name, func(item *yaml.Node) {
			var s string
			if d.text(item, name, &s) {
				*to = append(*to, s)
			}
		})
	}
}

func (d *decoder) readOne(name string, to *string, words ...string) read {
	return func(n *yaml.Node) {
		if !slices.Contains(words, n.Value) || n.Kind != yaml.ScalarNode {
			d.problem(n, 0, "%s: want one of %s, got %s", name, strings.Join(words, ", "), shown(n)).Suggestion = Nearest(n.Value, words)
			return
		}
		*to = n.Value
	}
}

func (d *decoder) readNumber(name string, to *int64, least, most int64) read {
	return func(n *yaml.Node) {
		v, err := strconv.ParseInt(n.Value, 10, 64)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
			d.problem(n, 0, "%s: want a whole number, got %s", name, shown(n))
		} else if v < least || v > most {
			d.problem(n, 0, "%s: want %d to %d, got %d", name, least, most, v)
		} else {
			*to = v
		}
	}
}

var units = map[byte]int64{'s': 1000, 'm': 60_000, 'h': 3_600_000, 'd': 86_400_000}

// longest is the longest duration, a hundred years: as good as forever, and sums of it still fit.
const longest = 36_500 * 86_400_000

// ParseDuration reads a duration like 90s, 15m, 12h or 7d and returns milliseconds. It is above 0 and at most 36500d.
func ParseDuration(s string) (int64, error) {
	if s == "" || units[s[len(s)-1]] == 0 {
		return 0, fmt.Errorf("%q is no duration: write 90s, 15m, 12h or 7d", s)
	}
	unit := units[s[len(s)-1]]
	v, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if err != nil || v == 0 {
		return 0, fmt.Errorf("%q is no duration: write 90s, 15m, 12h or 7d", s)
	}
	if v > uint64(longest/unit) {
		return 0, fmt.Errorf("%q is longer than 36500d", s)
	}
	return int64(v) * unit, nil
}

func (d *decoder) readDuration(name string, to *int64) read {
	return func(n *yaml.Node) {
		v, err := ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode {
			d.problem(n, 0, "%s: want a duration, got %s", name, kindOf(n))
		} else if err != nil {
			d.problem(n, 0, "%s: %v", name, err).Suggestion = nearestDuration(n.Value)
		} else {
			*to = v
		}
	}
}

// nearestDuration knows that "7 days" and "7D" are 7d, and that 1h30m is 90m.
func nearestDuration(s string) string {
	short := strings.ToLower(strings.Join(strings.Fields(s), ""))
	short = short[:min(len(short), strings.IndexAny(short+"s", "smhd")+1)]
	if sum, err := time.ParseDuration(s); err == nil && sum >= time.Second && sum%time.Second == 0 {
		short = FormatDuration(sum.Milliseconds())
	}
	if _, err := ParseDuration(short); err != nil || short == s {
		return ""
	}
	return short
}

// pairs yields the keys and values of a mapping.
func pairs(n *yaml.Node) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// isOff says whether the value switches a part of the rule off.
func isOff(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Value == Off }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number (quote it)"
	}
	return "text"
}

func shown(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return kindOf(n)
	}
	return strconv.Quote(clip(n.Value))
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}
