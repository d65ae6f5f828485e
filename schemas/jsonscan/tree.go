package jsonscan

// Tree is a set of wanted paths. It is immutable and may be shared.
type Tree struct {
	nodes []node // in depth-first order, so that a subtree is a range; 0 is the root
	fold  bool
}

type node struct {
	ids      []int32 // who wants the value here
	last     int32   // number of the last node of the subtree
	key      string
	children []int32 // hash table by key with linear probing, a power of two, at least half empty; nil: no children
}

// Path is a wanted value: the keys that lead to it and the number that its hits carry. Arrays on the way are passed
// through: [{"a":1},{"a":2}] has two values at a.
type Path struct {
	Keys []string
	ID   int32
}

// NewTree returns the tree of these paths. An object or array at the end of a path is a hit with its whole text.
func NewTree(paths []Path) *Tree {
	root := &branch{}
	for _, p := range paths {
		b := root
		for _, key := range p.Keys {
			b = b.child(key)
		}
		b.ids = append(b.ids, p.ID)
	}
	t := &Tree{}
	t.add(root, "")
	return t
}

// branch is a node while the tree is built.
type branch struct {
	ids      []int32
	keys     []string
	children []*branch
}

func (b *branch) child(key string) *branch {
	for i, k := range b.keys {
		if k == key {
			return b.children[i]
		}
	}
	c := &branch{}
	b.keys, b.children = append(b.keys, key), append(b.children, c)
	return c
}

func (t *Tree) add(b *branch, key string) int32 {
	n := int32(len(t.nodes))
	t.nodes = append(t.nodes, node{ids: b.ids, key: key})
	var table []int32
	if len(b.keys) > 0 {
		size := 4
		for size < 4*len(b.keys) {
			size *= 2
		}
		table = make([]int32, size)
	}
	for i, c := range b.children {
		m := t.add(c, b.keys[i])
		slot := hash([]byte(b.keys[i])) & uint(len(table)-1)
		for table[slot] != 0 {
			slot = (slot + 1) & uint(len(table)-1)
		}
		table[slot] = m
	}
	t.nodes[n].children, t.nodes[n].last = table, int32(len(t.nodes)-1)
	return n
}

// hash mixes what differs most between the keys of a record: length and outer bytes.
func hash(key []byte) uint {
	if len(key) == 0 {
		return 0
	}
	return uint(len(key))*7 + uint(key[0])*31 + uint(key[len(key)-1])*5 + uint(key[len(key)/2])*3
}

// find returns the child of n with that key, 0 if there is none.
func (t *Tree) find(n int32, key []byte) int32 {
	table := t.nodes[n].children
	if table == nil {
		return 0
	}
	mask := uint(len(table) - 1)
	for slot := hash(key) & mask; ; slot = (slot + 1) & mask {
		m := table[slot]
		if m == 0 || t.nodes[m].key == string(key) {
			return m
		}
	}
}

// NewFoldedTree is NewTree for keys that are written in many ways: in a record they match in any case and with any
// underscores. The keys of the paths are in lower case and have none.
func NewFoldedTree(paths []Path) *Tree {
	t := NewTree(paths)
	t.fold = true
	return t
}

// Fold appends the key in lower case and without underscores.
func Fold(dst, key []byte) []byte {
	for _, c := range key {
		switch {
		case c == '_':
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c|0x20)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
