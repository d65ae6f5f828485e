package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

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

// aborts are the transactions that were aborted: for whatever reason, and those which a worker did on purpose.
type aborts struct{ all, injected int }

// watch is what is seen of the deployment while it is under fire.
type watch struct {
	mu     sync.Mutex
	made   map[int]aborts // by the process with this pid
	lag    int64
	most   int64
	waited map[string]bool // partitions in quarantine, with the reason
}

// run looks until ctx ends.
func (v *watch) run(ctx context.Context, w *world) {
	v.waited = map[string]bool{}
	for ctx.Err() == nil {
		for _, p := range w.running() {
			v.look(p)
			p.lookForDamage()
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
	abortsLine   = regexp.MustCompile(`(?m)^firstseen_transaction_aborts_total(?:\{.*\})? (\S+)$`)
	injectedLine = regexp.MustCompile(`(?m)^firstseen_chaos_aborts_injected_total (\S+)$`)
	waiting      = regexp.MustCompile(`partition (\S+) is in quarantine: (.*)`)
)

func (v *watch) look(p *worker) {
	_, metrics := p.get("/metrics")
	_, body := p.get("/readyz")
	p.mu.Lock()
	pid := p.cmd.Process.Pid
	p.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.count(pid, metrics)
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

// count takes the metrics of a process, or none if it did not answer.
func (v *watch) count(pid int, metrics string) {
	if v.made == nil {
		v.made = map[int]aborts{}
	}
	of := v.made[pid]
	v.made[pid] = aborts{max(of.all, total(metrics, abortsLine)), max(of.injected, total(metrics, injectedLine))}
}

// total sums the values of all lines of a metric.
func total(metrics string, line *regexp.Regexp) int {
	sum := 0.0
	for _, m := range line.FindAllStringSubmatch(metrics, -1) {
		if n, err := strconv.ParseFloat(m[1], 64); err == nil {
			sum += n
		}
	}
	return int(sum)
}

// aborted is how many transactions all processes of this start have aborted.
func (v *watch) aborted() (sum aborts) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, of := range v.made {
		sum.all += of.all
		sum.injected += of.injected
	}
	return sum
}
