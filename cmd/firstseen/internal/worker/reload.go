package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/config"
	"firstseen/rules"
)

// ruler is a worker whose rules can be changed while it runs.
type ruler interface {
	SetRules(ctx context.Context, set *rules.Set) error
	RulesFailed(err error)
}

// reloader watches the files that a worker's rules were loaded from: the rule files, the allowlists they name, and the
// configuration, of which only what it says about rules is taken. It looks at names, sizes and times, as what a
// container's volume shows is often not announced.
type reloader struct {
	worker ruler
	config string                         // file; empty: none
	load   func() (*config.Config, error) // the configuration, anew
	every  time.Duration
	log    *slog.Logger

	strict bool
	paths  []string // rule files and directories
	lists  []string // allowlists
	failed string   // why the files as they are could not be loaded
	warned []string // what was to be said about those that are
}

// read loads the rules of a configuration and notes which files to watch.
func (r *reloader) read(cfg *config.Config) (*rules.Set, error) {
	o := deployment.RuleOptions(cfg)
	var lists []string
	o.ReadFile = func(name string) ([]byte, error) {
		lists = append(lists, name)
		return os.ReadFile(name)
	}
	set, warnings, err := rules.Load(o)
	r.paths, r.lists, r.strict = o.Paths, lists, o.Strict
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		if !slices.Contains(r.warned, w.String()) {
			r.log.Warn("rules", "warning", w.String())
		}
	}
	r.warned = nil
	for _, w := range warnings {
		r.warned = append(r.warned, w.String())
	}
	return set, nil
}

// watch reloads until ctx ends: when a file has changed and then stayed as it is for a moment, and at SIGHUP.
func (r *reloader) watch(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	loaded := "" // what has changed since the start is not known
	before := r.stamp()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			loaded = r.reload(ctx)
			r.log.Info("SIGHUP: the rules were read again", "in_force", r.failed == "")
		case <-tick.C:
			now := r.stamp()
			if now == before && (now != loaded || r.failed != "") { // what is being written is left alone
				loaded = r.reload(ctx)
			}
			before = now
		}
	}
}

// reload has the worker take the rules as they are on disk, all or nothing, and returns the stamp of what was read. The
// stamp is older than what was read: what changes meanwhile is seen the next time.
func (r *reloader) reload(ctx context.Context) (stamp string) {
	var err error
	for lists := []string{""}; err == nil && !slices.Equal(lists, r.lists); { // when other allowlists are named, they count too
		lists, stamp = r.lists, r.stamp()
		err = r.try(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case err == nil:
		if r.failed != "" {
			r.log.Info("the rules on disk can be used again, and are in force")
		}
		r.failed = ""
	case err.Error() != r.failed:
		r.failed = err.Error()
		r.worker.RulesFailed(err)
		r.log.Error("the changed rules cannot be used; those in force stay", "error", err)
	}
	return stamp
}

func (r *reloader) try(ctx context.Context) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if cfg.Strict != r.strict {
		return errors.New("strict was changed in the configuration: that takes a restart")
	}
	set, err := r.read(cfg)
	if err != nil {
		return err
	}
	return r.worker.SetRules(ctx, set)
}

// stamp tells the files apart from how they were before.
func (r *reloader) stamp() string {
	var b strings.Builder
	note := func(name string, info fs.FileInfo, err error) {
		if err != nil {
			fmt.Fprintf(&b, "%s %v\n", name, err)
			return
		}
		fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	for _, name := range append([]string{r.config}, r.lists...) {
		if name != "" {
			info, err := os.Stat(name)
			note(name, info, err)
		}
	}
	for _, path := range r.paths {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			note(path, info, err)
			continue
		}
		_ = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error { // what it cannot read is in the stamp
			if err == nil && entry.IsDir() {
				return nil
			}
			info, statErr := os.Stat(name) // behind a link, as in a mounted config map
			note(name, info, errors.Join(err, statErr))
			return nil
		})
	}
	return b.String()
}
