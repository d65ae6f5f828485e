package main

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// abandon leaves a transaction open that nobody ends: a worker is killed in it and its members are taken out of the
// groups. The others take its partitions over, and are killed while it is still open: what they have to restore may lie
// beyond the last stable offset.
func abandon(f *blow) error {
	running := f.w.running()
	if len(running) < 2 {
		return nil
	}
	i := f.dice.IntN(len(running))
	f.p = running[i]
	limit, met := time.Now().Add(5*time.Second), false
	for !met && time.Now().Before(limit) {
		met = f.writes() // asked often: a transaction is open for some milliseconds
	}
	if !met {
		return f.ctx.Err()
	}
	f.strike()
	for _, g := range f.w.groups() {
		if err := insist(f.ctx, func() error { return f.expel(g) }); err != nil {
			return err
		}
	}
	// The others take over: they know at their next heartbeat. What they restore waits for the open transaction, unless
	// they stop before it; then they commit behind it.
	f.sleep(f.between(f.w.times().session/6, f.w.times().session))
	open := f.writes()
	for j, p := range running {
		if j == i {
			continue
		}
		p.kill()
		f.show("kills", 1)
		if f.dice.IntN(2) == 0 { // all they know is in the changelog
			f.show("state directories deleted", 1)
			if err := p.dropState(); err != nil {
				return err
			}
		}
		if err := p.start(); err != nil {
			return err
		}
	}
	if open {
		f.happened = 1
	}
	f.sleep(f.between(f.w.times().session/2, f.w.times().session))
	return f.p.start() // which ends the transaction
}

// writes reports whether a transaction of the worker is open that writes to a changelog.
func (f *blow) writes() bool {
	ctx, cancel := context.WithTimeout(f.ctx, 3*time.Second)
	defer cancel()
	open, _ := f.w.adm.ListTransactions(ctx, nil, []string{"Ongoing"}) // of the brokers that answer
	for _, t := range open {
		if t.TxnID == f.w.App+"-detect-"+f.p.name+"-0" || t.TxnID == f.w.App+"-group-"+f.p.name+"-0" {
			return true
		}
	}
	return false
}

// expel takes the worker's members out of a group, but leaves its transactions alone, unlike `firstseen leave`.
func (f *blow) expel(group string) error {
	described, err := f.w.adm.DescribeGroups(f.ctx, group)
	if err != nil {
		return err
	}
	var members []string
	for _, m := range described[group].Members {
		if m.InstanceID != nil && strings.Contains(*m.InstanceID, "-"+f.p.name+"-") {
			members = append(members, *m.InstanceID)
		}
	}
	if len(members) > 0 {
		_, err = f.w.adm.LeaveGroup(f.ctx, kadm.LeaveGroup(group).InstanceIDs(members...).Reason("chaos"))
	}
	return err
}
