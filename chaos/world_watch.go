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
			if _, ok := explain(quarantines, m[2], working, p.w.recently); !ok {
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
