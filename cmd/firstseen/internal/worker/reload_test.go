package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"firstseen/config"
	"firstseen/rules"
)

// ruled is a worker that tells what rules it is given.
type ruled struct{ said chan string }

func (r ruled) SetRules(_ context.Context, set *rules.Set) error {
	var list []string
	for _, rule := range set.Rules() {
		text := rule.ID() + " " + rule.Text().Severity
		if a := rule.Text().Allowlist; a != nil {
			text += fmt.Sprintf(" %d", len(a.Networks))
		}
		list = append(list, text)
	}
	r.said <- strings.Join(list, ", ")
	return nil
}

func (r ruled) RulesFailed(err error) { r.said <- "failed: " + err.Error() }

const reloadedRule = "id: mine\nname: Mine\ndataset: aws.s3access\nseverity: %s\nallowlist: {field: remoteip, files: [%s]}\n"

// TestReload changes files below a reloader's feet. What it says comes once for each change, and nothing in between.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, format string, args ...any) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), fmt.Appendf(nil, format, args...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(name string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "rules"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "c.yml")
	configured := func(more string) {
		put("c.yml", "brokers: [localhost]\nsources: [{topic: x}]\nrules: {builtin: false, paths: [%q]%s}\n", filepath.Join(dir, "rules"), more)
	}
	configured("")
	put("list.txt", "10.0.0.0/8\n")
	put("rules/mine.yaml", reloadedRule, "low", "../list.txt")
	r := &reloader{config: file, every: 20 * time.Millisecond, log: slog.New(slog.DiscardHandler), worker: ruled{make(chan string)},
		load: func() (*config.Config, error) { return config.Load(config.Layers{File: file}) }}
	cfg, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.read(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.watch(ctx)
	}()
	defer func() {
		cancel()
		<-done
	}()
	says := func(want string) {
		t.Helper()
		select {
		case got := <-r.worker.(ruled).said:
			if !strings.Contains(got, want) {
				t.Fatalf("said %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("says nothing, want %q", want)
		}
	}
	says("mine low 1") // whatever has changed since the start
	put("list.txt", "10.0.0.0/8\n192.168.0.0/16\n")
	says("mine low 2")
	put("rules/mine.yaml", reloadedRule, "hihg", "../list.txt")
	says(`failed: ` + filepath.Join(dir, "rules/mine.yaml") + `:4:11: severity: want one of`)
	put("rules/mine.yaml", reloadedRule, "high", "../other.txt") // names another list, which is not there yet
	says("failed: ")
	put("other.txt", "10.0.0.0/8\n172.16.0.0/12\n192.168.0.0/16\n")
	says("mine high 3")
	put("other.txt", "10.0.0.0/8\n")
	says("mine high 1")
	configured(", set: [mine.severity=critical]")
	says("mine critical 1")
	configured(", sett: []")
	says(`failed: `)
	configured("")
	says("mine high 1")
	remove("rules/mine.yaml")
	put("rules/two.yaml", "id: two\nname: Two\ndataset: aws.cloudtrail\nseverity: low\nquery: 'event.action: x'\n")
	says("two low")
	says("two low") // no list counts any more, so what was read is read again
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	says("two low") // as nothing has changed, a worker will do nothing
	put("c.yml", "brokers: [localhost]\nsources: [{topic: x}]\nstrict: true\n")
	says("failed: strict was changed")
}
