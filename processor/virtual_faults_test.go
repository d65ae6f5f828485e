//go:build synctests

package processor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/state"
)

// trap is set for a message of a member: when it passes, the schedule does something before it goes on.
type trap struct {
	member *member
	at     message
	skip   int           // this many first
	hit    chan struct{} // closed when it has come
	done   chan fate     // what becomes of it
}

// passing is asked by the networks of all members about each message.
func (w *world) passing(m *member, l *life, msg message) fate {
	w.mu.Lock()
	i := slices.IndexFunc(w.traps, func(t *trap) bool { return t.member == m && t.member.life == l && t.at == msg })
	if i < 0 {
		w.mu.Unlock()
		return fate{}
	}
	t := w.traps[i]
	if t.skip > 0 {
		t.skip--
		w.mu.Unlock()
		return fate{}
	}
	w.traps = slices.Delete(w.traps, i, i+1)
	w.mu.Unlock()
	close(t.hit)
	return <-t.done
}

// when waits until a message of m passes, does what is to be done and decides about the message. If none comes for a
// while, it is done all the same.
func (w *world) when(m *member, at message, skip int, do func() fate) {
	t := &trap{member: m, at: at, skip: skip, hit: make(chan struct{}), done: make(chan fate, 1)}
	w.mu.Lock()
	w.traps = append(w.traps, t)
	w.mu.Unlock()
	select {
	case <-t.hit:
		w.note("%s: %s", m.name, at)
		w.counts[at.String()]++
	case <-time.After(time.Second):
		w.mu.Lock()
		w.traps = slices.DeleteFunc(w.traps, func(o *trap) bool { return o == t })
		w.mu.Unlock()
	}
	t.done <- do()
}

// pick takes one of these by chance.
func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// between is a time from least to most.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}

// moment is a message of a turn, or sometimes one of a join, a takeover or an idle moment.
func (w *world) moment(answers float64) message {
	keys := []kmsg.Key{kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.EndTxn}
	if w.rng.IntN(5) == 0 {
		keys = []kmsg.Key{kmsg.InitProducerID, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.Heartbeat, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata}
	}
	return message{pick(w.rng, keys...), w.rng.Float64() < answers}
}

// later has fn called by the schedule in a while.
func (w *world) later(in time.Duration, fn func()) {
	at := time.Now().Add(in)
	i, _ := slices.BinarySearchFunc(w.agenda, at, func(e appointment, at time.Time) int { return e.at.Compare(at) })
	w.agenda = slices.Insert(w.agenda, i, appointment{at, fn})
}

// appointment is something that the schedule will do.
type appointment struct {
	at time.Time
	do func()
}

// A misfortune is something that happens to a world.
type misfortune struct {
	name  string
	share int
	do    func(w *world, m *member)
}

