package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxWorkers is how many workers there are at most at a time.
const maxWorkers = 4

// ownGroup is a process group of its own: the Ctrl-C that interrupts a run is not meant for its workers and brokers.
var ownGroup = &syscall.SysProcAttr{Setpgid: true}

// worker is a worker that may run as a process. A process that ends by itself is started again, as a supervisor does.
type worker struct {
	w      *world
	name   string
	config string // file
	state  string // folder
	log    string // file, of all its processes
	port   int

	mu     sync.Mutex
	cmd    *exec.Cmd
	done   chan struct{} // closed when the process has ended and the supervisor knows
	ended  int           // exit code of the last one
	alone  bool          // that one ended by itself
	wanted bool          // it is to run
	next   bool          // of the next build
	born   time.Time     // of the process
	from   int64         // where it began to write its log
	short  int           // how many processes in a row have ended by themselves within seconds
	damage int64         // where its log ended, plus one, when a table of its store was corrupted; 0: none was, or it has said so
}

func (w *world) newWorker(n int) *worker {
	name := fmt.Sprintf("w%d", n+1)
	at := func(ext string) string { return filepath.Join(w.Dir, "workers", name+ext) }
	return &worker{w: w, name: name, config: at(".yml"), state: at(""), log: at(".log"), port: w.Port + 6 + n}
}

// configure writes the worker's configuration file. The last worker leaves its groups whenever it stops.
func (p *worker) configure() error {
	w := p.w
	type m = map[string]any
	t := w.times()
	sources := []m{}
	for _, s := range w.Sources {
		sources = append(sources, m{"topic": s})
	}
	rules, err := workerRules(w.Dir)
	if err != nil {
		return err
	}
	c := m{"app": w.App, "instance": p.name, "brokers": w.Brokers, "sources": sources, "rules": rules, "learning": "none",
		"lanes": 1, "partitions": w.Partitions, "state": m{"dir": p.state}, "http": m{"listen": p.address()}, "stop": "keep",
		"purge_after": "60s", "close_after": "5s",
		"commit": m{"session_timeout": t.session.String(), "transaction_timeout": t.transaction.String(), "rebalance_timeout": t.rebalance.String()}}
	if p.name == fmt.Sprintf("w%d", maxWorkers) {
		c["stop"] = "leave"
	}
	b, err := json.MarshalIndent(c, "", "\t") // which is YAML, too
	if err != nil {
		return err
	}
	return os.WriteFile(p.config, b, 0o600)
}

func (p *worker) address() string { return "127.0.0.1:" + strconv.Itoa(p.port) }
func (p *worker) pidFile() string { return p.state + ".pid" }
func (p *worker) full() string    { return p.state + ".full" } // while this file is there, its disk is full

// running reports whether it is to run.
func (p *worker) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted
}

// start starts the process and its supervisor.
func (p *worker) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = true
	return p.spawn()
}

// spawn is start with the lock held.
func (p *worker) spawn() error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if p.from, err = out.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	hooks, err := json.Marshal(map[string]any{"abort": 0.05, "hold_ms": 100, "mutant": p.w.Mutant, "proxy": p.w.proxy.address(), "disk": p.full(), "timers": p.w.Timers, "sweep": sweepSpeed(p.w.Timers)})
	if err != nil {
		return err
	}
	cmd := exec.Command(p.w.binary(p.next), "run", "-c", p.config)
	cmd.Env = append(os.Environ(), "CHAOS_FAULTS="+string(hooks))
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, ownGroup
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	p.cmd, p.done, p.born = cmd, done, time.Now()
	if err := os.WriteFile(p.pidFile(), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return err
	}
	go p.supervise(cmd, done)
	return nil
}

// supervise waits for the end of a process. One that nobody asked to end is started again.
func (p *worker) supervise(cmd *exec.Cmd, done chan struct{}) {
	_ = cmd.Wait() // the state says how it ended
	p.mu.Lock()
	p.ended = cmd.ProcessState.ExitCode()
	asked := !p.wanted || p.cmd != cmd
	if p.short++; asked || time.Since(p.born) > 10*time.Second {
		p.short = 0
	}
	short := p.short
	p.alone = !asked
	os.Remove(p.pidFile())
	p.mu.Unlock()
	close(done)
	if asked {
		return
	}
	p.judgeExit(cmd.ProcessState.ExitCode(), false)
	if short == 60 {
		p.w.findings.add("%s does not come up", p.name)
	}
	time.Sleep(min(time.Duration(short)*200*time.Millisecond, 2*time.Second)) // as a supervisor would
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && p.cmd == cmd {
		if err := p.spawn(); err != nil {
			p.w.findings.add("%s could not be started: %v", p.name, err)
		}
	}
}

// signal sends a signal to the process, if there is one.
func (p *worker) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended by itself
	}
}

// kill ends the process at once and waits until it is gone.
func (p *worker) kill() {
	p.end(syscall.SIGKILL, time.Minute)
}

// What a stop may take. The product promises the first, whatever the brokers do; the second is for a machine whose few
// cores are shared with all brokers and workers.
const (
	stopPromised = 5 * time.Second
	stopMargin   = 2 * time.Second
)

// stop asks the process to end and waits. It returns how long that took; one that does not end well, or in time, is a
// finding.
func (p *worker) stop() time.Duration {
	began := time.Now()
	code, ok := p.end(syscall.SIGTERM, 2*time.Minute)
	took := time.Since(began)
	if !ok {
		p.w.findings.add("%s did not stop within two minutes of SIGTERM; it was killed", p.name)
		p.kill()
	} else if code > 0 { // below 0: the signal came before the program could ask for it
		p.judgeExit(code, true)
	}
	if ok && took > stopPromised+stopMargin {
		p.w.findings.add("%s took %.1f s to stop, and may take %s", p.name, took.Seconds(), stopPromised)
	}
	return took
}

func (p *worker) end(s syscall.Signal, limit time.Duration) (code int, ok bool) {
	p.mu.Lock()
	p.wanted = false
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return 0, true
	}
	_ = cmd.Process.Signal(s) // it may have ended by itself
	select {
	case <-done:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.alone { // which was judged then
			return 0, true
		}
		return p.ended, true
	case <-time.After(limit):
		return 0, false
	}
}

// orphan kills a process that an interrupted run left behind.
func (p *worker) orphan() {
	b, err := os.ReadFile(p.pidFile())
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		return
	}
	args, err := exec.Command("ps", "-ww", "-p", string(b), "-o", "args=").Output()
	if err == nil && strings.Contains(string(args), p.config) { // else the number is another process's by now
		_ = syscall.Kill(pid, syscall.SIGKILL)
		time.Sleep(200 * time.Millisecond)
	}
	os.Remove(p.pidFile())
}

// command runs another command of the program with the worker's configuration.
func (p *worker) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, p.w.binary(p.next), append(args, "-c", p.config)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &out, ownGroup
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("firstseen %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return out.String(), err
}

// get asks the process's web server.
func (p *worker) get(path string) (status int, body string) {
	cl := http.Client{Timeout: 2 * time.Second}
	resp, err := cl.Get("http://" + p.address() + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(b)
}

// ready reports whether the process says so.
func (p *worker) ready() bool {
	status, _ := p.get("/readyz")
	return status == http.StatusOK
}
