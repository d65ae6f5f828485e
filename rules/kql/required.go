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

// Required derives what a record must contain for the query to match: for each clause at least one of its literals. A record
// that lacks all literals of some clause cannot match and need not be parsed. No clause means nothing can be said.
//
// verbatim tells of a field name (no wildcards) whether its values are copied byte for byte out of the record, apart from JSON
// escapes; only keyword fields may be. Literals are made of [A-Za-z0-9_.:-], which JSON writers never escape other than as
// \uXXXX (a slash they may write as \/), and are at least 4 bytes long: of a value with other characters, the longest such
// piece of it. Nothing is derived below `not`.
func Required(e *Expr, verbatim func(field string) bool) [][]string {
	return required(e.root, verbatim)
}

func required(n node, verbatim func(string) bool) [][]string {
	switch n := n.(type) {
	case *leaf:
		if n.op != equal || strings.Contains(n.field, "*") || !verbatim(n.field) {
			return nil
		}
		if l := longestLiteral(n.value); l != "" {
			return [][]string{{l}}
		}
	case *nested:
		return required(n.kid, verbatim)
	case *group:
		clauses := required(n.kids[0], verbatim)
		for _, k := range n.kids[1:] {
			more := required(k, verbatim)
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

// longestLiteral is the longest run of characters that no JSON writer escapes, "" when all are too short.
func longestLiteral(v value) string {
	longest := ""
	for _, piece := range v {
		for _, run := range strings.FieldsFunc(piece, func(r rune) bool { return r != ':' && (r == '@' || notName(r)) }) {
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
