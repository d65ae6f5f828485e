package processor

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// maxRuleset bounds a published ruleset in bytes: below what a broker takes by default.
const maxRuleset = 900 << 10

// SetRules has the worker go on with other rules, between transactions. All workers of a deployment may do so at
// different times: every record names the rules that decided about it. It waits until the worker has started, and
// returns when the rules are in force here. On an error the rules in force stay.
func (w *Worker) SetRules(ctx context.Context, set *rules.Set) error {
	select {
	case <-w.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	w.changing.Lock()
	defer w.changing.Unlock()
	if set.Hash() == w.rules.Load().Hash() {
		w.health.note(noteRules, "")
		return w.announce(ctx) // the last change may not have got there
	}
	cl, err := kgo.NewClient(w.cfg.ClientOptions()...)
	if err != nil {
		return err
	}
	defer cl.Close()
	var writes map[string][]byte
	err = w.control.agree(ctx, &w.cfg, func() (map[string][]byte, error) {
		writes = map[string][]byte{}
		return writes, w.publish(ctx, kadm.NewClient(cl), set, false, writes)
	})
	if err != nil {
		return fmt.Errorf("publish the rules: %w", err)
	}
	w.tell(writes)
	w.rules.Store(set)
	hash := set.Hash()
	w.metrics.reloads.WithLabelValues("ok").Inc()
	w.health.note(noteRules, "")
	w.cfg.Log.Info("other rules are in force", "rules", len(set.Rules()), "ruleset", hex.EncodeToString(hash[:]))
	return w.announce(ctx)
}

// RulesFailed notes that changed rules could not be used, for metrics and [Worker.Notes], until SetRules succeeds.
func (w *Worker) RulesFailed(err error) {
	w.metrics.reloads.WithLabelValues("failed").Inc()
	w.health.note(noteRules, "rules: those in force are not the ones on disk, which cannot be used: "+strings.ReplaceAll(err.Error(), "\n", "; "))
}

// texts keeps the rulesets that records name, for rendering alerts.
type texts struct {
	control *control
	mu      sync.Mutex
	read    map[string]*rules.Published // by hash
}

// lookup returns the texts of a rule. A ruleset that this process has not got yet is fetched from control, where it was
// committed before the first record that names it.
func (t *texts) lookup(ruleset []byte, rule string) (*alert.Rule, error) {
	set, err := t.get(ruleset)
	if err != nil {
		return nil, err
	}
	r := set.Rule(rule)
	if r == nil {
		return nil, fmt.Errorf("ruleset %x has no rule %q", ruleset, rule)
	}
	return r.Info(), nil
}

func (t *texts) get(ruleset []byte) (*rules.Published, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if set := t.read[string(ruleset)]; set != nil {
		return set, nil
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Second, stage.ErrUnknownRuleset)
	defer cancel()
	encoded, err := t.control.ruleset(ctx, ruleset)
	if err != nil {
		return nil, fmt.Errorf("ruleset %x: %w", ruleset, err)
	}
	set, err := rules.ReadPublished(encoded)
	if err != nil {
		return nil, fmt.Errorf("ruleset %x in control: %w", ruleset, err)
	}
	if t.read == nil {
		t.read = map[string]*rules.Published{}
	}
	t.read[string(ruleset)] = set
	return set, nil
}

// all returns every ruleset in control that this build can read.
func (t *texts) all() (sets []*rules.Published) {
	for _, hash := range t.control.rulesets() {
		if set, err := t.get(hash); err == nil { // else it is of a newer worker
			sets = append(sets, set)
		}
	}
	return sets
}

// current returns the rulesets in force before an instance starts or changes its own: its last one, and those that others
// have taken up since, as they may have read what it reads now; for a new instance the one taken up last. Before anybody
// has said what it runs, the deployment has just been founded, with the rulesets that there are.
func (t *texts) current(instance string) (sets []*rules.Published) {
	all := slices.DeleteFunc(t.control.presences(), func(p presence) bool { return !slices.Contains(p.Stages, StageIngest) })
	if len(all) == 0 {
		return t.all()
	}
	from := slices.IndexFunc(all, func(p presence) bool { return p.instance == instance })
	if from < 0 {
		from = len(all) - 1
	}
	for _, p := range all[from:] {
		if hash, err := hex.DecodeString(p.Ruleset); err == nil && len(hash) > 0 {
			if set, err := t.get(hash); err == nil {
				sets = append(sets, set)
			}
		}
	}
	return sets
}

// states returns the state ids that a rule has in the rulesets of control: one for each set of fields it has had.
func (t *texts) states(rule string) (ids []wire.StateID) {
	for _, set := range t.all() {
		if r := set.Rule(rule); r != nil && !slices.Contains(ids, r.State()) {
			ids = append(ids, r.State())
		}
	}
	return ids
}
