package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// need is what a fault takes hold of: two faults never have the same at a time.
type need int

const (
	nothing   need = iota
	oneWorker      // any worker that runs
	theBrokers
	theRights
	theFleet // all workers
	theWorld // all workers and brokers
)

// fault is a kind of fault.
type fault struct {
	name   string
	weight int  // cards of it in a deck
	needs  need //
	kafka  bool // only on Apache Kafka
	counts string
	do     func(f *blow) error
}

// blow is one fault that is being done.
type blow struct {
	ctx  context.Context // ends when the run is interrupted
	w    *world
	dice *rand.Rand
	p    *worker // of a fault that needs one

	happened int // how often it really happened
	shows    map[string]int
	note     string
}

// faults are all kinds. What must be seen for one to count is said behind it.
var faults = []fault{
	{"kill", 10, oneWorker, false, "SIGKILL", kill},
	{"zombie", 4, oneWorker, false, "frozen until the groups had expelled it, then thawed", zombie},
	{"cut", 4, oneWorker, false, "connections closed between EndTxn and its answer", cutAnswers},
	{"delay", 1, oneWorker, false, "spells of slow frames", delay},
	{"partition", 2, oneWorker, false, "one worker cut off from one broker", partition},
	{"broker", 1, theBrokers, false, "SIGKILL of a broker", killBroker},
	{"txn-coordinator", 1, theBrokers, true, "SIGKILL of the broker that coordinates a worker's transactions", killTxnCoordinator},
	{"group-coordinator", 1, theBrokers, true, "SIGKILL of the broker that coordinates a group", killGroupCoordinator},
	{"state-deleted", 1, oneWorker, false, "state directory deleted after SIGKILL", stateDeleted},
	{"state-old", 1, oneWorker, false, "state directory replaced by an older copy of itself", stateOld},
	{"sst-corrupt", 1, oneWorker, false, "bytes flipped in a table of the store", corruptTable},
	{"wal-corrupt", 1, oneWorker, false, "bytes flipped in the store's log", corruptLog},
	{"disk-full", 1, oneWorker, false, "writes to the state directory failed with ENOSPC", diskFull},
	{"poison", 2, nothing, false, "input records that cannot be read", poisonInput},
	{"acl", 1, theRights, true, "an authorisation revoked, and met", revoke},
	{"rolling", 1, theFleet, false, "every worker stopped and started, one after the other", rolling},
	{"scale", 1, theFleet, false, "from 1 to 4 to 2 workers", scale},
	{"upgrade", 1, theFleet, false, "rolling upgrade to another build, back, where newer records wait, and again", upgrade},
	{"abandoned", 2, theFleet, false, "the others killed behind a transaction that a dead worker left open", abandon},
	{"jump", 1, theWorld, false, "everything down for 16 days", jump},
}

// timing is how long things take with the run's time-outs.
type timing struct {
	session, transaction, rebalance time.Duration
	outage                          time.Duration // of a broker or a connection, at most
}

func (w *world) times() timing {
	if w.Timers == "short" {
		return timing{3 * time.Second, 2500 * time.Millisecond, 10 * time.Second, 6 * time.Second}
	}
	return timing{45 * time.Second, 40 * time.Second, time.Minute, 20 * time.Second}
}

// between draws a time.
func (f *blow) between(least, most time.Duration) time.Duration {
	return least + time.Duration(f.dice.Int64N(int64(most-least)+1))
}

func (f *blow) sleep(d time.Duration) { sleep(f.ctx, d) }

func (f *blow) show(what string, n int) { f.shows[what] += n }

// open reports whether a transaction of the worker is open on the brokers.
func (f *blow) open() bool {
	ctx, cancel := context.WithTimeout(f.ctx, 3*time.Second)
	defer cancel()
	open, _ := f.w.adm.ListTransactions(ctx, nil, []string{"Ongoing"}) // of the brokers that answer
	for _, t := range open {
		if strings.HasPrefix(t.TxnID, f.w.App+"-") && strings.Contains(t.TxnID, "-"+f.p.name+"-") {
			return true
		}
	}
	return false
}

// strike kills the worker and sees what it met.
func (f *blow) strike() {
	f.p.kill()
	f.show("kills", 1)
	if f.open() {
		f.show("kills that met an open transaction", 1)
	}
}

