package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

// excuse says which faults may be the reason of what a worker says.
type excuse struct {
	text  string   // a regular expression
	kinds []string // none: always
}

var (
	down    = []string{"broker", "txn-coordinator", "group-coordinator", "partition", "delay", "cut"}
	excuses = []excuse{
		{`stopped without knowing what became of its last transaction`, nil}, // a stop that is not waited for; the next start knows
		{`no space left|can no longer be written`, []string{"disk-full"}},
		{`AUTHORIZATION_FAILED`, []string{"acl"}},
		{`upgrade this worker|format of another version`, []string{"upgrade"}},
		{`is gone, but it had been read to`, []string{"jump"}},
		{`the brokers do not answer|stalled at|cannot reach Kafka|connection refused|broken pipe|EOF|timeout|deadline exceeded`, down},
	}
)

// excused reports whether a fault that is or was at work explains what a worker said.
func (w *world) excused(said string) bool {
	for _, e := range excuses {
		if regexp.MustCompile(e.text).MatchString(said) && (e.kinds == nil || w.active.recent(2*time.Minute, e.kinds...)) {
			return true
		}
	}
	return false
}

// judgeExit looks at how a process ended that nobody killed.
func (p *worker) judgeExit(code int) {
	last := p.lastWords(8000)
	if i := strings.LastIndex(last, "\nfirstseen: "); i >= 0 {
		last = last[i+1:]
	} else if i := strings.LastIndex(last, "\npanic: "); i >= 0 {
		last = last[i+1 : min(len(last), i+1500)]
	}
	last = strings.ReplaceAll(strings.TrimSpace(last), "\n", " | ")
	if p.w.excused(last) || p.isDamaged() && regexp.MustCompile(`(?i)damaged|corrupt|checksum|pebble`).MatchString(last) {
		say("%s ended with %d, which a fault explains: %.200s", p.name, code, last)
		return
	}
	p.w.findings.add("%s ended by itself with exit code %d: %s", p.name, code, last)
}

func (p *worker) isDamaged() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.damaged
}

func (p *worker) setDamaged(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.damaged = is
}

// logEnds is where the workers' logs end now.
func (w *world) logEnds() map[string]int64 {
	ends := map[string]int64{}
	for _, p := range w.fleet {
		if info, err := os.Stat(p.log); err == nil {
			ends[p.log] = info.Size()
		}
	}
	return ends
}

// countInLogs counts the lines behind from that have a text.
func (w *world) countInLogs(from map[string]int64, text string) (n int) {
	for _, p := range w.fleet {
		if b, err := os.ReadFile(p.log); err == nil && int64(len(b)) > from[p.log] {
			n += bytes.Count(b[from[p.log]:], []byte(text))
		}
	}
	return n
}

// watch is what is seen of the deployment while it is under fire.
type watch struct {
	mu     sync.Mutex
	aborts map[int]float64 // of the process with this pid
	lag    int64
	most   int64
	waited map[string]bool // partitions in quarantine, with the reason
}

// run looks until ctx ends.
func (v *watch) run(ctx context.Context, w *world) {
	v.aborts, v.waited = map[int]float64{}, map[string]bool{}
	for n := 0; ctx.Err() == nil; n++ {
		for _, p := range w.running() {
			v.look(p)
		}
		if lag, ok := w.lag(ctx); ok {
			v.mu.Lock()
			v.lag, v.most = lag, max(v.most, lag)
			v.mu.Unlock()
		}
		sleep(ctx, 3*time.Second)
	}
}

var (
	abortsLine = regexp.MustCompile(`(?m)^firstseen_transaction_aborts_total\{.*\} (\S+)$`)
	waiting    = regexp.MustCompile(`partition (\S+) is in quarantine: (.*)`)
)

func (v *watch) look(p *worker) {
	_, metrics := p.get("/metrics")
	sum := 0.0
	for _, m := range abortsLine.FindAllStringSubmatch(metrics, -1) {
		var n float64
		if _, err := fmt.Sscan(m[1], &n); err == nil {
			sum += n
		}
	}
	p.mu.Lock()
	pid := p.cmd.Process.Pid
	p.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.aborts[pid] = max(v.aborts[pid], sum)
	_, body := p.get("/readyz")
	for _, m := range waiting.FindAllStringSubmatch(body, -1) {
		key := m[1] + ": " + strings.Trim(regexp.MustCompile(`\d+`).ReplaceAllString(m[2], "N"), " ")
		if !v.waited[key] {
			v.waited[key] = true
			if !p.w.excused(m[2]) {
				p.w.findings.add("%s put %s into quarantine: %s", p.name, m[1], m[2])
			}
		}
	}
}

func (v *watch) aborted() (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, a := range v.aborts {
		n += int(a)
	}
	return n
}
