// Package process runs a program and reads from /proc what it and the machine spend.
package process

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A Program is a command under test, in a process group of its own.
type Program struct {
	cmd  *exec.Cmd
	done chan struct{}
	seen map[int]float64 // CPU seconds of every process ever seen in the tree
	peak int64
}

// Start runs a command line, its output appended to a file.
func Start(command, logPath string) (*Program, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", "exec "+command)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Program{cmd: cmd, done: make(chan struct{}), seen: map[int]float64{}}
	go func() {
		_ = cmd.Wait() // however it ended: whoever wants to know reads the log
		close(p.done)
	}()
	return p, nil
}

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Peak is the largest memory, in bytes, that any Sample saw.
func (p *Program) Peak() int64 { return p.peak }

// signal fails only if all are gone already.
func (p *Program) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// Stop asks the program to end, then insists.
func (p *Program) Stop(grace time.Duration) {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// Kill ends the program as a power failure would.
func (p *Program) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// Sample reads the process tree once and returns its CPU seconds so far.
func (p *Program) Sample() float64 {
	stats := all()
	children := map[int][]int{}
	for pid, s := range stats {
		children[s.parent] = append(children[s.parent], pid)
	}
	var rss int64
	todo := []int{p.cmd.Process.Pid}
	for len(todo) > 0 {
		pid := todo[0]
		todo = append(todo[1:], children[pid]...)
		if s, ok := stats[pid]; ok {
			p.seen[pid] = s.cpu
			rss += s.rss
		}
	}
	p.peak = max(p.peak, rss)
	var cpu float64
	for _, c := range p.seen {
		cpu += c
	}
	return cpu
}
