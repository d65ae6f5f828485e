package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func killBroker(f *blow) error {
	return f.brokerDown(1 + f.dice.IntN(len(f.w.Brokers)))
}

func killTxnCoordinator(f *blow) error {
	p := f.w.anyRunning(f.dice)
	stage := []string{"ingest", "detect", "group"}[f.dice.IntN(3)]
	id := fmt.Sprintf("%s-%s-%s-0", f.w.App, stage, p.name)
	return f.coordinatorDown(f.w.adm.FindTxnCoordinators(f.ctx, id), id)
}

func killGroupCoordinator(f *blow) error {
	group := f.w.groups()[f.dice.IntN(3)]
	return f.coordinatorDown(f.w.adm.FindGroupCoordinators(f.ctx, group), group)
}

func (f *blow) coordinatorDown(found kadm.FindCoordinatorResponses, name string) error {
	c, ok := found[name]
	if !ok || c.Err != nil {
		f.note = fmt.Sprintf("coordinator of %s not found: %v", name, c.Err)
		return nil //nolint:nilerr // it does not count
	}
	f.note = name
	return f.brokerDown(int(c.NodeID))
}

// brokerDown kills a broker and starts it again. It returns when every replica is in sync again: then the next may die.
func (f *blow) brokerDown(id int) error {
	f.note = strings.TrimSpace(fmt.Sprintf("broker %d %s", id, f.note))
	if err := f.w.brokers.kill(id); err != nil {
		return err
	}
	f.happened = 1
	f.sleep(f.between(time.Second, f.w.times().outage))
	if err := f.w.brokers.restart(id); err != nil {
		return err
	}
	if !await(f.ctx, 2*time.Minute, func() bool { return f.w.whole(f.ctx) }) && f.ctx.Err() == nil {
		return fmt.Errorf("broker %d was started again, but not every replica is in sync two minutes later", id)
	}
	return nil
}

// anyRunning is a worker that is to run.
func (w *world) anyRunning(dice *rand.Rand) *worker {
	all := w.running()
	return all[dice.IntN(len(all))]
}

// running are the workers that are to run.
func (w *world) running() (all []*worker) {
	for _, p := range w.fleet {
		if p.running() {
			all = append(all, p)
		}
	}
	return all
}

// revoke takes an authorisation away for a while. On a topic that has any rule, what is not allowed is denied, so all
// else is allowed.
func revoke(f *blow) error {
	topic, op := f.w.Sources[f.dice.IntN(len(f.w.Sources))], kadm.OpRead
	if f.dice.IntN(4) > 0 {
		topic, op = f.w.App+"."+[]string{"candidates", "findings", "alerts", "detect.changelog", "group.changelog"}[f.dice.IntN(5)], kadm.OpWrite
	}
	f.note = fmt.Sprintf("%s %s", strings.ToLower(op.String()), topic)
	from := f.w.logEnds()
	rules := func(b *kadm.ACLBuilder) *kadm.ACLBuilder {
		return b.Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral)
	}
	for _, b := range []*kadm.ACLBuilder{
		kadm.NewACLs().Allow("User:*").AllowHosts("*").Operations(kadm.OpAll),
		kadm.NewACLs().Deny("User:ANONYMOUS").DenyHosts("*").Operations(op),
	} {
		err := insist(f.ctx, func() error {
			results, err := f.w.adm.CreateACLs(f.ctx, rules(b))
			if err == nil {
				err = firstACLError(results)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("rules for %s of %s: %w", op, topic, err)
		}
	}
	long := 20 * time.Second
	if n, _ := f.w.journal.total("acl"); n == 0 && f.w.minutes >= 10 {
		long = 2 * time.Minute
	}
	f.sleep(long)
	if err := f.w.allow(); err != nil {
		return err
	}
	if n := f.w.countInLogs(from, "TOPIC_AUTHORIZATION_FAILED"); n > 0 {
		f.happened = 1
		f.show("refusals in the logs", n)
	}
	return nil
}

func firstACLError(all kadm.CreateACLsResults) error {
	for _, r := range all {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}
