package kql

import (
	"fmt"
	"strings"
)

// Doubts says what the query means but its author likely does not: a sentence for each condition.
func Doubts(e *Expr) (sentences []string) {
	leaves(e.root, func(l *leaf) {
		switch {
		case l.op == equal && l.value.plain() && strings.Contains(l.value[0], "*"):
			sentences = append(sentences, fmt.Sprintf("%s is compared with %q, star and all: outside of quotes a star stands for any characters", l.field, l.value[0]))
		case l.field == "*" && !l.value.exists():
			sentences = append(sentences, fmt.Sprintf("%q is looked for in every field: write field: value, and the operators and, or, not in small letters", strings.Join(l.value, "*")))
		}
	})
	return sentences
}
