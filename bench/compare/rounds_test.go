package compare

import (
	"slices"
	"strings"
	"testing"
)

func order(t *table, round int) string {
	var names []string
	for _, s := range t.steps(round) {
		names = append(names, s.part+" "+s.column.name)
	}
	return strings.Join(names, "; ")
}

// Everyone is once the first of those that are compared with each other, and parts stay together.
func TestTheOrderRotates(t *testing.T) {
	tab := twoRounds()
	tab.parts, tab.options.peer, tab.options.raw = allParts, true, true
	for round, want := range []string{
		"rate firstseen; rate Kafka Streams; rate raw, full scan; memory firstseen, GOMEMLIMIT=256MiB; latency firstseen; latency Kafka Streams; kill firstseen",
		"rate Kafka Streams; rate raw, full scan; memory firstseen, GOMEMLIMIT=256MiB; rate firstseen; latency Kafka Streams; latency firstseen; kill firstseen",
		"rate raw, full scan; memory firstseen, GOMEMLIMIT=256MiB; rate firstseen; rate Kafka Streams; latency firstseen; latency Kafka Streams; kill firstseen",
	} {
		if got := order(tab, round); got != want {
			t.Errorf("round %d:\n%s, want\n%s", round, got, want)
		}
	}
	if order(tab, 4) != order(tab, 0) {
		t.Error("the fifth round is not like the first")
	}
	tab.parts, tab.options.peer, tab.options.raw = []string{"rate", "kill"}, false, false
	if got := order(tab, 1); got != "rate firstseen; kill firstseen" {
		t.Errorf("without the others: %s", got)
	}
	tab.parts, tab.options.peer, tab.killPeer = []string{"kill"}, true, true
	if got := order(tab, 1); got != "kill Kafka Streams; kill firstseen" {
		t.Errorf("both killed: %s", got)
	}
}

func TestRotated(t *testing.T) {
	list := []int{1, 2, 3}
	for round, want := range [][]int{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}, {1, 2, 3}} {
		if got := rotated(list, round); !slices.Equal(got, want) {
			t.Errorf("round %d: %v", round, got)
		}
	}
	if got := rotated([]int(nil), 3); got != nil {
		t.Errorf("nothing rotated: %v", got)
	}
}

// However the program divides its time between the inputs, all the terms have been read at the kill.
func TestKillAtIsBehindTheTerms(t *testing.T) {
	for name, of := range sizes {
		o := &options{size: name, mix: mixPlain}
		if o.killAt() != 0.5 {
			t.Errorf("%s: killed at %v", name, o.killAt())
		}
		o.terms = 1_000_000
		cfg, err := o.config()
		if err != nil || cfg.Terms != o.terms || cfg.CloudTrail != of.cloudTrail+o.terms {
			t.Errorf("%s: %+v %v", name, cfg, err)
		}
		trail := o.killAt()*float64(cfg.CloudTrail+cfg.S3Access) - float64(cfg.S3Access) // at least so much of it
		if trail < float64(o.terms)+float64(of.cloudTrail)/4 || trail > float64(cfg.CloudTrail)-float64(of.cloudTrail)/4 {
			t.Errorf("%s: killed after %v of the CloudTrail records", name, trail)
		}
	}
	if Run(t.Context(), []string{"-terms", "5", "-parts", "rate,kill"}) == nil {
		t.Error("-terms changes the inputs of other parts")
	}
}

func TestTermsInWhatVerifySays(t *testing.T) {
	const out = `ok       detect/0  1204 keys equal, 0 differ, at {1 2}, input offset 77
ok       detect/11  96 keys equal, 0 differ, at {1 2}, input offset 5; 4 have been written again since and cannot be compared
ok       group/0  500 keys equal, 0 differ, at {1 2}, input offset 9
`
	if n := termsIn(out); n != 1304 {
		t.Errorf("%d terms", n)
	}
	if n := termsIn("FAIL     detect/0  12 keys equal, 3 differ, at {1 2}, input offset 7\n"); n != 0 {
		t.Errorf("%d terms in a state that is wrong", n)
	}
}