func kill(f *blow) error {
	f.strike()
	f.happened = 1
	switch f.dice.IntN(6) {
	case 0: // long enough to be expelled
		f.sleep(f.w.times().session + time.Second)
	case 1, 2, 3:
		f.sleep(f.between(0, 500*time.Millisecond))
	}
	if err := f.p.start(); err != nil || f.dice.IntN(2) == 0 {
		return err
	}
	f.sleep(f.between(300*time.Millisecond, 3*time.Second)) // while it takes over, or just after
	f.strike()
	f.happened++
	return f.p.start()
}

// expelled counts the groups that have no member of the worker.
func (f *blow) expelled() (n int) {
	ctx, cancel := context.WithTimeout(f.ctx, 3*time.Second)
	defer cancel()
	groups, err := f.w.adm.DescribeGroups(ctx, f.w.groups()...)
	if err != nil {
		return 0
	}
	for _, g := range groups {
		if g.Err == nil && !slices.ContainsFunc(g.Members, func(m kadm.DescribedGroupMember) bool {
			return m.InstanceID != nil && strings.Contains(*m.InstanceID, "-"+f.p.name+"-")
		}) {
			n++
		}
	}
	return n
}

func (w *world) groups() []string {
	return []string{w.App + ".ingest", w.App + ".detect", w.App + ".group"}
}

func zombie(f *blow) error {
	f.p.signal(syscall.SIGSTOP)
	defer f.p.signal(syscall.SIGCONT)
	if f.open() {
		f.show("frozen with an open transaction", 1)
	}
	t := f.w.times()
	f.sleep(t.session + time.Second)
	n := 0
	await(f.ctx, t.session+20*time.Second, func() bool { n = f.expelled(); return n == 3 })
	if n > 0 {
		f.happened = 1
	}
	f.sleep(f.between(0, 2*time.Second)) // the others have its partitions meanwhile
	return nil
}

func cutAnswers(f *blow) error {
	want := 4 + f.dice.IntN(3)
	before := f.w.proxy.toll(f.p.name).cuts
	f.w.proxy.set(f.p.name, weather{cuts: want, early: f.dice.IntN(3) == 0})
	defer f.w.proxy.set(f.p.name, weather{})
	f.w.proxy.awaitCuts(f.ctx, f.p.name, 15*time.Second)
	f.happened = f.w.proxy.toll(f.p.name).cuts - before
	return nil
}

func delay(f *blow) error {
	before := f.w.proxy.toll(f.p.name).delayed
	f.w.proxy.set(f.p.name, weather{delay: f.between(20*time.Millisecond, 300*time.Millisecond), broker: f.anyBroker(2)})
	defer f.w.proxy.set(f.p.name, weather{})
	f.sleep(f.between(2*time.Second, f.w.times().outage))
	if n := f.w.proxy.toll(f.p.name).delayed - before; n > 0 {
		f.happened = 1
		f.show("frames", n)
	}
	return nil
}

// anyBroker is the address of a broker, or empty for all of them, once in so many times.
func (f *blow) anyBroker(all int) string {
	if all > 0 && f.dice.IntN(all) == 0 {
		return ""
	}
	return f.w.Brokers[f.dice.IntN(len(f.w.Brokers))]
}

func partition(f *blow) error {
	before := f.w.proxy.toll(f.p.name).severed
	bad := weather{broker: f.anyBroker(0), sever: true}
	if f.dice.IntN(2) == 0 {
		bad.sever, bad.hold = false, true
	}
	f.w.proxy.set(f.p.name, bad)
	defer f.w.proxy.set(f.p.name, weather{})
	f.sleep(f.between(2*time.Second, f.w.times().outage))
	switch n := f.w.proxy.toll(f.p.name).severed - before; {
	case bad.hold:
		f.happened = 1
		f.show("frames held", 1)
	case n > 0:
		f.happened = 1
		f.show("connections severed or refused", n)
	}
	return nil
}

func poisonInput(f *blow) error {
	n := 1 + f.dice.IntN(5)
	f.w.traffic.poison(n)
	f.happened = n
	return nil
}

// suspects bring a mutant out: what opens transactions, leaves them open, loses answers and makes workers restore.
var suspects = []string{"kill", "zombie", "cut", "state-deleted", "state-old", "scale", "abandoned"}

// faultsHere are the kinds of this run.
func (w *world) faultsHere() (here []fault) {
	for _, f := range faults {
		if (!f.kafka || w.Broker == "kafka") && (w.Mutant == "" || slices.Contains(suspects, f.name)) {
			if f.name == "broker" && w.Broker == "embedded" {
				f.counts = "the broker closed in order and opened again"
			}
			here = append(here, f)
		}
	}
	return here
}

func (f fault) String() string { return fmt.Sprintf("%-18s", f.name) }
