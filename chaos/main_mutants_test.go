package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"firstseen/internal/proof"
)

// TestBreaches: a mutant is found by what it breaks, not by anything that is wrong.
func TestBreaches(t *testing.T) {
	for kind, want := range map[proof.Kind]int{proof.Missing: 1, proof.Duplicate: 1, proof.Wrong: 1, proof.Count: 1, proof.Term: 1, proof.Window: 1, proof.Cap: 1,
		proof.Store: 1, proof.Letter: 0, proof.Broker: 0, proof.Input: 0} {
		if n := breaches(proof.Differences{{Kind: kind}}); n != want {
			t.Errorf("%s: %d breaches, want %d", kind, n, want)
		}
		if n := breaches(proof.Differences{{Kind: kind}, {Kind: proof.Input}}); n != 0 {
			t.Errorf("%s, and the input is wrong: %d breaches", kind, n)
		}
	}
	c := &court{r: &run{Dir: t.TempDir()}, diff: proof.Differences{{Kind: proof.Term}, {Kind: proof.Broker}, {Kind: proof.Letter}}}
	v, err := c.verdict()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		breaches int
		behind   bool
		found    bool
	}{{v.Breaches, false, true}, {v.Breaches, true, false}, {0, false, false}} {
		w := everything(t, 1)
		w.Mutant, w.behind, w.traffic = "applyFirst", test.behind, &generator{}
		v := v
		v.Breaches = test.breaches
		if found := w.report(0, nil, v); found != test.found {
			t.Errorf("%+v: found %v", test, found)
		}
	}
}

// TestEachMutant: all are run, each in a folder of its own, and one that is not caught is enough to fail.
func TestEachMutant(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(mutant string) (bool, error)
		ok    bool
		line  string
	}{
		"all are caught":          {func(string) (bool, error) { return true, nil }, true, "applyFirst         caught"},
		"one is not":              {func(m string) (bool, error) { return m != "restoreToLSO", nil }, false, "restoreToLSO       NOT caught"},
		"one comes to no verdict": {func(string) (bool, error) { return false, errors.New("no brokers") }, false, "goOnAfterUnknown   NOT caught: no verdict: no brokers"},
	} {
		t.Run(name, func(t *testing.T) {
			var dirs []string
			lines, ok := settings{dir: "runs"}.eachMutant(t.Context(), func(s settings) (bool, error) {
				dirs = append(dirs, s.dir)
				if s.dir != filepath.Join("runs", s.mutant) {
					t.Errorf("%s in %s", s.mutant, s.dir)
				}
				return test.spoil(s.mutant)
			})
			if ok != test.ok || len(dirs) != 4 || !strings.Contains(strings.Join(lines, "\n"), test.line) {
				t.Errorf("ok %v, in %q:\n%s", ok, dirs, strings.Join(lines, "\n"))
			}
		})
	}
}
