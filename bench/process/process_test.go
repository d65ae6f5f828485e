package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A shell that waits for its child costs nothing itself.
func TestSampleCountsTheWholeTree(t *testing.T) {
	dir := t.TempDir()
	burnt := filepath.Join(dir, "burnt")
	script := filepath.Join(dir, "program")
	burn := "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
	text := "#!/bin/sh\nsh -c '" + burn + "; touch " + burnt + "; read x <" + filepath.Join(dir, "fifo") + "'\nexit 1\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := Start("sh -c 'mkfifo "+filepath.Join(dir, "fifo")+"; exec "+script+"'", filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	for _, err := os.Stat(burnt); err != nil; _, err = os.Stat(burnt) {
		select {
		case <-p.Done():
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("the program has ended: %s", log)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if cpu := p.Sample(); cpu < 0.05 {
		t.Errorf("%.2f s of CPU: the child that worked was left out", cpu)
	}
	if p.Peak() < 500_000 {
		t.Errorf("%d bytes at most", p.Peak())
	}
}

func TestStopInsists(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := Start(`sh -c 'trap "echo asked" TERM; echo up; while :; do sleep 0.05; done'`, log)
	if err != nil {
		t.Fatal(err)
	}
	said := func(what string) bool {
		b, _ := os.ReadFile(log)
		return strings.Contains(string(b), what)
	}
	for !said("up") {
		time.Sleep(5 * time.Millisecond)
	}
	p.Stop(500 * time.Millisecond)
	if !said("asked") {
		t.Error("killed without being asked")
	}
	select {
	case <-p.Done():
	default:
		t.Error("still there")
	}
}
