package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// boot starts the brokers and prepares everything that must be there before the first worker. Of an interrupted run it
// ends what was left behind, and takes back what a fault had done.
func (w *world) boot(ctx context.Context) (err error) {
	if w.run, err = openRun(w.settings); err != nil {
		return err
	}
	for _, d := range []string{"workers", "old"} {
		if err := os.MkdirAll(filepath.Join(w.Dir, d), 0o700); err != nil {
			return err
		}
	}
	if w.journal, err = openJournal(w.Dir); err != nil {
		return err
	}
	for n := range maxWorkers {
		p := w.newWorker(n)
		p.orphan()
		os.Remove(p.full())
		w.fleet = append(w.fleet, p)
	}
	for _, f := range faults { // any of them may have been interrupted
		if len(w.journal.all()) > 0 {
			w.active.begin(f.name)()
		}
	}
	n, _ := w.journal.total("upgrade")
	w.newer = n > 0
	if err := w.build(ctx); err != nil {
		return err
	}
	if w.proxy, err = newProxy(); err != nil {
		return err
	}
	if w.Broker == "kafka" {
		w.brokers = newKafka(w.run)
	} else {
		w.brokers = &embedded{dir: filepath.Join(w.Dir, "broker"), port: w.Port}
	}
	say("starting the brokers")
	if w.Brokers, err = w.brokers.start(); err != nil {
		return err
	}
	if err := errors.Join(w.save(), w.open()); err != nil {
		return err
	}
	if err := w.allow(); err != nil {
		return err
	}
	for _, p := range w.fleet {
		p.next = w.newer
		if err := p.configure(); err != nil {
			return err
		}
	}
	if err := w.createSources(ctx); err != nil {
		return err
	}
	if _, err := w.fleet[0].command(ctx, "topics", "create"); err != nil {
		return err
	}
	return w.keepTombstones(ctx, 7*24*time.Hour)
}

// allow takes every rule about what clients may do away.
func (w *world) allow() error {
	if w.Broker != "kafka" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var last error
	ok := await(ctx, time.Minute, func() bool {
		// What is denied first: with nothing allowed beside it, all else would be denied, too.
		for _, b := range []*kadm.ACLBuilder{kadm.NewACLs().Deny().DenyHosts(), kadm.NewACLs().Allow().AllowHosts()} {
			if _, last = w.adm.DeleteACLs(ctx, b.Topics().Operations(kadm.OpAny).ResourcePatternType(kadm.ACLPatternAny)); last != nil {
				return false
			}
		}
		return true
	})
	if !ok {
		return fmt.Errorf("take the rules about topics back: %w", last)
	}
	return nil
}

// close ends everything that the run has started, and keeps what is on disk.
func (w *world) close() error {
	for _, p := range w.fleet {
		p.signal(syscall.SIGCONT)
		p.kill()
	}
	if w.proxy != nil {
		w.proxy.close()
	}
	if w.brokers == nil {
		return nil
	}
	return w.brokers.stop()
}

// settle has everything up and waits until all that was written has been processed, then stops the workers. It returns
// what is not as it should be.
func (w *world) settle(ctx context.Context, stopWatching func()) (wrong []string) {
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	w.proxy.clear()
	if err := w.allow(); err != nil {
		add("%v", err)
	}
	for _, p := range w.fleet {
		if p.lookForDamage(); !p.isDamaged() {
			continue
		}
		// What was flipped has not been read yet. The judge would, and a worker may never.
		w.note("sst-corrupt", unnoticed)
		runs := p.running()
		p.kill()
		err := p.dropState()
		if runs {
			err = errors.Join(err, p.start())
		}
		if err != nil {
			add("%v", err)
		}
	}
	if _, err := w.operate(ctx, 2*time.Minute); err != nil {
		add("%v", err)
	}
	limit := 2*time.Minute + 2*w.times().rebalance
	for _, s := range []string{"ingest", "detect", "group"} {
		group := w.App + "." + s
		for _, topic := range w.inputs()[group] {
			if !await(ctx, limit, func() bool { return w.drained(ctx, group, topic) }) {
				w.behind = true
				add("group %s has not processed all of %s %s after the last fault", group, topic, limit)
			}
		}
	}
	stopWatching()
	for _, p := range w.running() {
		if p.stop(); p.ended != 0 {
			add("%s ended with exit code %d when it was stopped", p.name, p.ended)
		}
	}
	var open []string
	if !await(ctx, w.times().transaction+30*time.Second, func() bool {
		open = nil
		all, err := w.adm.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
		for _, t := range all {
			open = append(open, t.TxnID+" "+t.State)
		}
		return err == nil && len(open) == 0
	}) {
		add("open transactions: %s", strings.Join(open, ", "))
	}
	return wrong
}

// stateDirs are the state directories of all workers, also of such as do not run any more.
func (w *world) stateDirs() (dirs []string) {
	for _, p := range w.fleet {
		if _, err := os.Stat(p.state); err == nil {
			dirs = append(dirs, p.state)
		}
	}
	return dirs
}
