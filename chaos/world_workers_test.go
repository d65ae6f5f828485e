package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startScript has a shell script run as the process of a worker.
func startScript(t *testing.T, script string) *worker {
	t.Helper()
	dir := t.TempDir()
	p := &worker{w: &world{}, name: "w1", state: filepath.Join(dir, "w1"), log: filepath.Join(dir, "w1.log"), wanted: true, born: time.Now(), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command("sh", "-c", script)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.supervise(p.cmd, p.done)
	if !await(t.Context(), 10*time.Second, func() bool { return strings.Contains(p.said(), "up\n") }) {
		t.Fatal("the process does not come up")
	}
	return p
}

// TestStop: a stop that takes longer than it may is found, one in time is not.
func TestStop(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		wrong  string
	}{
		"at once":     {"trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done", ""},
		"too late":    {"trap 'sleep 7.2; exit 0' TERM; echo up; while :; do sleep 0.05; done", "w1 took 7."},
		"with a code": {"trap 'echo firstseen: a lane broke; exit 3' TERM; echo up; while :; do sleep 0.05; done", "w1 ended by itself with exit code 3 while stopping: firstseen: a lane broke"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startScript(t, test.script)
			p.stop()
			if found := strings.Join(p.w.findings.take(), "\n"); !strings.HasPrefix(found, test.wrong) || test.wrong == "" && found != "" {
				t.Errorf("found %q, want %q", found, test.wrong)
			}
		})
	}
}

// TestDamage: a corrupted table counts as noticed when its worker says so, once, and not for what it had said before.
func TestDamage(t *testing.T) {
	const says = "level=ERROR msg=\"the state directory is damaged; it is moved aside and restored from the changelog\"\n"
	dir := t.TempDir()
	p := &worker{w: &world{}, state: filepath.Join(dir, "w1"), log: filepath.Join(dir, "w1.log")}
	var err error
	if p.w.journal, err = openJournal(dir); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	expect := func(damaged bool, times int) {
		t.Helper()
		p.lookForDamage()
		if _, shows := p.w.journal.total("sst-corrupt"); p.isDamaged() != damaged || shows[noticed] != times {
			t.Errorf("damaged %v, noticed %d times; want %v, %d", p.isDamaged(), shows[noticed], damaged, times)
		}
	}
	write(says)
	p.corrupted()
	expect(true, 0)
	write("level=INFO msg=\"took over partitions\"\n" + says)
	expect(false, 1)
	expect(false, 1)
	p.corrupted()
	expect(true, 1)
	if err := p.dropState(); err != nil {
		t.Fatal(err)
	}
	write(says)
	expect(false, 1)
}
