package main

import (
	"context"
	"fmt"
	"path/filepath"

	"firstseen/internal/proof"
)

// mutants are the rules of the protocol that workers can be made to break. A judge that does not find each of them proves
// nothing.
var mutants = []string{"applyFirst", "goOnAfterUnknown", "restoreToLSO", "restoreUncommitted"}

// breaches counts the differences that a breach of the protocol makes: in alerts and their counts, in terms, windows and
// caps, in stores. Dead letters and what is left on the brokers may differ for other reasons, and where the input is not
// what it should be, the harness is wrong and nothing can be told.
func breaches(all proof.Differences) (n int) {
	if all.Of(proof.Input) > 0 {
		return 0
	}
	for _, k := range []proof.Kind{proof.Missing, proof.Duplicate, proof.Wrong, proof.Count, proof.Term, proof.Window, proof.Cap, proof.Store} {
		n += all.Of(k)
	}
	return n
}

// attackMutants does a run with each of the mutants, one after the other, and reports whether all were found.
func (s settings) attackMutants(ctx context.Context) (ok bool, err error) {
	lines, ok := s.eachMutant(ctx, func(one settings) (bool, error) { return one.attack(ctx) })
	for _, line := range lines {
		fmt.Println(line)
	}
	return ok, ctx.Err()
}

// eachMutant does what attackMutants does and returns a line for each. A run that comes to no verdict catches nothing.
func (s settings) eachMutant(ctx context.Context, attack func(settings) (bool, error)) (lines []string, ok bool) {
	ok = true
	for _, m := range mutants {
		if ctx.Err() != nil {
			return lines, false
		}
		one := s
		one.mutant, one.dir = m, filepath.Join(s.dir, m)
		say("mutant %s", m)
		found, err := attack(one)
		is := map[bool]string{true: "caught", false: "NOT caught"}[found && err == nil]
		if err != nil {
			is += fmt.Sprintf(": no verdict: %v", err)
		}
		ok = ok && found && err == nil
		lines = append(lines, fmt.Sprintf("%-18s %s", m, is))
	}
	return lines, ok
}
