package processor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// watchRules looks, until ctx ends, whether all instances that run have the same rules in force. That they have not is no
// error, every record names the rules that decided about it; for a moment it is so whenever rules change. Later it is
// worth knowing: some worker could not load them, or was forgotten.
func (w *Worker) watchRules(ctx context.Context) {
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.cfg.Timing.Differ / 10):
		}
		each, err := w.rulesInForce(ctx)
		switch {
		case err != nil: // the next look will do
		case len(each) < 2:
			since = time.Time{}
			w.health.note(noteDiffer, "")
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= w.cfg.Timing.Differ:
			w.health.note(noteDiffer, fmt.Sprintf("rules: instances have had different ones in force since %s: %s; give all workers the same rule files; /readyz of a worker says if it could not load them",
				since.UTC().Format(time.RFC3339), strings.Join(each, "; ")))
		}
	}
}

// rulesInForce says which rules are in force on which of the instances that are members of the groups, one ruleset a
// string.
func (w *Worker) rulesInForce(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(w.cfg.ClientOptions()...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	groups := map[Stage]kadm.DescribedGroup{}
	for _, s := range Stages {
		described, err := kadm.NewClient(cl).DescribeGroups(ctx, w.cfg.group(s))
		if err != nil {
			return nil, err
		}
		groups[s] = described[w.cfg.group(s)]
	}
	running, hashes := w.cfg.running(groups), map[string][]string{}
	for _, p := range w.control.presences() {
		if running[p.instance] {
			hashes[p.Ruleset] = append(hashes[p.Ruleset], p.instance)
		}
	}
	return rulesOf(hashes), nil
}

// running are the instances that have members in the groups.
func (c *Config) running(groups map[Stage]kadm.DescribedGroup) map[string]bool {
	running := map[string]bool{}
	for s, g := range groups {
		for _, m := range g.Members {
			if m.InstanceID == nil {
				continue
			}
			if name, ok := c.laneOf(s, *m.InstanceID); ok {
				running[name] = true
			}
		}
	}
	return running
}

// rulesOf lists rulesets and the instances that have them in force.
func rulesOf(hashes map[string][]string) (each []string) {
	for hash, names := range hashes {
		slices.Sort(names)
		each = append(each, fmt.Sprintf("%.12s on %s", hash, strings.Join(names, ", ")))
	}
	slices.Sort(each)
	return each
}
