package main

import (
	"os"
	"strings"
)

// What the journal calls a corrupted table that a worker has noticed, and one that none had until the end.
const (
	noticed   = "noticed and restored"
	unnoticed = "never noticed"
)

// isDamaged reports whether a table of the worker's store has been corrupted and it has not said so yet.
func (p *worker) isDamaged() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.damage > 0
}

// corrupted has it watched for what it says from now on.
func (p *worker) corrupted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.damage = 1
	if info, err := os.Stat(p.log); err == nil {
		p.damage += info.Size()
	}
}

// lookForDamage writes down when the worker has noticed what was corrupted. It may take long: a table is checked when it
// is read.
func (p *worker) lookForDamage() {
	if !p.isDamaged() {
		return
	}
	b, err := os.ReadFile(p.log)
	p.mu.Lock()
	found := err == nil && p.damage > 0 && p.damage <= int64(len(b)) && strings.Contains(string(b[p.damage-1:]), "the state directory is damaged")
	if found {
		p.damage = 0
	}
	p.mu.Unlock()
	if found {
		p.w.note("sst-corrupt", noticed)
	}
}

// dropState deletes the state directory of a worker that does not run, and with it what was corrupted.
func (p *worker) dropState() error {
	p.lookForDamage()
	p.mu.Lock()
	p.damage = 0
	p.mu.Unlock()
	return os.RemoveAll(p.state)
}

// note writes down that something was seen of a kind of fault after it was over.
func (w *world) note(kind, what string) {
	if err := w.journal.add(entry{N: w.journal.next() - 1, Kind: kind, Shows: map[string]int{what: 1}}); err != nil {
		w.findings.add("journal: %v", err)
	}
}
