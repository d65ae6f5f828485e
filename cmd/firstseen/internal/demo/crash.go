package demo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor"
	"firstseen/traffic"
)

// What --crash plays: the traffic in parts of the same length. In each but the last the worker is killed.
const (
	crashRecords = 6000
	crashPart    = 2 * time.Second
	crashShown   = 3 // alerts, after each start of the worker
	crashHits    = 2 // kills that must meet an open transaction
)

// crash is the scene of --crash: the worker is a process of its own.
type crash struct {
	*demo
	worker      *workerProcess // nil: none has been started
	kills, hits int            // hits met an open transaction
}

// crash kills the worker and starts it again while traffic with a known answer goes on, once with a transaction of each
// stage open. Then nothing may be missing, and nothing double.
func (d *demo) crash(seed uint64) error {
	records, want, err := crashTraffic(seed)
	if err != nil {
		return err
	}
	d.say.brief = true
	d.say.line("%sfirstseen demo --crash%s: the worker is a process of its own, and is killed with SIGKILL\n", d.say.strong, d.say.plain)
	d.say.line("  broker      %s, embedded, for development only", d.broker.Addr())
	d.say.line("  traffic     %s records, of which the answer is known: %s", show.Grouped(int64(len(records))), show.Plural(int64(len(want)), "alert"))
	d.say.line("  subscriber  reads %s.alerts, committed records only\n", appName)
	c := &crash{demo: d}
	defer func() {
		if c.worker != nil {
			c.worker.kill()
		}
	}()
	if err := c.play(records); err != nil {
		return err
	}
	d.sum()
	d.say.row("kills", fmt.Sprint(c.kills), fmt.Sprintf("of which %d met an open transaction, as the broker saw it", c.hits))
	if err := d.judge(want); err != nil {
		return err
	}
	if c.hits < crashHits {
		return cli.Exit(cli.ExitFindings, fmt.Errorf("only %d kills met an open transaction, which shows too little: run it again", c.hits))
	}
	return nil
}

// play returns when everything has been processed and the last worker has ended.
func (c *crash) play(records []traffic.Record) error {
	if err := c.start(); err != nil {
		return err
	}
	c.say.begin()
	c.say.happens("worker %d is ready", c.worker.pid())
	c.say.show(crashShown)
	parts := len(processor.Stages) + 1
	for i := range parts {
		part := records[i*len(records)/parts : (i+1)*len(records)/parts]
		began, produced := time.Now(), make(chan error, 1)
		go func() {
			produced <- c.produce(part, func(i int) time.Time { return began.Add(crashPart * time.Duration(i) / time.Duration(len(part))) })
		}()
		var err error
		if i < len(processor.Stages) {
			cli.Pause(c.ctx, crashPart/4)
			err = c.strike(processor.Stages[i])
		}
		if err := errors.Join(<-produced, err); err != nil {
			return err
		}
	}
	err := c.await("the worker processes everything", time.Minute, func() (bool, error) {
		if err := c.worker.failed(); err != nil {
			return false, err
		}
		return c.settled()
	})
	c.say.pause()
	if err != nil {
		return err
	}
	return c.worker.stop()
}

// start starts a worker process and waits until it works.
func (c *crash) start() (err error) {
	if c.worker, err = c.startWorker(); err != nil {
		return err
	}
	return c.worker.awaitReady(c.ctx)
}

// strike kills the worker when the broker shows a transaction of the stage open, and starts it again; until the
// transaction was still open when the worker was dead, but not for ever.
func (c *crash) strike(stage processor.Stage) error {
	for hit, tries := false, 0; !hit && tries < 5; tries++ {
		known := len(c.sub.counted().alerts)
		_ = c.await("an alert", 3*time.Second, func() (bool, error) { return len(c.sub.counted().alerts) > known, nil }) // before the kill, if there is one to make
		open, err := c.awaitOpen(stage)
		if err != nil || !open {
			return err
		}
		pid := c.worker.pid()
		c.worker.kill()
		c.kills++
		cli.Pause(c.ctx, 20*time.Millisecond) // what it had sent arrives
		left, err := c.open()
		if err != nil {
			return err
		}
		c.say.pause()
		if hit = len(left) > 0; hit {
			c.hits++
			c.say.happens("kill -9 %d: the broker shows an open transaction of %s", pid, strings.Join(left, " and of "))
		} else {
			c.say.happens("kill -9 %d: a moment too late, its transaction has ended", pid)
		}
		began := time.Now()
		if err := c.start(); err != nil {
			return err
		}
		c.say.happens("worker %d is ready, %.1f s later", c.worker.pid(), time.Since(began).Seconds())
		c.say.show(crashShown)
	}
	return nil
}

// awaitOpen reports whether the broker shows a transaction of the stage open before long. It asks often: a transaction
// is open for some milliseconds.
func (c *crash) awaitOpen(stage processor.Stage) (bool, error) {
	for limit := time.Now().Add(3 * time.Second); time.Now().Before(limit); {
		open, err := c.open()
		if err != nil || slices.Contains(open, string(stage)) {
			return err == nil, err
		}
		cli.Pause(c.ctx, 200*time.Microsecond)
	}
	return false, nil
}

// open lists the stages that have an open transaction on the broker.
func (c *crash) open() (stages []string, err error) {
	txns, err := c.adm.ListTransactions(c.ctx, nil, []string{"Ongoing"})
	if err != nil {
		return nil, err
	}
	for _, s := range processor.Stages {
		for _, txn := range txns {
			if txn.TxnID == fmt.Sprintf("%s-%s-%s-0", appName, s, instance) {
				stages = append(stages, string(s))
			}
		}
	}
	return stages, nil
}

// crashTraffic is two hours of a busy account, with fewer new addresses than the cap of the rule.
func crashTraffic(seed uint64) (records []traffic.Record, want []*traffic.Alert, err error) {
	o := traffic.Defaults()
	o.Seed, o.Anonymous, o.Outside = seed, 0.04, 0.2
	g, err := traffic.New(o)
	if err != nil {
		return nil, nil, err
	}
	m := traffic.NewModel()
	for range crashRecords {
		r := g.Next()
		m.Add(&r)
		records = append(records, r)
	}
	return records, m.Alerts, nil
}