var misfortunes = []misfortune{
	{"kill", 8, func(w *world, m *member) {
		at := w.moment(0.5)
		w.when(m, at, w.rng.IntN(3), func() fate {
			m.kill(w.rng.IntN(3) == 0)
			return fate{lost: w.rng.IntN(2) == 0}
		})
		m.back(between(w.rng, 0, 10*time.Second))
	}},
	{"zombie", 4, func(w *world, m *member) {
		at, l := w.moment(0.5), m.life
		if l == nil {
			return
		}
		w.when(m, at, w.rng.IntN(3), func() fate {
			l.net.freeze()
			w.note("%s is frozen", m.name)
			return fate{}
		})
		w.later(between(w.rng, 4*time.Second, 14*time.Second), func() {
			w.note("%s is thawed", m.name)
			l.net.melt()
		})
	}},
	{"lost", 8, func(w *world, m *member) {
		at := w.moment(0.75)
		w.when(m, at, w.rng.IntN(3), func() fate {
			w.note("%s: the %s is lost", m.name, at)
			return fate{lost: true}
		})
	}},
	{"late", 5, func(w *world, m *member) {
		at, delay := w.moment(0.5), between(w.rng, 0, 12*time.Second)
		w.when(m, at, w.rng.IntN(3), func() fate {
			w.note("%s: the %s is late by %s", m.name, at, delay)
			return fate{delay: delay}
		})
	}},
	{"reset", 2, func(w *world, m *member) {
		if m.life != nil {
			m.life.net.reset()
			w.note("%s: all connections are reset", m.name)
		}
	}},
	{"hold", 3, func(w *world, m *member) {
		if l := m.life; l != nil {
			hold := between(w.rng, time.Second, 10*time.Second)
			l.hold.Store(int64(hold))
			w.note("%s: a transaction is held open for %s", m.name, hold)
		}
	}},
	{"refuse", 6, func(w *world, _ *member) {
		f := pick(w.rng, refusals...)
		f.Count = 1 + w.rng.IntN(6)
		w.refused = append(w.refused, w.kfake.Fault(f))
		w.note("the brokers answer %s with %s, %d times", f.Keys[0].Name(), f.Err.Message, f.Count)
	}},
	{"move", 4, func(w *world, _ *member) {
		if w.rng.IntN(2) == 0 {
			w.kfake.RehashCoordinators()
			w.note("the coordinators move")
			return
		}
		topic := w.app + pick(w.rng, ".candidates", ".findings", ".detect.changelog", ".group.changelog", "-cloudtrail", "-s3access")
		n, node := w.rng.Int32N(virtualPartitions), w.rng.Int32N(3)
		err := w.kfake.MoveTopicPartition(topic, n, node)
		w.note("%s/%d moves to broker %d: %v", topic, n, node, err)
	}},
	{"restart", 3, func(w *world, m *member) {
		w.end(m)
		m.back(between(w.rng, 0, 10*time.Second))
	}},
	{"disk", 3, func(w *world, m *member) {
		if w.rng.IntN(2) == 0 {
			m.kill(false)
		} else {
			w.end(m)
		}
		if m.older != nil && w.rng.IntN(2) == 0 {
			w.note("%s has an older copy of its disk", m.name)
			m.disk = m.older.copied(w.rng)
		} else {
			w.note("%s has lost its disk", m.name)
			m.disk = newRAMDisk(vfs.NewCrashableMem())
		}
		m.back(between(w.rng, 0, 4*time.Second))
	}},
	{"copy", 3, func(w *world, m *member) { m.older = m.disk.copied(w.rng) }},
	{"stray", 3, func(w *world, _ *member) { // as a request of a dead worker leaves that arrives late
		topic, n, long := w.app+pick(w.rng, ".detect.changelog", ".group.changelog"), w.rng.Int32N(virtualPartitions), between(w.rng, time.Second, 2*virtualTiming.Transaction)
		err := w.stray(topic, n, long)
		w.note("a transaction of nobody's is open in %s/%d for %s: %v", topic, n, long, err)
	}},
	{"outage", 1, func(w *world, _ *member) {
		for _, m := range w.members {
			if w.rng.IntN(2) == 0 {
				m.kill(w.rng.IntN(2) == 0)
			} else {
				w.end(m)
			}
			m.back(between(w.rng, 0, 3*time.Second))
		}
		long := between(w.rng, time.Hour, 6*24*time.Hour)
		w.note("everything is down for %s", long)
		for i := range w.agenda {
			w.agenda[i].at = w.agenda[i].at.Add(long)
		}
		time.Sleep(long)
	}},
}

// refusals are errors that a healthy cluster gives at times.
var refusals = []kfake.Fault{
	{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.NotCoordinator},
	{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.CoordinatorLoadInProgress},
	{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ConcurrentTransactions},
	{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.NotCoordinator},
	{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.CoordinatorLoadInProgress},
	{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RequestTimedOut},
	{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration},
	{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition},
	{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut},
	{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend},
	{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas},
	{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition},
	{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.FencedLeaderEpoch},
	{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.UnstableOffsetCommit},
	{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress},
	{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress},
	{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.NotCoordinator},
	{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Err: kerr.ConcurrentTransactions},
	{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress},
	{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID},
	{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.NotCoordinator},
	{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorLoadInProgress},
	{Keys: []kmsg.Key{kmsg.SyncGroup}, Err: kerr.RebalanceInProgress},
	{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.LeaderNotAvailable},
	{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable},
}

// stray opens a transaction in a partition that nobody ends: it times out.
func (w *world) stray(topic string, partition int32, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
	defer cancel()
	// An id has the time-out of its first producer here.
	cl := w.client(kgo.TransactionalID(fmt.Sprint("stray-", w.counts["stray"])), kgo.TransactionTimeout(timeout), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Key: []byte(state.BarrierKey)}).FirstErr()
}

// back has a member that is down start again.
func (m *member) back(in time.Duration) { m.w.later(in, m.start) }

