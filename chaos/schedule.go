package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// atOnce is how many faults are at work at a time, at most.
const atOnce = 3

// schedule plays the cards of one deck after the other. A deck and what each fault of it draws come from the seed; which
// worker is free to be hit when its turn comes does not.
type schedule struct {
	w *world

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a fault has ended
	busy    map[*worker]bool
	held    map[need]bool
	playing int
	failed  error
}

func newSchedule(w *world) *schedule {
	return &schedule{w: w, changed: make(chan struct{}), busy: map[*worker]bool{}, held: map[need]bool{}}
}

// deck is the n-th one: one card of each kind, shuffled, then the others, shuffled.
func deck(seed uint64, n int, kinds []fault) []fault {
	dice := rand.New(rand.NewPCG(seed, uint64(n)))
	first := append([]fault(nil), kinds...)
	var more []fault
	for _, f := range kinds {
		for range f.weight - 1 {
			more = append(more, f)
		}
	}
	dice.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	dice.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
	return append(first, more...)
}

// run plays until the time is over and what is promised has happened, or twice that time is over, and waits for the last
// faults to end.
func (s *schedule) run(ctx context.Context) error {
	kinds := s.w.faultsHere()
	size := len(deck(0, 0, kinds))
	limit := time.Duration(s.w.minutes * float64(time.Minute))
	for n := s.w.journal.next(); ctx.Err() == nil; n++ {
		under := s.w.journal.underFire()
		if under >= 2*limit || under >= limit && len(s.w.promised()) == 0 {
			break
		}
		f := deck(s.w.Seed, n/size, kinds)[n%size]
		dice := rand.New(rand.NewPCG(s.w.Seed^0x9e3779b97f4a7c15, uint64(n)))
		p, ok := s.acquire(ctx, f, dice)
		if !ok {
			break
		}
		go s.play(&blow{ctx: ctx, w: s.w, dice: dice, p: p, shows: map[string]int{}}, f, n)
		sleep(ctx, 200*time.Millisecond+time.Duration(dice.Int64N(int64(time.Second))))
	}
	for {
		s.mu.Lock()
		left, failed, changed := s.playing, s.failed, s.changed
		s.mu.Unlock()
		if left == 0 {
			return failed
		}
		<-changed
	}
}

// play does one fault and writes it down.
func (s *schedule) play(b *blow, f fault, n int) {
	began, over := time.Now(), s.w.active.begin(f.name)
	err := f.do(b)
	over()
	e := entry{N: n, Kind: f.name, Counts: b.happened, Shows: b.shows, Note: strings.ReplaceAll(b.note, "\n", "; "), Seconds: time.Since(began).Seconds()}
	on := ""
	if b.p != nil {
		on = " on " + b.p.name
	}
	if err != nil && b.ctx.Err() == nil {
		e.Finding = err.Error()
		say("FINDING %s%s: %v", f.name, on, err)
	}
	say("%s%s %.1fs: %d %v %s", f.name, on, e.Seconds, e.Counts, e.Shows, e.Note)
	if b.ctx.Err() == nil { // what was interrupted is done again when the run goes on
		err = s.w.journal.add(e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.failed == nil && e.Finding == "" && b.ctx.Err() == nil {
		s.failed = fmt.Errorf("journal: %w", err)
	}
	s.playing--
	delete(s.busy, b.p)
	delete(s.held, f.needs)
	close(s.changed)
	s.changed = make(chan struct{})
}

// acquire waits until the fault can have what it needs.
func (s *schedule) acquire(ctx context.Context, f fault, dice *rand.Rand) (p *worker, ok bool) {
	for {
		s.mu.Lock()
		if p, ok = s.take(f, dice); ok {
			s.playing++
			s.mu.Unlock()
			return p, true
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, false
		case <-changed:
		}
	}
}

// take is acquire, with the lock held, if it need not wait.
func (s *schedule) take(f fault, dice *rand.Rand) (*worker, bool) {
	if s.playing >= atOnce || s.held[theWorld] {
		return nil, false
	}
	var free []*worker
	for _, p := range s.w.fleet {
		if p.running() && !s.busy[p] {
			free = append(free, p)
		}
	}
	switch f.needs {
	case nothing:
		return nil, true
	case oneWorker:
		if s.held[theFleet] || len(free) == 0 {
			return nil, false
		}
		p := free[dice.IntN(len(free))]
		s.busy[p] = true
		return p, true
	case theFleet:
		if s.held[theFleet] || len(s.busy) > 0 {
			return nil, false
		}
	case theWorld:
		if s.playing > 0 {
			return nil, false
		}
	default:
		if s.held[f.needs] {
			return nil, false
		}
	}
	s.held[f.needs] = true
	return nil, true
}
