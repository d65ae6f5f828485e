package processor

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas/wire"
	"firstseen/state"
)

// Commands are what a trace is written in, and what a schedule is drawn from, a line each. NAME is a worker.
//
//	anew [BROKEN]                  forget all; BROKEN: what the new brokers do not do, fence or stable
//	start NAME [MUTANT] [on=OTHER] its process begins; MUTANT: apply-first, lso, uncommitted, go-on, or any-age, which
//	                               uses a store however old it is; it may share the store of another, as lanes of one
//	                               process do; as=OTHER gives it the instance name of another
//	step NAME [over] [HOW]         its request (or that of its takeover) arrives and is answered; HOW: arrives, the answer
//	                               is on its way; lost, the answer is; unsent, it gets no answer, but may arrive later
//	run NAME [until=CALL]          steps until CALL is what it would do next, or until it has nothing to do or waits
//	crash NAME [sent] [copy|empty] kill -9; sent: its request may still arrive; then its state is a copy made before, or none
//	copy NAME                      make a copy of its state
//	expel NAME                     its group session times out
//	timeout NAME                   its transaction times out
//	marker NAME [LOG|offsets]      a marker of its decided transaction is written; without LOG all of them
//	deliver                        requests that were left on their way arrive
//	produce p=P k=TERM [aborted]   input: a candidate
//	refuse TERM                    from now on the brokers take no finding about it
//	wait DURATION                  the brokers' clock goes on, nothing happens
//	pass DURATION                  time passes: who waits for it goes on
//	compact [tombstones]           the log cleaner runs
//	truncate LOG END               the log's leader is lost, and with it what is behind END
//	offsets P AT                   somebody sets the group's offset, or deletes it: none
//	recreate TOPIC                 a topic is deleted and created again
//	widen TOPIC                    a topic gets a partition more
//	delete LOG END                 somebody deletes the log's records up to END
//	hang LOG                       a producer opens a transaction and is not heard of again
//	forget P TERM                  the last owner has deleted a term, as firstseen rules forget does
//	show                           logs, offsets, stores and output
func (l *loop) command(line string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: %v", line, v)
		}
	}()
	f := strings.Fields(line)
	cmd, args := f[0], f[1:]
	has := func(arg string) bool { return slices.Contains(args, arg) }
	name := func() *modelWorker { return l.worker(args[0]) }
	switch cmd {
	case "anew":
		l.close()
		l.workers, l.flying, l.c = nil, nil, newModelCluster(loopPartitions, loopTopics...)
		for _, what := range args {
			l.c.broken[what] = true
		}
	case "start":
		w := name()
		if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "on=") }); i > 0 {
			w.share(l.worker(strings.TrimPrefix(args[i], "on=")))
		}
		if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "as=") }); i > 0 {
			w.twin = strings.TrimPrefix(args[i], "as=")
		}
		w.hooks.applyFirst, w.hooks.restoreToLSO = has("apply-first"), has("lso")
		w.hooks.restoreUncommitted, w.hooks.goOnAfterUnknown = has("uncommitted"), has("go-on")
		if w.tombstones = 7 * 24 * time.Hour; has("any-age") {
			w.tombstones = math.MaxInt64
		}
		w.start()
	case "step":
		th := name().run
		if has("over") {
			th = name().over
		}
		switch {
		case has("arrives"):
			l.arrive(th)
		case has("unsent"):
			l.lose(th)
		default:
			l.answer(th, has("lost"))
		}
	case "run":
		until := ""
		if i := strings.Index(line, "until="); i >= 0 {
			until = line[i+len("until="):]
		}
		return l.runUntil(name(), until)
	case "crash":
		l.crash(name(), has("sent"), has("copy"), has("empty"))
	case "copy":
		name().copies = append(name().copies, name().copy())
	case "expel":
		l.c.group.expel(l.c.group.instance(args[0]))
	case "timeout":
		if t := l.txnOf(args[0]); t.state == "open" {
			t.timeOut()
		}
	case "marker":
		l.marker(l.txnOf(args[0]), args[1:])
	case "deliver":
		l.deliver()
	case "produce":
		l.produceInput(args)
	case "refuse":
		l.c.create(loopApp+"."+topicDLQ, loopPartitions)
		l.c.refused = args[0]
	case "wait", "pass":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		if cmd == "wait" {
			l.c.ahead += d
		} else {
			l.pass(d)
		}
	case "compact":
		l.event("%d records removed", l.compact(has("tombstones")))
	case "truncate":
		end, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		l.logNamed(args[0]).truncate(int64(end))
	case "offsets":
		p, at := l.number(args[0]), args[1]
		if delete(l.c.group.committed, int32(p)); at != "none" {
			l.c.group.committed[int32(p)] = int64(l.number(at))
		}
	case "recreate":
		l.c.create(loopApp+"."+args[0], loopPartitions)
	case "widen":
		t := l.c.topics[loopApp+"."+args[0]]
		t.logs = append(t.logs, &modelLog{name: fmt.Sprint(loopApp, ".", args[0], "/", len(t.logs)), epochs: []int64{0}})
		if args[0] == topicCandidates {
			l.c.group.owner = append(l.c.group.owner, nil)
		}
	case "delete":
		l.logNamed(args[0]).start = int64(l.number(args[1]))
	case "hang":
		return l.c.produce(l.c.txn("somebody"), 0, l.logNamed(args[0]), []*kgo.Record{{Key: []byte(state.BarrierKey)}})
	case "forget":
		log := l.c.log(loopApp+"."+topicDetectLog, int32(l.number(args[0])))
		l.c.append(log, &kgo.Record{Key: stage.TermKey(nil, wire.StateID{1}, args[1:2])}, nil)
		l.c.append(log, &kgo.Record{Key: []byte(state.OffsetKey), Value: log.latest(state.OffsetKey)}, nil)
	case "show":
		l.show()
	default:
		return fmt.Errorf("unknown command %q", cmd)
	}
	return nil
}

