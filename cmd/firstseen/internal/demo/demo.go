// Package demo shows firstseen at work in one process: a broker, traffic with an attack in it, a worker and its alerts.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/devbroker"
	"firstseen/processor"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/traffic"
)

// Command is firstseen demo.
type Command struct {
	Crash  bool   `help:"Kill the worker in the middle, again and again, and compare what a subscriber has read with the known answer."`
	Seed   uint64 `default:"1" placeholder:"N" help:"Other traffic, the same story."`
	Worker bool   `hidden:"" help:"The worker process of --crash, told what to do on standard input."`
}

// Run sets the scene, tells the story and takes everything away again.
func (c *Command) Run(a *cli.App) (err error) {
	if c.Worker {
		return beWorker(a)
	}
	d, err := openDemo(a)
	defer func() { err = errors.Join(err, d.close()) }()
	if err == nil && c.Crash {
		err = d.crash(c.Seed)
	} else if err == nil {
		err = d.story(c.Seed)
	}
	if a.Ctx.Err() != nil {
		d.say.line("\ninterrupted; nothing is left behind")
		if c.Crash { // it has not shown what it is for
			return cli.Exit(cli.ExitFindings, nil)
		}
		return nil
	}
	return err
}

const (
	appName    = "demo"
	instance   = "worker"
	partitions = 4
)

var sources = []string{"cloudtrail", "s3access"}

// demo is the scene: a broker in this process, its topics, a producer and a subscriber, and a directory for the worker.
type demo struct {
	ctx    context.Context // ends when the command is interrupted or the worker has failed
	dir    string
	broker *devbroker.Broker
	cl     *kgo.Client
	adm    *kadm.Client
	sub    *subscriber
	say    *teller
}