// end stops a member well, and reports whether it had the time to. A process that does not end within its time is killed,
// as supervisors do.
func (w *world) end(m *member) (well bool) {
	l := m.life
	if l == nil {
		return true
	}
	w.note("%s stops", m.name)
	l.cancel()
	select {
	case <-l.ended:
		if l.err != nil && !errors.Is(l.err, ErrUnreachable) {
			w.fail("%s stopped with %v", m.name, l.err)
		}
	case <-time.After(10 * time.Second):
		w.fail("%s does not stop", m.name)
	}
	m.kill(false)
	return l.err == nil
}

// finish stops all members well, so that their stores are on their disks.
func (w *world) finish() {
	left := slices.Clone(w.members)
	for range 5 {
		w.settle()
		for _, m := range left {
			m.life.cancel() // together: one that is gone would have the others wait
		}
		left = slices.DeleteFunc(left, w.end)
		if len(left) == 0 {
			return
		}
		time.Sleep(virtualTiming.Session)
		for _, m := range left {
			m.start()
		}
	}
	w.fail("%d workers cannot be stopped well", len(left))
}

// settle waits until everything has been processed and nobody joins a group.
func (w *world) settle() {
	waits := func() string {
		for _, m := range w.members {
			if m.life != nil && len(m.life.NotReady()) > 0 {
				return fmt.Sprintf("%s is not ready: %v", m.name, m.life.NotReady())
			}
		}
		for _, s := range []struct{ group, topic string }{{".ingest", "-cloudtrail"}, {".ingest", "-s3access"}, {".detect", ".candidates"}, {".group", ".findings"}} {
			groups, err := w.adm.DescribeGroups(w.t.Context(), w.app+s.group)
			if g := groups[w.app+s.group]; err != nil || g.State != "Stable" {
				return fmt.Sprintf("group %s is %s: %v", g.Group, g.State, err)
			}
			if !w.drained(w.app+s.group, w.app+s.topic) {
				return fmt.Sprintf("group %s is not at the end of %s", w.app+s.group, w.app+s.topic)
			}
		}
		return ""
	}
	calm := 0 // seconds: a group that looks stable may be about to rebalance once more, to hand over what was revoked
	for deadline := time.Now().Add(2 * time.Minute); calm < 4; time.Sleep(time.Second) {
		w.revive((*member).start) // one that was frozen may hear only now that it was fenced
		why := waits()
		calm++
		if why != "" {
			calm = 0
		}
		if time.Now().After(deadline) {
			w.fail("after two minutes without misfortune, %s", why)
			return
		}
	}
	w.note("settled")
}

// fail notes what must not happen.
func (w *world) fail(format string, args ...any) {
	w.note("FAILED: "+format, args...)
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

// suffer lets misfortunes happen for a while.
func (w *world) suffer(long time.Duration) {
	total := 0
	for _, f := range misfortunes {
		total += f.share
	}
	var next func()
	next = func() {
		n := w.rng.IntN(total)
		i := slices.IndexFunc(misfortunes, func(f misfortune) bool { n -= f.share; return n < 0 })
		m := w.members[w.rng.IntN(len(w.members))]
		w.note("misfortune: %s %s", misfortunes[i].name, m.name)
		w.counts[misfortunes[i].name]++
		misfortunes[i].do(w, m)
		w.later(between(w.rng, 0, 3*time.Second), next)
	}
	w.later(between(w.rng, 0, 3*time.Second), next)
	for end := time.Now().Add(long); len(w.agenda) > 0 && w.agenda[0].at.Before(end); {
		e := w.agenda[0]
		w.agenda = w.agenda[1:]
		time.Sleep(time.Until(e.at))
		w.revive(func(m *member) { m.back(time.Second) })
		e.do()
	}
}

// revive has workers that have ended by themselves start again, as supervisors do. Only brokers that cannot be reached
// are a reason to end.
func (w *world) revive(start func(*member)) {
	for _, m := range w.members {
		if l := m.life; l != nil {
			select {
			case <-l.ended:
				w.end(m)
				start(m)
			default:
			}
		}
	}
}

// calm ends all misfortunes.
func (w *world) calm() {
	w.note("calm")
	w.revive((*member).start)
	w.agenda = nil
	for _, f := range w.refused {
		f.Remove()
	}
	for _, m := range w.members {
		if m.life != nil {
			m.life.net.melt()
		}
		m.start()
	}
}
