//go:build restarts

package processor

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// process is the built program as a worker.
type process struct {
	f        *figures
	instance string
	dir      string // of its state
	log      string
	address  string // of /readyz
	args     []string
	cmd      *exec.Cmd
	began    time.Time
	offset   int64 // of the log when it was started
	ended    chan struct{}
	code     int // that it must end with
}

func (f *figures) process(instance string) *process {
	p := &process{f: f, instance: instance, dir: filepath.Join(f.dir, instance), log: filepath.Join(f.dir, instance+".log")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	p.address = l.Addr().String()
	_ = l.Close() // the port is free, and most likely stays so
	p.args = []string{"run", "--config", filepath.Join(f.dir, instance+".yaml")}
	config := fmt.Sprintf("app: %s\ninstance: %s\nbrokers: [%s]\nsources: [{topic: %[1]s-cloudtrail, format: auto}, {topic: %[1]s-s3access, format: auto}]\n"+
		"rules: {set: [%[4]s]}\nstate: {dir: %[5]s}\nhttp: {listen: %[6]s}\npartitions: %[7]d\n", f.app, instance, f.brokers, noCap[0], p.dir, p.address, f.parts)
	if err := os.WriteFile(p.args[2], []byte(config), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if b, err := os.ReadFile(p.log); err == nil && f.t.Failed() {
			f.t.Logf("%s said:\n%s", instance, b[max(0, len(b)-6000):])
		}
	})
	return p
}

func (p *process) start() {
	p.f.t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.f.t.Fatal(err)
	}
	defer out.Close()
	if p.offset, err = out.Seek(0, io.SeekEnd); err != nil {
		p.f.t.Fatal(err)
	}
	p.cmd, p.began, p.ended = exec.Command(p.f.bin, p.args...), time.Now(), make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		p.f.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, ended chan struct{}) { _ = cmd.Wait(); close(ended) }(p.cmd, p.ended)
}

// kill ends the process with SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// stop asks the process to end and returns how long that took.
func (p *process) stop() time.Duration {
	p.f.t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.f.t.Errorf("stop %s: %v", p.instance, err)
	}
	<-p.ended
	if got := p.cmd.ProcessState.ExitCode(); got != p.code {
		p.f.t.Errorf("%s ended with exit code %d, want %d", p.instance, got, p.code)
	}
	return time.Since(began)
}

// ready asks the process, as an orchestrator does.
func (p *process) ready() bool {
	resp, err := http.Get("http://" + p.address + "/readyz")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// cpu is the processor time that the process has used.
func (p *process) cpu() time.Duration {
	p.f.t.Helper()
	return time.Duration(p.metric(cpuSeconds) * float64(time.Second)).Round(100 * time.Millisecond)
}

// metric is one of the process's; 0 says enough of one that it does not have.
func (p *process) metric(line *regexp.Regexp) (value float64) {
	p.f.t.Helper()
	resp, err := http.Get("http://" + p.address + "/metrics")
	if err != nil {
		p.f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.f.t.Fatal(err)
	}
	if m := line.FindSubmatch(b); m != nil {
		value, _ = strconv.ParseFloat(string(m[1]), 64)
	}
	return value
}

var (
	cpuSeconds = regexp.MustCompile(`(?m)^process_cpu_seconds_total (\S+)$`)
	storeBytes = regexp.MustCompile(`(?m)^firstseen_store_bytes (\S+)$`)
	mostMemory = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)
)

// peakRSS is the most memory, in MB, that the running process has had.
func (p *process) peakRSS() int {
	p.f.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.f.t.Fatal(err)
	}
	m := mostMemory.FindSubmatch(b)
	if m == nil {
		p.f.t.Fatalf("no VmHWM in\n%s", b)
	}
	kb, _ := strconv.Atoi(string(m[1])) // digits
	return kb * 1024 / 1e6
}

func (p *process) awaitReady(limit time.Duration) {
	p.f.t.Helper()
	p.f.await(p.instance+" is ready", limit, func() bool {
		select {
		case <-p.ended:
			p.f.t.Fatalf("%s ended: %s", p.instance, p.cmd.ProcessState)
		default:
		}
		return p.ready()
	})
}

// span is when a lane began to take partitions over and when it had.
type span struct{ began, ended time.Time }

var tookOver = regexp.MustCompile(`time=(\S+) .*msg="took over partitions" lane=\S*-(ingest|detect|group)-\S+ opened=([1-9]\d*) .*took=(\S+)`)

// tookOver finds in the log when a stage took over its partitions.
func (p *process) tookOver(stage string) span {
	p.f.t.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.f.t.Fatal(err)
	}
	for _, m := range tookOver.FindAllSubmatch(b[p.offset:], -1) {
		at, err := time.Parse(time.RFC3339Nano, string(m[1]))
		if err != nil {
			p.f.t.Fatal(err)
		}
		took, err := time.ParseDuration(string(m[4]))
		if err != nil {
			p.f.t.Fatal(err)
		}
		if string(m[2]) == stage {
			return span{at.Add(-took), at}
		}
	}
	p.f.t.Fatalf("%s took nothing over:\n%s", p.instance, b[p.offset:])
	return span{}
}
