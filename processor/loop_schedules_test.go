package processor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kgo"
)

// schedule is a run of commands drawn from a seed: input, workers that start, die, stall and come back, requests and
// markers in any order. Then the faults end, and all has to be done.
type schedule struct {
	*loop
	rnd    *rand.Rand
	mutant string
	shared bool           // a and b are of one process
	faults int            // left
	stall  map[string]int // workers that do nothing, for so many steps
	trace  []string       // commands, and what happened
}

// verdictOf runs the schedule of a seed. It returns the commands, with what happened after each, and what was wrong.
func verdictOf(t *testing.T, seed uint64, mutant string) (trace []string, err error) {
	synctest.Test(t, func(t *testing.T) {
		s := &schedule{loop: newLoop(t), rnd: rand.New(rand.NewPCG(seed, 1)), mutant: mutant, stall: map[string]int{}}
		defer s.close()
		s.faults = s.rnd.IntN(5)
		err = s.play()
		trace = s.trace
	})
	return trace, err
}

func (s *schedule) play() error {
	for n := range 2 + s.rnd.IntN(2) {
		s.worker(string(rune('a' + n)))
	}
	s.shared = s.rnd.IntN(4) == 0
	for range 100 + s.rnd.IntN(200) {
		if err := s.do(s.draw()); err != nil {
			return err
		}
	}
	return s.finish()
}

// do does what a line says, and checks after what may have changed something.
func (s *schedule) do(line string) error {
	s.events = nil
	err := s.command(line)
	s.trace = append(s.trace, line)
	for _, e := range s.events {
		s.trace = append(s.trace, "    "+e)
	}
	if err == nil && slices.ContainsFunc(s.events, func(e string) bool { return strings.Contains(e, "EndTxn") || strings.Contains(e, "reads on") }) {
		err = s.check()
	}
	return err
}

// draw draws the next command.
func (s *schedule) draw() string {
	for {
		var line string
		switch n := s.rnd.IntN(100); {
		case n < 70:
			line = s.drawStep()
		case n < 78:
			line = s.drawMarker()
		case n < 84:
			line = fmt.Sprintf("produce p=%d k=%s", s.rnd.IntN(loopPartitions), loopTerms[s.rnd.IntN(4)])
			if s.rnd.IntN(6) == 0 {
				line += " aborted"
			}
		case n < 90:
			line = s.drawStart()
		case n < 91:
			line = "wait " + s.oneOf("1m", "4m", "60h")
		case n < 92:
			line = "compact"
		case n < 95:
			line = "pass 500ms"
		default:
			line = s.drawFault()
		}
		if line != "" {
			return line
		}
	}
}

// drawStep lets one of those go on that wait for an answer.
func (s *schedule) drawStep() string {
	waiting := slices.DeleteFunc(s.threads(), func(th *thread) bool { return s.stall[th.w.name] > 0 })
	for name := range s.stall {
		s.stall[name]--
	}
	if len(waiting) == 0 {
		return "pass 500ms"
	}
	th := waiting[s.rnd.IntN(len(waiting))]
	if s.faults > 0 && th.call.name() == "EndTxn" && s.rnd.IntN(10) == 0 {
		s.faults--
		return stepOf(th) + s.oneOf(" lost", " unsent")
	}
	if !th.call.arrived && slices.Contains(fallible, th.call.name()) && s.rnd.IntN(8) == 0 {
		return stepOf(th) + " arrives"
	}
	return stepOf(th)
}

func (s *schedule) oneOf(of ...string) string { return of[s.rnd.IntN(len(of))] }

func stepOf(th *thread) string {
	if th == th.w.over {
		return "step " + th.w.name + " over"
	}
	return "step " + th.w.name
}

