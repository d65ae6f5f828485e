package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/internal/proof"
	"firstseen/rules"
	"firstseen/traffic"
)

// verdict is how what came of a run differs from what had to.
type verdict struct {
	Missing, Duplicate int      // alerts
	Wrong              int      // alerts, counts of closed windows, dead letters, and whatever else is not right
	StoresEqual        bool     // to a fold over the input, and to their changelogs
	Breaches           int      // of all these, what a broken rule of the protocol makes; none if the input is not what it should be
	Lines              []string // what was compared, and the first differences
}

// shownDifferences is how many differences of a kind are printed. All are in DIR/differences.jsonl.
const shownDifferences = 3

// judge compares what a run has made of its input with what it had to. Everything must have been processed, and the
// workers have ended.
func judge(ctx context.Context, r *run, eyes *witness, dirs []string) (verdict, error) {
	c := &court{ctx: ctx, r: r, conn: []kgo.Opt{kgo.SeedBrokers(r.Brokers...)}, skipped: map[string]bool{}}
	var err error
	if c.rules, err = runRules(r); err != nil {
		return verdict{}, err
	}
	for _, step := range []func() error{
		c.readInput,
		func() error { return c.hear(eyes) },
		c.readOutput,
		func() error { return c.readStates(dirs) },
		func() error { return c.verify(dirs) },
		c.askBrokers,
	} {
		began := time.Now()
		if err := step(); err != nil {
			return verdict{}, err
		}
		if took := time.Since(began); took > 10*time.Second {
			say("judging: %s", took.Round(time.Second))
		}
	}
	return c.verdict()
}

// court is a judgement in the making.
type court struct {
	ctx   context.Context
	r     *run
	conn  []kgo.Opt
	rules *rules.Set

	skipped map[string]bool // state directories that cannot be read

	answer  *answer
	crossed *crossing
	alerts  *proof.Alerts // that were seen
	diff    proof.Differences
	lines   []string
}

// runRules are the rules of the run's workers.
func runRules(r *run) (*rules.Set, error) {
	settings, err := workerRules(r.Dir)
	if err != nil {
		return nil, err
	}
	set, _, err := rules.Load(rules.LoadOptions{Paths: settings["paths"].([]string), Set: settings["set"].([]string)})
	return set, err
}

