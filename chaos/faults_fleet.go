package main

import (
	"fmt"
	"strings"
	"time"
)

// rolling restarts every worker, one after the other.
func rolling(f *blow) error {
	for _, p := range f.w.running() {
		if err := f.replace(p, p.next, true); err != nil {
			return err
		}
	}
	f.happened = 1
	return nil
}

// replace stops a worker, starts it as one of this build or the next, and waits until it is ready, if it will be.
func (f *blow) replace(p *worker, next, ready bool) error {
	f.stop(p)
	p.next = next
	if err := p.start(); err != nil {
		return err
	}
	if ready {
		await(f.ctx, 30*time.Second, p.ready)
	}
	return f.ctx.Err()
}

// stop stops a worker and notes how long that took.
func (f *blow) stop(p *worker) {
	sum(f.shows, map[string]int{"stops": 1, "longest stop in ms": int(p.stop().Milliseconds())})
}

// scale goes down to one worker, up to all, and down to two.
func scale(f *blow) error {
	for _, n := range []int{1, maxWorkers, 2} {
		if err := f.scaleTo(n); err != nil {
			return err
		}
		f.sleep(f.between(2*time.Second, 4*time.Second))
	}
	f.happened = 1
	// What goes on has three workers as often as two.
	if f.dice.IntN(2) == 0 {
		return f.scaleTo(3)
	}
	return nil
}

// scaleTo has n workers run. Those that go leave the groups: by themselves, or by the operator's hand, who does so as
// often after a kill as after a stop. Their state directories stay or are deleted.
func (f *blow) scaleTo(n int) error {
	running := f.w.running()
	for _, p := range f.w.fleet {
		if len(running) < n && !p.running() {
			p.next = f.w.newer
			if err := p.start(); err != nil {
				return err
			}
			running = append(running, p)
		}
	}
	for len(running) > n && f.ctx.Err() == nil {
		i := f.dice.IntN(len(running))
		p := running[i]
		running = append(running[:i], running[i+1:]...)
		f.p = p
		byHand := true
		if f.dice.IntN(3) == 0 {
			f.strike()
		} else {
			f.stop(p)
			byHand = p.name != fmt.Sprintf("w%d", maxWorkers)
		}
		if byHand {
			if out, err := p.command(f.ctx, "leave", p.name); err == nil {
				f.show("members removed by hand", strings.Count(out, "removed "))
			} else if f.ctx.Err() == nil && !strings.Contains(err.Error(), "no such instance") { // expelled before
				f.note = strings.TrimSpace(f.note + " " + err.Error())
			}
		}
		if f.dice.IntN(2) == 0 {
			f.show("state directories deleted", 1)
			if err := p.dropState(); err != nil {
				return err
			}
		}
	}
	return f.ctx.Err()
}

// upgrade has the next build take over, the old one come back, and the next one again. What it wrote waits meanwhile for
// a worker that can read it.
func upgrade(f *blow) error {
	for i, next := range []bool{true, false, true} {
		f.w.newer = next
		for _, p := range f.w.running() {
			if err := f.replace(p, next, i != 1); err != nil {
				return err
			}
		}
		if i == 1 {
			waited := 0
			await(f.ctx, 20*time.Second, func() bool {
				for _, p := range f.w.running() {
					_, body := p.get("/readyz")
					waited = max(waited, strings.Count(body, "upgrade this worker"))
				}
				return waited > 0
			})
			f.show("partitions that waited for the upgrade", waited)
			f.happened = min(waited, 1)
		}
		f.sleep(f.between(time.Second, 3*time.Second))
	}
	return nil
}
