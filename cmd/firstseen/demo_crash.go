package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firstseen/processor"
	"firstseen/traffic"
)

// The ordeal of --crash: as many kills as there are stages, in parts of the traffic with a part behind them.
const (
	crashRecords = 6000
	crashPart    = 2 * time.Second
	crashHits    = 2 // kills that must meet an open transaction
)

// demoSpec is what the worker process of --crash is told, as JSON.
type demoSpec struct{ Broker, Dir string }

// demoWorker is that process. It ends with a finished transaction when its standard input does: it cannot outlive the demo.
func demoWorker(a *app) error {
	var spec demoSpec
	if err := json.NewDecoder(a.stdin).Decode(&spec); err != nil {
		return usage(fmt.Errorf("demo: this is for demo --crash: %w", err))
	}
	cfg, err := demoWorkerConfig(spec.Broker, spec.Dir)
	if err != nil {
		return err
	}
	cfg.Log = slog.New(slog.NewTextHandler(a.stderr, nil))
	w, err := processor.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, a.stdin)
		cancel()
	}()
	go func() {
		for len(w.NotReady()) > 0 && ctx.Err() == nil {
			pause(ctx, 10*time.Millisecond)
		}
		fmt.Fprintln(a.stdout, "ready")
	}()
	return w.Run(ctx)
}

// workerProcess is a worker in a process of its own.
type workerProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   string
	ready chan struct{} // closed when it works, or never will
	ended chan struct{} // closed when err is set
	err   error
}

// startWorker starts a process of this program.
func (d *demo) startWorker() (*workerProcess, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &workerProcess{cmd: exec.Command(exe, "demo", "--worker"), log: filepath.Join(d.dir, "worker.log"), ready: make(chan struct{}), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stderr = log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_, _ = bufio.NewReader(stdout).ReadString('\n')
		close(p.ready)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, json.NewEncoder(stdin).Encode(demoSpec{d.broker.Addr(), d.dir})
}

// awaitReady waits until the worker has joined its groups.
func (p *workerProcess) awaitReady(ctx context.Context) error {
	select {
	case <-p.ready:
	case <-time.After(30 * time.Second):
		return fmt.Errorf("demo: the worker process is not ready after 30 s:\n%s", p.said())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-p.ended:
		return p.failure()
	default:
		return nil
	}
}

// kill is kill -9.
func (p *workerProcess) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stop lets the worker finish its transactions.
func (p *workerProcess) stop() error {
	p.stdin.Close()
	select {
	case <-p.ended:
		if p.err != nil {
			return p.failure()
		}
		return nil
	case <-time.After(20 * time.Second):
		p.kill()
		return fmt.Errorf("demo: the worker process did not end:\n%s", p.said())
	}
}

func (p *workerProcess) failure() error {
	return fmt.Errorf("demo: the worker process ended: %w:\n%s", p.err, p.said())
}

// said is the end of the worker's log.
func (p *workerProcess) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// crash kills the worker process and starts it again while traffic with a known answer goes on.
func (d *demo) crash(seed uint64) (err error) {
	records, want, err := crashTraffic(seed)
	if err != nil {
		return err
	}
	d.say.brief = true
	d.say.line("%sfirstseen demo --crash%s: the worker is a process of its own, and is killed with SIGKILL\n", d.say.strong, d.say.plain)
	d.say.line("  broker      %s, embedded, for development only", d.broker.Addr())
	d.say.line("  traffic     %s records, of which the answer is known: %s", grouped(int64(len(records))), plural(int64(len(want)), "alert"))
	d.say.line("  subscriber  reads %s.alerts, committed records only\n", demoApp)
	p, err := d.startWorker()
	defer func() {
		if p != nil {
			p.kill()
		}
	}()
	if err == nil {
		err = p.awaitReady(d.ctx)
	}
	if err != nil {
		return err
	}
	d.say.begin()
	d.say.happens("worker %d reads", p.cmd.Process.Pid)
	hits, parts := 0, len(processor.Stages)+1
	for i := range parts {
		d.say.more(4)
		part := records[i*len(records)/parts : (i+1)*len(records)/parts]
		began, produced := time.Now(), make(chan error, 1)
		go func() {
			produced <- d.produce(part, func(i int) time.Time { return began.Add(crashPart * time.Duration(i) / time.Duration(len(part))) })
		}()
		if i < len(processor.Stages) {
			pause(d.ctx, crashPart/4)
			var hit bool
			if p, hit, err = d.strike(p, processor.Stages[i]); hit {
				hits++
			}
		}
		if err := errors.Join(<-produced, err); err != nil {
			return err
		}
	}
	if err := d.settle(time.Minute); err != nil {
		return err
	}
	d.say.more(0)
	if err := p.stop(); err != nil {
		return err
	}
	d.sum()
	d.say.row("kills", fmt.Sprint(len(processor.Stages)), fmt.Sprintf("of which %d met an open transaction, as the broker saw it", hits))
	if err := d.judge(want); err != nil {
		return err
	}
	if hits < crashHits {
		return exitError{exitFindings, fmt.Errorf("only %d kills met an open transaction: this shows too little; run it again", hits)}
	}
	return nil
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

// strike kills the worker when the broker shows a transaction of the stage open, and starts it again. It reports whether
// the transaction was still open when the worker was dead.
func (d *demo) strike(p *workerProcess, stage processor.Stage) (_ *workerProcess, hit bool, err error) {
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); {
		open, err := d.open()
		if err != nil || d.ctx.Err() != nil {
			return p, false, errors.Join(err, context.Cause(d.ctx))
		}
		if slices.Contains(open, string(stage)) {
			break
		}
	}
	pid := p.cmd.Process.Pid
	p.kill()
	pause(d.ctx, 20*time.Millisecond) // what it had sent arrives
	open, err := d.open()
	if err != nil {
		return p, false, err
	}
	state := "no transaction was open"
	if len(open) > 0 {
		state = "with an open transaction of " + strings.Join(open, " and ")
	}
	d.say.more(4)
	d.say.happens("kill -9 %d  %s", pid, state)
	began := time.Now()
	next, err := d.startWorker()
	if err != nil {
		return next, false, err
	}
	if err := next.awaitReady(d.ctx); err != nil {
		return next, false, err
	}
	d.say.happens("worker %d goes on, ready after %.1f s", next.cmd.Process.Pid, time.Since(began).Seconds())
	return next, len(open) > 0, nil
}

// open lists the stages that have an open transaction on the broker.
func (d *demo) open() (stages []string, err error) {
	txns, err := d.adm.ListTransactions(d.ctx, nil, []string{"Ongoing"})
	if err != nil {
		return nil, err
	}
	for _, s := range processor.Stages {
		for _, txn := range txns {
			if txn.TxnID == fmt.Sprintf("%s-%s-worker-0", demoApp, s) {
				stages = append(stages, string(s))
			}
		}
	}
	return stages, nil
}