func (c *court) line(format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

// readInput makes the answer anew, of the records that there are, and sees that they are what they should be: else the
// harness is wrong and nothing else means anything.
func (c *court) readInput() error {
	cl, err := kgo.NewClient(c.conn...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := sourceEnds(c.ctx, cl, c.r)
	if err != nil {
		return err
	}
	notes, err := readNotes(c.r)
	if err != nil {
		return err
	}
	c.answer = answerOf(c.r, notes, ends)
	for _, topic := range c.r.Sources {
		if err := proof.Read(c.ctx, c.conn, topic, c.isInput); err != nil {
			return err
		}
	}
	return nil
}

// answerOf is what must come of the first records of a sequence, so many in each partition.
func answerOf(r *run, notes []note, ends map[place]int64) *answer {
	a, left := newAnswer(), int64(0)
	for _, end := range ends {
		left += end
	}
	for seq := newSequence(r, notes); left > 0; {
		if it := seq.next(); it.offset < ends[it.place] {
			a.add(&it)
			left--
		}
	}
	return a
}

func (c *court) isInput(r *kgo.Record) {
	sums := c.answer.sums[place{r.Topic, r.Partition}]
	if r.Offset >= int64(len(sums)) || sums[r.Offset] != checksum(r.Value) {
		c.diff = append(c.diff, proof.Difference{Kind: proof.Input, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Detail: "this is not the record that the generator makes here"})
	}
}

// hear has the witness say what was found.
func (c *court) hear(eyes *witness) error {
	c.crossed = newCrossing()
	return eyes.all(c.ctx, c.crossed.add)
}

// readOutput compares the alerts, those that are suppressed, and the dead letters.
func (c *court) readOutput() error {
	alerts, letters := expectations(c.answer, c.crossed), newLetters(c.answer)
	for _, t := range []struct {
		name string
		fn   func(*kgo.Record)
	}{
		{"alerts", func(r *kgo.Record) { alerts.Saw(r, false) }},
		{"suppressed", func(r *kgo.Record) { alerts.Saw(r, true) }},
		{"dlq", letters.saw},
	} {
		if err := proof.Read(c.ctx, c.conn, c.r.App+"."+t.name, t.fn); err != nil {
			return err
		}
	}
	c.alerts = alerts
	c.diff = append(append(c.diff, alerts.Differences()...), letters.differences()...)
	c.diff = append(c.diff, sums(c.answer, c.crossed, alerts)...)
	c.line("%d records; %d of %d alerts, %d suppressed over the cap; %d of %d dead letters", c.answer.records, alerts.Made(), alerts.Expected(), len(c.crossed.held), len(letters.seen), len(letters.want))
	return nil
}

// expectations has all alerts expected that must come.
func expectations(a *answer, c *crossing) *proof.Alerts {
	alerts := proof.NewAlerts()
	for _, w := range expected(a, c) {
		alerts.Expect(w)
	}
	return alerts
}

// expected are all alerts that must come.
func expected(a *answer, c *crossing) (all []proof.Alert) {
	for _, w := range a.alerts {
		w.Suppressed = w.Rule == cappedRule && c.held[w.EventID]
		all = append(all, w)
	}
	all = append(all, a.buckets.alerts(traffic.AllowlistRule, func(bucket string) string { return bucket })...)
	return append(all, c.alerts()...)
}

// sums compares how many matches there were with how many the windows have that cross partitions. What a lost finding
// would have made, nobody misses otherwise.
func sums(a *answer, c *crossing, seen *proof.Alerts) (all proof.Differences) {
	d := proof.Difference{Kind: proof.Count, Rule: crossedRule}
	if n := c.windows.matches(); n != int64(a.matches) {
		d.Detail = fmt.Sprintf("%d matches in the input, %d in the findings", a.matches, n)
		all = append(all, d)
	}
	open := int64(0) // not reported yet
	for _, list := range c.windows {
		if last := list[len(list)-1]; last != nil {
			open += last.count - 1
		}
	}
	if n := int64(seen.Matches(crossedRule)); n > int64(a.matches) || n < int64(a.matches)-open {
		d.Detail = fmt.Sprintf("%d matches in the input, %d in the alerts, at most %d not reported yet", a.matches, n, open)
		all = append(all, d)
	}
	return all
}

// verdict sums up, and writes all differences to a file.
func (c *court) verdict() (v verdict, err error) {
	f, err := os.Create(filepath.Join(c.r.Dir, "differences.jsonl"))
	if err != nil {
		return v, err
	}
	defer f.Close()
	to := json.NewEncoder(f)
	for _, d := range c.diff {
		if err := to.Encode(d); err != nil {
			return v, err
		}
	}
	stores := c.diff.Of(proof.Term) + c.diff.Of(proof.Window) + c.diff.Of(proof.Cap) + c.diff.Of(proof.Store)
	v = verdict{Missing: c.diff.Of(proof.Missing), Duplicate: c.diff.Of(proof.Duplicate), StoresEqual: stores == 0, Lines: c.lines}
	v.Wrong = len(c.diff) - v.Missing - v.Duplicate - stores
	v.Breaches = breaches(c.diff)
	shown := map[proof.Kind]int{}
	for _, d := range c.diff {
		if shown[d.Kind]++; shown[d.Kind] <= shownDifferences {
			v.Lines = append(v.Lines, d.String())
		}
	}
	if n := len(c.diff); n > 0 {
		v.Lines = append(v.Lines, fmt.Sprintf("%d differences, all in %s", n, f.Name()))
	}
	return v, nil
}
