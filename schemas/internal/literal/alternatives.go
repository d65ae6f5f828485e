package literal

import (
	"cmp"
	"slices"
)

// clause is a number of literals of which a record has one.
type clause struct {
	texts    []string
	searches []search
}

func newClause(texts []string) clause { return clause{texts, newSearches(texts)} }

func (c *clause) holds(record []byte) bool {
	for i := range c.searches {
		if c.searches[i].found(record) {
			return true
		}
	}
	return false
}

// condition is clauses of each of which a record has a literal.
type condition []clause

func (c condition) holds(record []byte) bool {
	for i := range c {
		if c[i].holds(record) {
			continue
		}
		// The clause that rejects gets checked earlier next time; which one it is changes nothing.
		if i > 0 {
			c[i-1], c[i] = c[i], c[i-1]
		}
		return false
	}
	return true
}

// alternatives are conditions of which a record fulfils one. A record that has no literal of the first clause of any of
// them fulfils none: most records are done with at that.
type alternatives struct {
	list   []condition
	first  clause
	always bool // every record passes: a condition asks for nothing, or they ask for too much
	wrong  int  // records that have such a literal and fulfil no condition
}

const (
	maxSearches = 12  // for the first clauses, and conditions; more cost as much as to parse the record
	maxWrong    = 100 // until the first clauses are chosen anew
	maxChosen   = 5   // times
)

func (a *alternatives) add(c condition) { a.list = append(a.list, c) }

// settle puts the clause that is likely to tell most in the first place of each condition: the one with the fewest
// literals, and of those the longest.
func (a *alternatives) settle() {
	for _, c := range a.list {
		slices.SortStableFunc(c, func(a, b clause) int {
			return cmp.Or(cmp.Compare(len(a.texts), len(b.texts)), cmp.Compare(len(b.texts[0]), len(a.texts[0])))
		})
	}
	a.always = len(a.list) > maxSearches || slices.ContainsFunc(a.list, func(c condition) bool { return len(c) == 0 })
	if !a.always {
		a.first = a.union()
		a.always = len(a.first.searches) > maxSearches
	}
}

func (a *alternatives) union() clause {
	var texts []string
	for _, c := range a.list {
		texts = append(texts, c[0].texts...)
	}
	slices.Sort(texts)
	return newClause(slices.Compact(texts))
}

func (a *alternatives) passes(record []byte) bool {
	if a.always || !a.first.holds(record) {
		return a.always
	}
	for _, c := range a.list {
		if c.holds(record) {
			return true
		}
	}
	// The first clauses are those now that reject the records seen.
	if a.wrong++; a.wrong%maxWrong == 0 && a.wrong <= maxChosen*maxWrong {
		if better := a.union(); len(better.searches) <= maxSearches {
			a.first = better
		}
	}
	return false
}
