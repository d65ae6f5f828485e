package kql

import (
	"slices"
	"strings"
)

// Bounds of the clauses: what goes beyond them is left out, which only lets more records pass.
const (
	minLiteral  = 4   // bytes; shorter ones are found in every record
	maxLiterals = 256 // in a clause
	maxClauses  = 16
	maxFactors  = 4 // clauses of one alternative that are combined with those of the others
)

// Spelling tells how records write a field, by its name in the query, which has no wildcards. Keys are pieces of the JSON
// keys that lead to its values; copied says that the values are copied byte for byte out of the record, apart from JSON
// escapes. Only keyword fields may be.
type Spelling func(field string) (keys []string, copied bool)

// Required derives what a record must contain for the query to match: for each clause at least one of its literals. A record
// that lacks all literals of some clause cannot match and need not be parsed. No clause means nothing can be said.
//
// Literals are printable ASCII without quotes and backslashes, which JSON writers escape only as \uXXXX, and the slash also
// as \/. They are at least 4 bytes long: of a value or key with other characters, the longest such piece of it. Nothing is
// derived below `not`.
func Required(e *Expr, spelling Spelling) [][]string { return required(e.root, spelling) }

func required(n node, spelling Spelling) [][]string {
	switch n := n.(type) {
	case *leaf:
		return requiredByLeaf(n, spelling)
	case *nested:
		return required(n.kid, spelling)
	case *group:
		clauses := required(n.kids[0], spelling)
		for _, k := range n.kids[1:] {
			more := required(k, spelling)
			if n.or {
				clauses = disjoin(clauses, more)
			} else {
				clauses = simplify(append(clauses, more...))
			}
		}
		return clauses
	}
	return nil
}

func requiredByLeaf(l *leaf, spelling Spelling) (clauses [][]string) {
	if strings.Contains(l.field, "*") {
		return nil
	}
	keys, copied := spelling(l.field)
	if key := longestLiteral(keys); key != "" {
		clauses = append(clauses, []string{key})
	}
	if copied && l.op == equal {
		if text := longestLiteral(l.value); text != "" {
			clauses = append(clauses, []string{text})
		}
	}
	return clauses
}

// OneOf derives the values of which a field must have one for the query to match, byte for byte. It is not ok if the query
// can match without. is tells the names of the field, which must be a keyword; a name with wildcards is none of them.
func OneOf(e *Expr, is func(field string) bool) (values []string, ok bool) {
	if values, ok = oneOf(e.root, is); ok {
		slices.Sort(values)
		values = slices.Compact(values)
	}
	return values, ok
}

func oneOf(n node, is func(string) bool) (values []string, ok bool) {
	switch n := n.(type) {
	case *leaf:
		if n.op == equal && n.value.plain() && is(n.field) {
			return []string{n.value[0]}, true
		}
	case *nested:
		return oneOf(n.kid, is)
	case *group:
		for _, k := range n.kids {
			more, has := oneOf(k, is)
			switch {
			case n.or && !has:
				return nil, false
			case n.or:
				values, ok = append(values, more...), true
			case has && (!ok || len(more) < len(values)): // any of them will do, the shortest list says most
				values, ok = more, true
			}
		}
	}
	return values, ok
}

// disjoin distributes or over two conjunctions.
func disjoin(a, b [][]string) [][]string {
	var out [][]string
	for _, x := range a[:min(len(a), maxFactors)] {
		for _, y := range b[:min(len(b), maxFactors)] {
			both := slices.Concat(x, y)
			slices.Sort(both)
			if both = slices.Compact(both); len(both) <= maxLiterals {
				out = append(out, both)
			}
		}
	}
	return simplify(out)
}

// simplify drops clauses that follow from a smaller one and, of the rest, keeps the smallest. Literals are sorted.
func simplify(clauses [][]string) [][]string {
	slices.SortStableFunc(clauses, func(a, b []string) int { return len(a) - len(b) })
	var out [][]string
	for _, c := range clauses {
		if len(out) == maxClauses {
			break
		}
		if !slices.ContainsFunc(out, func(smaller []string) bool { return subset(smaller, c) }) {
			out = append(out, c)
		}
	}
	return out
}

func subset(a, b []string) bool {
	for _, x := range b {
		if len(a) > 0 && a[0] == x {
			a = a[1:]
		}
	}
	return len(a) == 0
}

// longestLiteral is the longest run of characters that JSON writes in one way, escapes by number and that of the slash aside;
// "" when all are too short.
func longestLiteral(pieces []string) string {
	longest := ""
	for _, piece := range pieces {
		for _, run := range strings.FieldsFunc(piece, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			if len(run) > len(longest) {
				longest = run
			}
		}
	}
	if len(longest) < minLiteral {
		return ""
	}
	return longest
}