func (s *schedule) drawMarker() string {
	var all []string
	for _, w := range s.workers {
		t := s.txnOf(w.name)
		for _, l := range t.unmarked() {
			all = append(all, "marker "+w.name+" "+strings.TrimPrefix(l.name, loopApp+"."))
		}
		if len(t.offsets) > 0 && t.state != "open" {
			all = append(all, "marker "+w.name+" offsets")
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[s.rnd.IntN(len(all))]
}

func (s *schedule) drawStart() string {
	w := s.workers[s.rnd.IntN(len(s.workers))]
	if w.alive() {
		return ""
	}
	return s.start(w)
}

func (s *schedule) start(w *modelWorker) string {
	line := "start " + w.name
	if s.shared && w.name == "b" {
		line += " on=a"
	}
	return strings.TrimSpace(line + " " + s.mutant)
}

// fallible are the requests whose errors a lane gets to see: its client repeats the others.
var fallible = []string{"produce", "TxnOffsetCommit", "EndTxn", "barrier", "list", "InitProducerId"}

// drawFault draws a fault, as long as there may be more. A worker that is expelled is a zombie for a while: it goes on
// when others have taken over.
func (s *schedule) drawFault() string {
	w := s.workers[s.rnd.IntN(len(s.workers))]
	if s.faults == 0 || w.run == nil {
		return ""
	}
	line := ""
	switch s.rnd.IntN(6) {
	case 0, 1:
		line = "crash " + w.name + s.oneOf("", " sent") + s.oneOf("", "", " copy", " empty")
	case 2:
		if s.c.group.members[s.c.group.instance(w.name)] == nil {
			return ""
		}
		s.stall[w.name] = s.rnd.IntN(60)
		line = "expel " + w.name
	case 3:
		if s.txnOf(w.name).state != "open" {
			return ""
		}
		line = "timeout " + w.name
	case 4:
		th := w.run
		if w.over != nil && s.rnd.IntN(3) == 0 {
			th = w.over
		}
		if th.call == nil || th.call.ready != nil && !th.call.ready() || !slices.Contains(fallible, th.call.name()) {
			return ""
		}
		line = stepOf(th) + s.oneOf(" lost", " unsent")
	case 5:
		if w.run == nil {
			return ""
		}
		return "copy " + w.name
	}
	s.faults--
	return line
}

// finish ends all faults: what is on its way arrives, markers are written, the dead come back. Then the lanes have to
// get through with their input.
func (s *schedule) finish() error {
	s.faults, s.stall = 0, map[string]int{}
	for range 3000 {
		if s.done() {
			return s.check()
		}
		line := "deliver"
		if len(s.flying) == 0 {
			line = s.drawMarker()
		}
		for _, w := range s.workers {
			if line == "" && !w.alive() {
				line = s.start(w)
			}
		}
		if line == "" {
			line = s.drawStep()
		}
		if err := s.do(line); err != nil {
			return err
		}
	}
	var bad []string
	for _, w := range s.workers {
		for _, err := range w.lane.w.health.quarantinedBy(w.lane.name) {
			bad = append(bad, w.name+": "+err.Error())
		}
	}
	return fmt.Errorf("%w: %s", errStuck, strings.Join(bad, "; "))
}

var errStuck = errors.New("not all has been done, although there are no faults any more")

// done says whether all input is read and committed.
func (s *schedule) done() bool {
	for p := range int32(loopPartitions) {
		records, _, err := s.c.log(loopApp+"."+topicCandidates, p).read(max(s.c.group.committed[p], s.c.log(loopApp+"."+topicCandidates, p).start), kgo.ReadCommitted(), 1)
		if len(records) > 0 || err != nil || s.c.pending(p) {
			return false
		}
	}
	for _, w := range s.workers {
		if !w.alive() || !w.idle() || len(s.txnOf(w.name).unmarked()) > 0 {
			return false
		}
	}
	return true
}

// schedules is how many seeds a test tries; SCHEDULES says otherwise.
func schedules(n int) uint64 {
	if v, err := strconv.Atoi(os.Getenv("SCHEDULES")); err == nil {
		n = v
	}
	return uint64(n)
}

// Whatever happens to workers, requests and markers, each input record is counted once in output and state, every store
// is a prefix of the committed changelog, and when the faults end, the work does. A failure names its seed and prints the
// commands that lead to it, for a file in testdata. SCHEDULES says how many seeds to try, SEED which one alone.
func TestSchedules(t *testing.T) {
	if v, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		report(t, v)
		return
	}
	newLoopShared(t)
	n, shards := schedules(300), uint64(runtime.GOMAXPROCS(0))
	for shard := range shards {
		t.Run(fmt.Sprint("shard=", shard), func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < n; seed += shards {
				if _, err := verdictOf(t, seed, ""); err != nil {
					report(t, seed)
					return
				}
			}
		})
	}
}

// report shows what is wrong with a seed, and runs it again and again to see whether it always is.
func report(t *testing.T, seed uint64) {
	trace, err := verdictOf(t, seed, "")
	failed := 0
	for range 50 {
		if again, e := verdictOf(t, seed, ""); e != nil && err != nil && e.Error() == err.Error() && slices.Equal(again, trace) {
			failed++
		}
	}
	if err != nil {
		t.Errorf("SEED=%d: %v\nof 50 more runs, %d end the same way\n%s", seed, err, failed, strings.Join(trace, "\n"))
	}
}

// A seed is played the same way again.
func TestSchedulesReplay(t *testing.T) {
	for seed := range uint64(20) {
		one, err1 := verdictOf(t, seed, "")
		two, err2 := verdictOf(t, seed, "")
		if !slices.Equal(one, two) || (err1 == nil) != (err2 == nil) {
			t.Fatalf("seed %d was played differently:\n%s\n---\n%s", seed, strings.Join(one, "\n"), strings.Join(two, "\n"))
		}
	}
}

// What is broken on purpose is found, and not only because the work comes to a halt.
func TestSchedulesCatchMutants(t *testing.T) {
	for _, mutant := range []string{"apply-first", "lso", "uncommitted", "go-on"} {
		found := false
		for seed := uint64(0); seed < 5000 && !found; seed++ {
			trace, err := verdictOf(t, seed, mutant)
			if found = err != nil && !errors.Is(err, errStuck); found {
				t.Logf("%s: seed %d, after %d lines: %v", mutant, seed, len(trace), err)
			}
		}
		if !found {
			t.Errorf("nothing was found of mutant %s", mutant)
		}
	}
}
