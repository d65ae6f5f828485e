// Command chaos attacks real worker processes on real brokers, with a generator whose right answer is known, and judges
// what came of it: no alert missing, doubled or wrong, every store equal to a fold over the input.
//
//	make chaos CHAOS_MINUTES=60 CHAOS_SEED=7
//
// The environment says what to do: CHAOS_MINUTES under fire (3), CHAOS_SEED (drawn), CHAOS_BROKER kafka or embedded,
// CHAOS_TIMERS short (session time-out 3 s) or default, CHAOS_RATE records a second (200), CHAOS_DIR (.build/chaos/SEED).
// CHAOS_MUTANT names a rule of the protocol that the workers break: then the run succeeds only if the verdict finds it. With
// CHAOS_MUTANT=all each of them has a run of its own (make chaos-mutants), and all must be found.
//
// A run that is interrupted goes on when it is started again with the same CHAOS_DIR and CHAOS_SEED.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// settings are what the environment says.
type settings struct {
	minutes float64
	seed    uint64
	broker  string
	timers  string
	mutant  string
	rate    int
	dir     string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := fromEnvironment()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	attack := s.attack
	if s.mutant == "all" {
		attack = s.attackMutants
	}
	ok, err := attack(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		fmt.Fprintf(os.Stderr, "chaos: everything is in %s; to go on, with all else that was set: CHAOS_SEED=%d CHAOS_DIR=%s\n", s.dir, s.seed, s.dir)
		os.Exit(3)
	}
	if !ok {
		os.Exit(1)
	}
}

func fromEnvironment() (s settings, err error) {
	get := func(name, or string) string {
		if v := os.Getenv("CHAOS_" + name); v != "" {
			return v
		}
		return or
	}
	oneOf := func(name, or string, more ...string) string {
		v := get(name, or)
		for _, m := range append(more, or) {
			if v == m {
				return v
			}
		}
		err = errors.Join(err, fmt.Errorf("CHAOS_%s=%s is not one of %s %v", name, v, or, more))
		return v
	}
	var e1, e2, e3 error
	s.minutes, e1 = strconv.ParseFloat(get("MINUTES", "3"), 64)
	s.seed, e2 = strconv.ParseUint(get("SEED", fmt.Sprint(rand.Uint32())), 10, 64)
	s.rate, e3 = strconv.Atoi(get("RATE", "200"))
	s.broker = oneOf("BROKER", "kafka", "embedded")
	s.timers = oneOf("TIMERS", "short", "default")
	s.mutant = oneOf("MUTANT", "", append(mutants, "all")...)
	if err = errors.Join(err, e1, e2, e3); err != nil {
		return s, err
	}
	s.dir, err = filepath.Abs(get("DIR", filepath.Join(".build", "chaos", fmt.Sprint(s.seed))))
	return s, err
}

// attack is one start of a run, from boot to verdict.
func (s settings) attack(ctx context.Context) (ok bool, err error) {
	began := time.Now()
	if _, err := os.Stat(script); err != nil {
		return false, fmt.Errorf("%w: run it at the root of the repository", err)
	}
	say("seed %d in %s", s.seed, s.dir)
	w := &world{settings: s}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.boot(ctx); err != nil {
		return false, err
	}
	defer w.cl.Close()
	g, err := openGenerator(ctx, w.run)
	if err != nil {
		return false, err
	}
	defer g.Close()
	w.traffic = g
	eyes, err := openWitness(ctx, w.run)
	if err != nil {
		return false, err
	}
	defer eyes.Close()
	for _, p := range w.fleet[:3] {
		if err := p.start(); err != nil {
			return false, err
		}
	}
	written := make(chan error, 1)
	writing, stopWriting := context.WithCancel(ctx)
	defer stopWriting()
	go func() { written <- g.run(writing) }()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go w.seen.run(watching, w)
	if _, err := w.operate(ctx, time.Minute); err != nil { // a jump may have been interrupted
		return false, err
	}
	if status, _ := w.fleet[0].get("/healthz"); status == 0 {
		return false, fmt.Errorf("the workers do not come up; see %s", w.fleet[0].log)
	}
	say("under fire after %s, %s so far", time.Since(began).Round(time.Second), w.journal.underFire().Round(time.Second))
	w.journal.began = time.Now()
	err = newSchedule(w).run(ctx)
	under := w.journal.underFire()
	if err = errors.Join(err, w.noteAborts(), w.noteExits(), ctx.Err()); err != nil {
		return false, err
	}
	stopWriting()
	if err := <-written; err != nil {
		return false, err
	}
	say("the faults have ended after %s; waiting until all is processed", under.Round(time.Second))
	drained := w.settle(ctx, stopWatching)
	if err := errors.Join(w.noteExits(), ctx.Err()); err != nil {
		return false, err
	}
	verdict, err := judge(ctx, w.run, eyes, w.stateDirs())
	if err != nil {
		return false, fmt.Errorf("judge: %w", err)
	}
	return w.report(under, drained, verdict), nil
}

// build builds the workers that the run starts.
func (w *world) build(ctx context.Context) error {
	for _, b := range []struct{ path, tags string }{{w.binary(false), "chaos"}, {w.binary(true), "chaos,chaosnext"}} {
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", b.tags, "-ldflags", "-X main.version="+filepath.Base(b.path), "-o", b.path, "./cmd/firstseen")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build a worker with the tags %s: %w\n%s", b.tags, err, out)
		}
	}
	return nil
}

// binary is the program of the workers, or the next version of it.
func (w *world) binary(next bool) string {
	if next {
		return filepath.Join(w.settings.dir, "firstseen-next")
	}
	return filepath.Join(w.settings.dir, "firstseen")
}
