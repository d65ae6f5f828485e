package ruletest

import (
	"fmt"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/traffic"
)

// TestTheProgramsRulesAreTested: the tests of every rule that comes with the program reach all of its query; but for the
// newer name of an anonymous caller, which the strict form of the rule does not know.
func TestTheProgramsRulesAreTested(t *testing.T) {
	e := execute(t, nil, "test", "--coverage", "--min-tests", "3")
	if e.Code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
	rules := 0
	for line := range strings.Lines(e.Stdout) {
		id, rest, _ := strings.Cut(line, ": ")
		var reached, of int
		if n, _ := fmt.Sscanf(rest, "%d of %d values and branches", &reached, &of); n != 2 {
			continue
		}
		rules++
		if id == traffic.NewTermsRule {
			reached++
		}
		if reached != of {
			t.Error(line)
		}
	}
	if rules < 11 {
		t.Errorf("the coverage of %d rules is there:\n%s", rules, e.Stdout)
	}
}
