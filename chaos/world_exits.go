package main

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// phase is how far a process was when it ended.
type phase string

const (
	starting phase = "starting" // it had not taken over a partition yet: at its start a worker ends when the brokers do not answer
	working  phase = "working"  // from then on it has to outlive everything but the loss of its disk
	stopping phase = "stopping" // it had been asked to stop: it says what it could not finish
)

// excuse says which faults may be the reason of what a worker says.
type excuse struct {
	text  string   // a regular expression
	kinds []string // none: always
	name  string   // of exits only, as the rest
	in    []phase
}

var (
	down = []string{"broker", "txn-coordinator", "group-coordinator", "partition", "delay", "cut"}

	anyPhase  = []phase{starting, working, stopping}
	notAtWork = []phase{starting, stopping}

	silence = `the brokers do not answer|cannot reach Kafka|connection refused|broken pipe|EOF|timeout|deadline exceeded`
	unknown = `stopped without knowing what became of its last transaction`

	// quarantines are the reasons for which a partition may have to wait.
	quarantines = []excuse{
		{text: `AUTHORIZATION_FAILED`, kinds: []string{"acl"}},
		{text: `no space left|can no longer be written`, kinds: []string{"disk-full"}},
		{text: `upgrade this worker|format of another version`, kinds: []string{"upgrade"}},
		{text: `is gone, but it had been read to`, kinds: []string{"jump"}},
		{text: silence + `|stalled at`, kinds: down},
	}

	// exits are the reasons for which a process may end by itself. The first that fits is counted.
	exits = []excuse{
		// When the disk is lost the other lanes stop as best they can; what one of them says may come first.
		{`no space left|can no longer be written|` + unknown, []string{"disk-full"}, "with a full disk", anyPhase},
		{unknown, nil, "in doubt about a transaction", []phase{stopping}}, // the next start knows
		{`AUTHORIZATION_FAILED`, []string{"acl"}, "without authorisation", notAtWork},
		{`upgrade this worker|format of another version`, []string{"upgrade"}, "with what a newer build had written", []phase{starting}},
		{silence, down, "with brokers out of reach", notAtWork},
	}
)

// explain returns the excuse for what a worker said, if there is one. recent reports whether a fault of some kinds is or was
// at work.
func explain(all []excuse, said string, when phase, recent func(kinds ...string) bool) (name string, ok bool) {
	for _, e := range all {
		if regexp.MustCompile(e.text).MatchString(said) && (e.in == nil || slices.Contains(e.in, when)) && (e.kinds == nil || recent(e.kinds...)) {
			return e.name, true
		}
	}
	return "", false
}

// recently reports whether a fault of these kinds is at work, or was two minutes ago.
func (w *world) recently(kinds ...string) bool { return w.active.recent(2*time.Minute, kinds...) }

// counts are things by name.
type counts struct {
	mu sync.Mutex
	of map[string]int
}

func (c *counts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[name]++
}

// take returns what was counted and begins anew.
func (c *counts) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := maps.Clone(c.of)
	clear(c.of)
	return taken
}

// noteExits writes down which exits were excused since it last did, and what no fault explains: a run that is interrupted
// and taken up again still knows.
func (w *world) noteExits() error {
	err := w.journal.add(entry{N: w.journal.next() - 1, Kind: "exit", Shows: w.excused.take()})
	for _, line := range w.findings.take() {
		err = errors.Join(err, w.journal.add(entry{N: w.journal.next() - 1, Finding: line}))
	}
	return err
}

// said is what the last process of the worker has written to its log.
func (p *worker) said() string {
	b, err := os.ReadFile(p.log)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || p.from > int64(len(b)) {
		return ""
	}
	return string(b[p.from:])
}

var damaged = regexp.MustCompile(`(?i)damaged|corrupt|checksum|pebble`)

// judgeExit looks at how a process ended that nobody killed.
func (p *worker) judgeExit(code int, asked bool) {
	all := p.said()
	when, last := howFar(all, asked), lastWords(all)
	name, ok := explain(exits, last, when, p.w.recently)
	if !ok && p.isDamaged() && damaged.MatchString(last) {
		name, ok = "with a damaged store", true
	}
	if ok {
		p.w.excused.add(name + " while " + string(when))
		say("%s ended with %d while %s, which a fault explains: %.200s", p.name, code, when, last)
		return
	}
	p.w.findings.add("%s ended by itself with exit code %d while %s: %s", p.name, code, when, last)
}

// howFar is the phase of a process that has written this.
func howFar(all string, asked bool) phase {
	switch {
	case asked:
		return stopping
	case strings.Contains(all, `msg="took over partitions"`):
		return working
	}
	return starting
}

// lastWords is why a process has ended, in one line.
func lastWords(all string) string {
	last := all[max(0, len(all)-8000):]
	if i := strings.LastIndex("\n"+last, "\nfirstseen: "); i >= 0 {
		last = last[i:]
	} else if i := strings.LastIndex("\n"+last, "\npanic: "); i >= 0 {
		last = last[i:min(len(last), i+1500)]
	}
	return strings.ReplaceAll(strings.TrimSpace(last), "\n", " | ")
}
