package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/processor"
)

// workerSpec is what the worker process of --crash is told, as JSON.
type workerSpec struct{ Broker, Dir string }

// beWorker is that process. It ends with a finished transaction when its standard input does: it cannot outlive the demo.
func beWorker(a *cli.App) error {
	var spec workerSpec
	if err := json.NewDecoder(a.Stdin).Decode(&spec); err != nil {
		return cli.Usage(fmt.Errorf("demo: this is for demo --crash: %w", err))
	}
	cfg, err := workerConfig(spec.Broker, spec.Dir)
	if err != nil {
		return err
	}
	cfg.Log = slog.New(slog.NewTextHandler(a.Stderr, nil))
	w, err := processor.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(a.Ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, a.Stdin)
		cancel()
	}()
	go func() {
		for len(w.NotReady()) > 0 && ctx.Err() == nil {
			cli.Pause(ctx, 10*time.Millisecond)
		}
		if ctx.Err() == nil {
			fmt.Fprintln(a.Stdout, "ready")
		}
	}()
	return w.Run(ctx)
}

// workerProcess is a worker in a process of its own.
type workerProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   string
	ready chan struct{} // closed when it works
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
		if _, err := bufio.NewReader(stdout).ReadString('\n'); err == nil {
			close(p.ready)
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, json.NewEncoder(stdin).Encode(workerSpec{d.broker.Addr(), d.dir})
}

// awaitReady waits until the worker has joined its groups.
func (p *workerProcess) awaitReady(ctx context.Context) error {
	select {
	case <-p.ready:
		return nil
	case <-p.ended:
		return p.failed()
	case <-time.After(30 * time.Second):
		return cli.Exit(cli.ExitGuarantee, fmt.Errorf("demo: the worker process is not ready after 30 s:\n%s", p.said()))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *workerProcess) pid() int { return p.cmd.Process.Pid }

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
			return p.failed()
		}
		return nil
	case <-time.After(20 * time.Second):
		p.kill()
		return cli.Exit(cli.ExitGuarantee, fmt.Errorf("demo: the worker process did not end:\n%s", p.said()))
	}
}

// failed is why the worker has ended, nil while it runs.
func (p *workerProcess) failed() error {
	select {
	case <-p.ended:
		return cli.Exit(cli.ExitGuarantee, fmt.Errorf("demo: the worker process has ended by itself: %w:\n%s", p.err, p.said()))
	default:
		return nil
	}
}

// said is the end of the worker's log.
func (p *workerProcess) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}