// openDemo returns what there is to close even when it fails.
func openDemo(a *cli.App) (d *demo, err error) {
	d = &demo{ctx: a.Ctx, say: newTeller(a.Stdout)}
	if d.dir, err = os.MkdirTemp("", "firstseen-demo-"); err != nil {
		return d, err
	}
	o := devbroker.Options{}
	for _, name := range sources {
		o.Topics = append(o.Topics, devbroker.Topic{Name: name, Partitions: partitions})
	}
	if d.broker, err = devbroker.Start(o); err != nil {
		return d, err
	}
	if d.cl, err = kgo.NewClient(kgo.SeedBrokers(d.broker.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(10*time.Millisecond)); err != nil { // it asks for topics before they are made
		return d, err
	}
	d.adm = kadm.NewClient(d.cl)
	topics := (&processor.Config{App: appName, Partitions: partitions}).Plan()
	states, err := processor.CheckTopics(a.Ctx, d.adm, topics)
	if err != nil {
		return d, err
	}
	if _, err := processor.CreateTopics(a.Ctx, d.adm, states, 1); err != nil {
		return d, err
	}
	d.sub, err = subscribe(d.broker.Addr(), d.say.alert)
	return d, err
}

// close ends everything in the order in which it depends on each other, and removes the directory.
func (d *demo) close() (err error) {
	if d.sub != nil {
		d.sub.close()
	}
	if d.cl != nil {
		d.cl.Close()
	}
	if d.broker != nil {
		err = d.broker.Close()
	}
	if d.dir != "" {
		err = errors.Join(err, os.RemoveAll(d.dir))
	}
	return err
}

// workerConfig is that of a small worker with the built-in rules, whose place in the groups is soon given away.
func workerConfig(broker, dir string) (processor.Config, error) {
	set, _, err := rules.Load(rules.LoadOptions{})
	one := map[processor.Stage]int{processor.StageIngest: 1, processor.StageDetect: 1, processor.StageGroup: 1}
	cfg := processor.Config{
		App: appName, Instance: instance, Rules: set, StateDir: filepath.Join(dir, "state"), StateCache: 8 << 20, StateMemTable: 4 << 20,
		Client:     []kgo.Opt{kgo.SeedBrokers(broker), kgo.MetadataMinAge(100 * time.Millisecond)},
		Partitions: partitions, Lanes: one, Version: cli.Version,
		Timing: processor.Timing{Session: 10 * time.Second, Rebalance: 15 * time.Second, Heartbeat: 500 * time.Millisecond, Transaction: 8 * time.Second, Tick: 5 * time.Second},
	}
	for _, name := range sources {
		cfg.Sources = append(cfg.Sources, processor.Source{Topic: name, Format: schemas.FormatAuto})
	}
	return cfg, err
}

// perform runs a worker in this process while play plays.
func (d *demo) perform(play func() error) error {
	cfg, err := workerConfig(d.broker.Addr(), d.dir)
	if err != nil {
		return err
	}
	w, err := processor.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(d.ctx)
	d.ctx = ctx
	ended := make(chan error, 1)
	go func() {
		err := w.Run(ctx)
		cancel(err)
		ended <- err
	}()
	err = d.await("the worker joins its groups", 30*time.Second, func() (bool, error) { return len(w.NotReady()) == 0, nil })
	if err == nil {
		err = play()
	}
	cancel(nil)
	if failed := <-ended; failed != nil {
		return failed
	}
	return err
}

// produce writes records over the given time, each at its moment.
func (d *demo) produce(records []traffic.Record, at func(i int) time.Time) error {
	for i := range records {
		cli.Pause(d.ctx, time.Until(at(i)))
		if d.ctx.Err() != nil {
			return context.Cause(d.ctx)
		}
		r := &records[i]
		topic := sources[0]
		if r.Kind == traffic.S3Access {
			topic = sources[1]
		}
		d.sub.expect(r.EventID)
		d.cl.Produce(d.ctx, &kgo.Record{Topic: topic, Partition: r.Partition(partitions), Value: r.Value}, func(_ *kgo.Record, err error) {
			if err != nil {
				d.sub.fail(fmt.Errorf("produce: %w", err))
			}
		})
	}
	return nil
}

// await asks until the answer is yes.
func (d *demo) await(what string, limit time.Duration, ok func() (bool, error)) error {
	for deadline := time.Now().Add(limit); ; cli.Pause(d.ctx, 20*time.Millisecond) {
		yes, err := ok()
		switch {
		case d.ctx.Err() != nil:
			return context.Cause(d.ctx)
		case err != nil:
			return err
		case yes:
			return nil
		case time.Now().After(deadline):
			return cli.Exit(cli.ExitGuarantee, fmt.Errorf("demo: %s: not within %s", what, limit))
		}
	}
}

// settle waits until the worker has processed everything, and the subscriber has read all that came of it.
func (d *demo) settle(limit time.Duration) error {
	return d.await("the worker processes everything", limit, d.settled)
}

// settled goes along the flow: what a stage has committed is complete before its output is looked at.
func (d *demo) settled() (bool, error) {
	own := func(name string) string { return appName + "." + name }
	for _, step := range []struct {
		group  processor.Stage
		topics []string
	}{
		{processor.StageIngest, sources}, {processor.StageDetect, []string{own("candidates")}}, {processor.StageGroup, []string{own("findings")}},
		{"", []string{own("alerts"), own("suppressed"), own("dlq")}},
	} {
		var committed kadm.OffsetResponses
		if step.group != "" {
			var err error
			if committed, err = d.adm.FetchOffsets(d.ctx, own(string(step.group))); err != nil {
				return false, nil //nolint:nilerr // the group is not there yet
			}
		}
		ends, err := d.adm.ListEndOffsets(d.ctx, step.topics...)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return false, err
		}
		done := true
		ends.Each(func(e kadm.ListedOffset) {
			read, data := d.sub.position(e.Topic, e.Partition)
			at, _ := committed.Lookup(e.Topic, e.Partition)
			done = done && read >= e.Offset && (step.group == "" || at.At >= data)
		})
		if !done {
			return false, d.sub.err()
		}
	}
	return true, d.sub.err()
}

// next says what to try now.
func (d *demo) next(commands ...[2]string) {
	name := os.Args[0]
	if filepath.IsAbs(name) {
		name = filepath.Base(name)
	}
	d.say.line("\nnext")
	width := 0
	for _, c := range commands {
		width = max(width, len(c[0]))
	}
	for _, c := range commands {
		d.say.line("  %s %s%s   %s", name, c[0], strings.Repeat(" ", width-len(c[0])), c[1])
	}
}

// judge compares what the subscriber has read with the alerts that had to come, and says so.
func (d *demo) judge(want []*traffic.Alert) error {
	v := judgeAlerts(want, d.sub.counted().alerts)
	d.say.verdict(v)
	if v.bad() {
		return cli.Exit(cli.ExitFindings, nil)
	}
	return nil
}