func (l *loop) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

func (g *modelGroup) instance(worker string) string { return loopApp + "-detect-" + worker + "-0" }

func (l *loop) txnOf(worker string) *modelTxn { return l.c.txn(l.c.group.instance(worker)) }

// logNamed finds a log by its name without the app.
func (l *loop) logNamed(name string) *modelLog {
	topic, p, _ := strings.Cut(name, "/")
	return l.c.log(loopApp+"."+topic, int32(l.number(p)))
}

// runUntil steps the threads of a worker.
func (l *loop) runUntil(w *modelWorker, until string) error {
	said, silent := 0, 0
	for range 500 {
		if silent++; len(l.events) > said {
			said, silent = len(l.events), 0
		}
		at := func(th *thread) bool {
			return th != nil && th.call != nil && until != "" && strings.HasPrefix(th.call.what, until)
		}
		if at(w.over) || at(w.run) {
			return nil
		}
		switch ready := l.threadsOf(w); {
		case silent > 50:
			l.event("%s: waits", w.name)
			return nil
		case !w.alive():
			l.event("%s: ended: %s", w.name, firstClause(w.ended))
			return nil
		case len(ready) > 0:
			if until == "" && w.idle() {
				return nil
			}
			l.answer(ready[len(ready)-1], false)
		case w.run.call != nil || w.over != nil && w.over.call != nil:
			l.event("%s: waits", w.name)
			return nil
		default:
			l.pass(100 * time.Millisecond)
		}
	}
	return fmt.Errorf("%s comes to no end", w.name)
}

func firstClause(err error) string {
	if err == nil {
		return "stopped"
	}
	s, _, _ := strings.Cut(err.Error(), ":")
	return s
}

// threadsOf are those of a worker's threads whose requests can be answered.
func (l *loop) threadsOf(w *modelWorker) []*thread {
	return slices.DeleteFunc(l.threads(), func(th *thread) bool { return th.w != w })
}

// idle says whether the worker has nothing to do: it polls, or would, and there is nothing.
func (w *modelWorker) idle() bool {
	s := w.session
	if w.run.call != nil && w.run.call.what != "poll" || s == nil || len(w.lane.touched) > 0 || s.blocked.Load() || !s.settled() || w.over != nil && !w.over.over() {
		return false
	}
	for p, at := range s.pos {
		if r, _, err := w.loop.c.log(s.topic(), p).read(at, kgo.ReadCommitted(), 1); !s.paused[p] && (len(r) > 0 || err != nil) {
			return false
		}
	}
	return true
}

func (l *loop) crash(w *modelWorker, sent, old, empty bool) {
	for _, o := range l.workers {
		if o.store != w.store { // else it is of the same process
			continue
		}
		for _, th := range []*thread{o.run, o.over} {
			if sent && th != nil && th.call != nil {
				l.fly(th.call)
			}
		}
		o.kill()
	}
	switch {
	case empty:
		w.put(image{})
	case old && len(w.copies) > 0:
		w.put(w.copies[len(w.copies)-1])
	}
}

func (l *loop) marker(t *modelTxn, args []string) {
	all := len(args) == 0
	for _, log := range t.unmarked() {
		if all || loopApp+"."+args[0] == log.name {
			l.c.mark(t, log)
		}
	}
	if (all || args[0] == "offsets") && len(t.offsets) > 0 && t.state != "open" {
		l.c.markOffsets(t)
	}
}

