package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"firstseen/traffic"
)

// worker is a worker process, when it runs.
type worker struct {
	name, binary, config, state, log string
	address                          string
	leaves                           bool

	cmd  *exec.Cmd
	done chan error
}

func newWorker(s settings, n int, brokers string) *worker {
	w := &worker{name: fmt.Sprintf("w%d", n+1), binary: s.binary, address: local(s.port + 10 + n), leaves: n == 2}
	w.config, w.state, w.log = s.path(w.name+".yml"), s.path(w.name), s.path(w.name+".log")
	type m = map[string]any
	c := m{"app": app, "instance": w.name, "brokers": []string{brokers}, "learning": "none", "lanes": 1, "partitions": partitions,
		"sources": []m{{"topic": source(traffic.CloudTrail)}, {"topic": source(traffic.S3Access)}},
		"rules":   m{"set": []string{traffic.NewTermsRule + ".new_terms.history=6h", traffic.NewTermsRule + ".max_alerts=off"}},
		"state":   m{"dir": w.state, "min_free": "64MiB"}, "http": m{"listen": w.address}, "purge_after": "1m", "close_after": "30s", "stop": "keep"}
	if w.leaves {
		c["stop"] = "leave"
	}
	b, err := json.MarshalIndent(c, "", "\t") // which is YAML, too
	if err == nil {
		err = os.WriteFile(w.config, b, 0o600)
	}
	if err != nil {
		panic(err) // a map of strings and a new directory
	}
	return w
}

func (w *worker) start() error {
	out, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	w.cmd = exec.Command(w.binary, "run", "-c", w.config)
	w.cmd.Stdout, w.cmd.Stderr, w.cmd.SysProcAttr = out, out, ownGroup
	if err := w.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w (make build)", w.name, err)
	}
	w.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait(); close(done) }(w.cmd, w.done)
	return nil
}

// stop asks the process to end. One that does not within a minute, or has ended by itself, is an error.
func (w *worker) stop() error {
	if w.cmd == nil {
		return nil
	}
	defer func() { w.cmd = nil }()
	select {
	case err := <-w.done:
		return fmt.Errorf("%s has ended by itself: %w, see %s", w.name, err, w.log)
	default:
	}
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", w.name, err)
	}
	select {
	case err := <-w.done:
		if err != nil {
			return fmt.Errorf("%s ended with %w, see %s", w.name, err, w.log)
		}
		return nil
	case <-time.After(time.Minute):
		w.kill()
		return fmt.Errorf("%s does not stop, see %s", w.name, w.log)
	}
}

// kill ends the process at once, if it runs.
func (w *worker) kill() {
	if w.cmd == nil {
		return
	}
	_ = w.cmd.Process.Kill() // it may have ended by itself
	<-w.done                 //nolint:errcheck // of a kill
	w.cmd = nil
}

func (w *worker) awaitReady(limit time.Duration) error {
	why := ""
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		body, err := w.get("/readyz")
		if err == nil {
			return nil
		}
		why = strings.TrimSpace(body + " " + err.Error())
	}
	return fmt.Errorf("%s is not ready within %s: %s; see %s", w.name, limit, why, w.log)
}

func (w *worker) get(path string) (string, error) {
	cl := http.Client{Timeout: 3 * time.Second}
	resp, err := cl.Get("http://" + w.address + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(b), err
}

// metrics are the process's own, summed over their labels.
func (w *worker) metrics() (map[string]float64, error) {
	body, err := w.get("/metrics")
	if err != nil {
		return nil, err
	}
	sums := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		name, value, ok := cutLast(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("metric %q: %w", lines.Text(), err)
		}
		name, _, _ = strings.Cut(name, "{")
		sums[name] += v
	}
	return sums, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
