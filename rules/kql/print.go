package kql

import (
	"fmt"
	"strings"
)

// String is the canonical form: one spelling for each tree, which Parse reads back to the same tree. Rulesets are hashed by it.
// Comparisons are in the order written, values are quoted, patterns bare with escapes, parentheses only where needed.
func (e *Expr) String() string {
	var b strings.Builder
	write(&b, e.root, "")
	return b.String()
}

func write(b *strings.Builder, n node, path string) {
	switch n := n.(type) {
	case all:
		b.WriteString("*: *")
	case *negation:
		b.WriteString("not ")
		writeBelow(b, n.kid, n.precedence(), path)
	case *nested:
		writeField(b, n.path, path)
		b.WriteString(":{ ")
		write(b, n.kid, n.path)
		b.WriteString(" }")
	case *leaf:
		writeField(b, n.field, path)
		writeOp(b, n.op)
		writeValue(b, n.value)
	case *group:
		writeGroup(b, n, path)
	}
}

func writeBelow(b *strings.Builder, n node, precedence int, path string) {
	g, ok := n.(*group)
	if ok {
		_, ok = valueGroup(g) // has parentheses of its own
	}
	if ok || n.precedence() >= precedence {
		write(b, n, path)
		return
	}
	b.WriteByte('(')
	write(b, n, path)
	b.WriteByte(')')
}

func writeGroup(b *strings.Builder, g *group, path string) {
	between := " and "
	if g.or {
		between = " or "
	}
	field, same := valueGroup(g)
	if same {
		writeField(b, field, path)
		b.WriteString(": (")
	}
	for i, k := range g.kids {
		if i > 0 {
			b.WriteString(between)
		}
		if same {
			writeValue(b, k.(*leaf).value)
		} else {
			writeBelow(b, k, g.precedence(), path)
		}
	}
	if same {
		b.WriteByte(')')
	}
}

// valueGroup tells whether the group can be printed as `field: (a or b)`.
func valueGroup(g *group) (field string, ok bool) {
	for i, k := range g.kids {
		l, isLeaf := k.(*leaf)
		if !isLeaf || l.op != equal || i > 0 && l.field != field {
			return "", false
		}
		field = l.field
	}
	return field, true
}

func writeOp(b *strings.Builder, o op) {
	if o != equal {
		b.WriteByte(' ')
	}
	b.WriteString(o.String())
	b.WriteByte(' ')
}

func writeField(b *strings.Builder, name, path string) {
	if path != "" {
		name = strings.TrimPrefix(name, path+".")
	}
	if _, n := keyword(name); n == 0 && strings.Contains(name, "*") {
		writePattern(b, strings.Split(name, "*"))
	} else if n == 0 && strings.IndexFunc(name, notName) < 0 {
		b.WriteString(name)
	} else {
		writeQuoted(b, name)
	}
}

func writeValue(b *strings.Builder, v value) {
	if v.plain() {
		writeQuoted(b, v[0])
	} else {
		writePattern(b, v)
	}
}

func notName(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_.@-", r))
}

func writeQuoted(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// writePattern prints bare text. What could be read as something else, spaces and foreign operators too, is escaped.
func writePattern(b *strings.Builder, pieces []string) {
	for i, piece := range pieces {
		if i > 0 {
			b.WriteByte('*')
		}
		for _, r := range piece {
			switch {
			case strings.ContainsRune(special, r):
				b.WriteByte('\\')
				b.WriteRune(r)
			case r > 0xa0 && r != '“' && r != '”' && r != '‘' && r != '’', !notName(r), r == '/':
				b.WriteRune(r)
			default:
				fmt.Fprintf(b, `\u%04x`, r)
			}
		}
	}
}
