package jsonscan

import "slices"

// Kind is the JSON type of a hit.
type Kind uint8

// The kinds. Null is no hit.
const (
	Text Kind = iota
	Number
	Bool
	Object
	Array
)

// maxRepeats is how many repeated keys a value may have that are wanted: each costs a look at the hits so far. AWS
// writes none, and many parsers refuse the first.
const maxRepeats = 1000

// Hit is a wanted value. Data[Start:End] is its text: that of a string without the quotes, and through Unquote unless
// it is plain.
type Hit struct {
	ID         int32
	Start, End int32
	Elem       int32 // index in the outermost array around the value, else 0
	Kind       Kind
	Plain      bool

	node int32
}

// Parser parses values by a Tree. It reuses its buffers; one goroutine, one parser.
type Parser struct {
	Hits []Hit // of the last Parse, in the order of the text

	tree    *Tree
	data    []byte
	bound   int
	fault   Fault
	at      int     // where the fault is
	seen    []int32 // per node the number of the object that had it last, to notice repeated keys
	next    int32   // number of the next object
	key     []byte  // an unquoted key
	folded  []byte  // a folded one
	repeats int     // keys that their object had before
}

// Parse reads the value that begins at i, white space before it included, validates it and leaves the wanted values in
// Hits. It returns the index after the value, or where the fault is. If an object has a key twice the last one counts,
// as in encoding/json. The data must be shorter than 2 GiB.
func (p *Parser) Parse(tree *Tree, data []byte, i, maxDepth int) (end int, fault Fault) {
	p.Hits, p.fault, p.repeats = p.Hits[:0], None, 0
	if p.tree != tree {
		p.tree, p.seen = tree, make([]int32, len(tree.nodes))
	}
	if p.next > 1<<30 {
		clear(p.seen)
		p.next = 0
	}
	p.data, p.bound = data, maxDepth
	end = p.value(Space(data, i), 0, -1, 0)
	p.data = nil
	if end < 0 {
		return p.at, p.fault
	}
	return end, None
}

func (p *Parser) fail(at int, fault Fault) int {
	p.at, p.fault = at, fault
	return -1
}

// value reads one value. n is its node, -1 if nothing in it is wanted; elem is the index in the outermost array, or -1
// outside of arrays. It returns the index after the value or -1.
func (p *Parser) value(i int, n, elem int32, depth int) int {
	data := p.data
	if i >= len(data) {
		return p.fail(i, Truncated)
	}
	var (
		end   int
		fault Fault
		kind  Kind
	)
	switch data[i] {
	case '"':
		var plain bool
		if end, plain, fault = String(data, i+1); fault != None {
			return p.fail(end, fault)
		}
		if n >= 0 {
			p.hit(n, Text, i+1, end, elem, plain)
		}
		return end + 1
	case '{':
		if depth >= p.bound {
			return p.fail(i, TooDeep)
		}
		kind, end = Object, p.object(i+1, n, elem, depth+1)
	case '[':
		if depth >= p.bound {
			return p.fail(i, TooDeep)
		}
		kind, end = Array, p.array(i+1, n, elem, depth+1)
	case 't':
		kind = Bool
		end, fault = literal(data, i, "true")
	case 'f':
		kind = Bool
		end, fault = literal(data, i, "false")
	case 'n':
		n = -1
		end, fault = literal(data, i, "null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		kind = Number
		end, fault = number(data, i)
	default:
		return p.fail(i, Syntax)
	}
	if fault != None {
		return p.fail(end, fault)
	}
	if n >= 0 && end >= 0 {
		p.hit(n, kind, i, end, elem, true)
	}
	return end
}

func (p *Parser) hit(n int32, kind Kind, start, end int, elem int32, plain bool) {
	for _, id := range p.tree.nodes[n].ids {
		p.Hits = append(p.Hits, Hit{ID: id, Start: int32(start), End: int32(end), Elem: max(elem, 0), Kind: kind, Plain: plain, node: n})
	}
}

// object reads the members of an object, from after its brace.
func (p *Parser) object(i int, n, elem int32, depth int) int {
	data := p.data
	if n >= 0 && p.tree.nodes[n].children == nil {
		n = -1
	}
	p.next++
	object, first := p.next, len(p.Hits)
	if i = Space(data, i); i < len(data) && data[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return p.fail(i, endOr(data, i))
		}
		start := i + 1
		end, plain, fault := String(data, start)
		if fault != None {
			return p.fail(end, fault)
		}
		child := int32(-1)
		if n >= 0 {
			child = p.member(n, data[start:end], plain, object, first)
		}
		// Nearly all JSON has the value right after the colon.
		if i = end + 1; i >= len(data) || data[i] != ':' {
			if i = Space(data, i); i >= len(data) || data[i] != ':' {
				return p.fail(i, endOr(data, i))
			}
		}
		if i++; i < len(data) && data[i] <= ' ' {
			i = Space(data, i)
		}
		if p.repeats > maxRepeats {
			return p.fail(start, Syntax)
		}
		if i = p.value(i, child, elem, depth); i < 0 {
			return i
		}
		if i < len(data) && data[i] <= ' ' {
			i = Space(data, i)
		}
		switch {
		case i >= len(data):
			return p.fail(i, Truncated)
		case data[i] == '}':
			return i + 1
		case data[i] != ',':
			return p.fail(i, Syntax)
		}
		if i++; i < len(data) && data[i] <= ' ' {
			i = Space(data, i)
		}
	}
}

// member returns the node of a key, -1 if nothing in its value is wanted. If the object had the key before, the hits of
// the earlier value are dropped; those of the object begin at first.
func (p *Parser) member(n int32, key []byte, plain bool, object int32, first int) int32 {
	if !plain {
		p.key = Unquote(p.key[:0], key)
		key = p.key
	}
	if p.tree.fold {
		p.folded = Fold(p.folded[:0], key)
		key = p.folded
	}
	child := p.tree.find(n, key)
	if child == 0 {
		return -1
	}
	if p.seen[child] == object {
		if p.repeats++; p.repeats <= maxRepeats {
			p.forget(child, first)
		}
	}
	p.seen[child] = object
	return child
}

func (p *Parser) forget(n int32, first int) {
	last := p.tree.nodes[n].last
	p.Hits = append(p.Hits[:first], slices.DeleteFunc(p.Hits[first:], func(h Hit) bool { return h.node >= n && h.node <= last })...)
}

// array reads the elements of an array, from after its bracket.
func (p *Parser) array(i int, n, elem int32, depth int) int {
	data := p.data
	outermost := elem < 0
	if i = Space(data, i); i < len(data) && data[i] == ']' {
		return i + 1
	}
	for {
		if outermost {
			elem++
		}
		if i = p.value(i, n, elem, depth); i < 0 {
			return i
		}
		i = Space(data, i)
		switch {
		case i >= len(data):
			return p.fail(i, Truncated)
		case data[i] == ']':
			return i + 1
		case data[i] != ',':
			return p.fail(i, Syntax)
		}
		i = Space(data, i+1)
	}
}
