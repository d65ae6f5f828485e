// Soak runs a deployment for a long time at a steady rate and sees whether anything grows: worker processes of the
// product's binary on a real broker, which are restarted, killed and scaled while it runs. It prints a table and a verdict
// for every quantity, and ends with 1 if one of them grows.
//
// Its settings are environment variables, see settings. `make soak` runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// settings are the environment variables of a run.
type settings struct {
	minutes float64 // SOAK_MINUTES: how long it takes, 30
	broker  string  // SOAK_BROKER: kafka, the default, or embedded
	rate    float64 // SOAK_RATE: input records a second, 4000: a memtable of Pebble's is full after a minute or so
	port    int     // SOAK_PORT: the first of some ports that broker and workers listen on, 26000
	dir     string  // SOAK_DIR: where logs, configurations and states are kept; a new one below TMPDIR, which is removed if all is flat
	binary  string  // SOAK_BINARY: the worker, bin/firstseen
	every   time.Duration
}

// minWork is the least of minutes times rate that shows something.
const minWork = 60_000

func readSettings() (s settings, err error) {
	get := func(name, def string) string {
		if v := os.Getenv("SOAK_" + name); v != "" {
			return v
		}
		return def
	}
	number := func(name, def string) float64 {
		n, e := strconv.ParseFloat(get(name, def), 64)
		if e != nil || n <= 0 {
			err = errors.Join(err, fmt.Errorf("SOAK_%s must be a number above 0, is %q", name, get(name, def)))
		}
		return n
	}
	s = settings{minutes: number("MINUTES", "30"), broker: get("BROKER", "kafka"), rate: number("RATE", "4000"), port: int(number("PORT", "26000")),
		dir: get("DIR", ""), binary: get("BINARY", "bin/firstseen"), every: 5 * time.Second}
	if s.broker != "kafka" && s.broker != "embedded" {
		err = errors.Join(err, fmt.Errorf("SOAK_BROKER must be kafka or embedded, is %q", s.broker))
	}
	if s.minutes*s.rate < minWork {
		err = errors.Join(err, fmt.Errorf("SOAK_MINUTES times SOAK_RATE must be at least %d: memory and store grow until Pebble's memtables have been full some times", minWork))
	}
	return s, err
}

func main() {
	s, err := readSettings()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := soak(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// soak is one run. The error says what grows, or what could not be done.
func soak(ctx context.Context, s settings) (err error) {
	made := s.dir == ""
	if made {
		s.dir, err = os.MkdirTemp("", "soak")
	} else {
		err = os.MkdirAll(s.dir, 0o755)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err == nil && made {
			err = os.RemoveAll(s.dir)
		} else {
			fmt.Fprintln(os.Stderr, "soak: logs and states are in", s.dir)
		}
	}()
	b, err := startBroker(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	d, err := found(ctx, s, b.address)
	if err != nil {
		return err
	}
	defer d.close()
	fmt.Printf("%g minutes at %g records a second, %s broker, in %s\n", s.minutes, s.rate, s.broker, s.dir)

	limit, cancel := context.WithTimeout(ctx, time.Duration(s.minutes*float64(time.Minute)))
	defer cancel()
	failed := make(chan error, 2)
	go func() { failed <- d.load(limit) }()
	go func() { failed <- d.churn(limit, rand.New(rand.NewPCG(1, 1))) }()
	p := newProbe(d, b)
	sampleErr := p.watch(limit)
	cancel()
	if err := errors.Join(sampleErr, <-failed, <-failed); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return d.judge(p)
}

// judge ends the workers, prints the table and says what is wrong.
func (d *deployment) judge(p *probe) error {
	unready := d.awaitReady()
	alerts := p.counted("firstseen_alerts_total")
	stopErr := d.stop()
	bad := report(os.Stdout, p.rows)
	fmt.Printf("%d records, %.0f alerts of worker 1, %d restarts, %d of them kills, %d times scaled\n", d.sent.Load(), alerts, d.restarts, d.kills, d.scaled)
	switch {
	case unready != nil:
		return unready
	case stopErr != nil:
		return stopErr
	case alerts == 0 || d.restarts == 0:
		return errors.New("nothing happened: this shows nothing")
	case len(bad) > 0:
		return fmt.Errorf("not flat: %v", bad)
	}
	return nil
}

func (s *settings) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}