// deliver has requests arrive whose senders no longer wait for them.
func (l *loop) deliver() {
	for _, c := range l.flying {
		if c.ready != nil && !c.ready() {
			continue
		}
		said := "ok"
		if err := c.do(); err != nil {
			said, _, _ = strings.Cut(err.Error(), ":")
		}
		l.event("late: %s: %s", c.what, said)
	}
	l.flying = nil
	synctest.Wait()
}

func (l *loop) produceInput(args []string) {
	var p int32
	var k string
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, "p="); ok {
			p = int32(l.number(v))
		}
		if v, ok := strings.CutPrefix(a, "k="); ok {
			k = v
		}
	}
	log := l.c.log(loopApp+"."+topicCandidates, p)
	now := time.Now().Add(l.c.ahead).UnixMilli()
	value, err := wire.AppendCandidate(nil, &wire.Candidate{Ruleset: make([]byte, 32), Rule: "rule", State: wire.StateID{1}, Terms: []string{k}, Group: k,
		Policy: wire.Policy{Threshold: 1, Period: 1}, History: loopHistory.Milliseconds(), Count: 1, Last: now,
		First: wire.Match{Time: now, EventID: fmt.Sprintf("%s@%d/%d", k, p, log.end())}})
	if err != nil {
		l.t.Fatal(err)
	}
	r := &kgo.Record{Topic: loopApp + "." + topicCandidates, Partition: p, Key: []byte(k), Value: value}
	if !slices.Contains(args, "aborted") {
		l.c.append(log, r, nil)
		return
	}
	l.c.append(log, r, &outcome{aborted: true})
	marker := &kgo.Record{Key: []byte("abort")}
	l.c.append(log, marker, nil)
	log.records[marker.Offset].marker = true
}

// loopHistory is how long a term is known.
const loopHistory = 3 * time.Minute

func (l *loop) compact(tombstones bool) (removed int) {
	for _, log := range l.c.topics[loopApp+"."+topicDetectLog].logs {
		removed += log.clean(tombstones)
	}
	return removed
}

// show writes down what everybody has.
func (l *loop) show() {
	for p := range int32(loopPartitions) {
		in, log := l.c.log(loopApp+"."+topicCandidates, p), l.c.log(loopApp+"."+topicDetectLog, p)
		if in.end()+log.end() == 0 {
			continue
		}
		at := "none"
		if n, ok := l.c.group.committed[p]; ok {
			at = fmt.Sprint(n)
		}
		if l.c.pending(p) {
			at += " and a transaction pending"
		}
		l.event("input/%d: %d..%d, offset %s", p, in.start, in.end(), at)
		l.event("changelog/%d: %s; stable to %d", p, log.show(), log.stable())
		for _, w := range l.workers {
			if im := w.copy()[p]; im.exists {
				l.event("store %s/%d: changelog %d, input %d: %s", w.name, p, im.pos.ChangelogNext, im.pos.InputNext, showKeys(im.keys))
			}
		}
	}
	for _, w := range l.workers {
		if !w.alive() {
			continue
		}
		var owned []int32
		for _, p := range w.lane.owned() {
			owned = append(owned, p.tp.partition)
		}
		slices.Sort(owned)
		l.event("lane %s works on %v", w.name, owned)
		bad := w.lane.w.health.quarantinedBy(w.lane.name)
		for _, tp := range slices.SortedFunc(maps.Keys(bad), func(a, b topicPartition) int { return int(a.partition - b.partition) }) {
			l.event("quarantine %s/%d: %v", w.name, tp.partition, bad[tp])
		}
	}
	l.event("output: %s", strings.Join(l.output(), " "))
	if dead := l.dead(); len(dead) > 0 {
		l.event("dead letters: %s", strings.Join(dead, " "))
	}
}

// dead lists the dead letters: whose they are, where they were in the input, and why.
func (l *loop) dead() (letters []string) {
	topic := l.c.topics[loopApp+"."+topicDLQ]
	if topic == nil {
		return nil
	}
	for _, log := range topic.logs {
		for _, r := range log.truth(far) {
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			letters = append(letters, fmt.Sprintf("%s@%s/%s:%s", r.Key, headers["dlq-partition"], headers["dlq-offset"], headers["dlq-reason"]))
		}
	}
	return letters
}

// show lists the records of a changelog with what has come of them.
func (l *modelLog) show() string {
	var out []string
	for _, r := range l.records {
		var s string
		switch {
		case r.marker:
			s = string(r.Key)
		case r.gone:
			s = "-"
		default:
			s = entry(r.Key, r.Value)
		}
		switch {
		case r.txn == nil:
		case r.txn.in != nil:
			s += "?"
		case r.txn.aborted:
			s += "!"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}
