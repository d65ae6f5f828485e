package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/internal/proof"
)

const (
	away = 16 * 24 * time.Hour
	// While all is down the changelogs forget tombstones so soon that every store counts as too old.
	shortRetention = 6 * time.Second
)

// jump has everything down while the clock goes on for 16 days: times of events and records jump, the groups' offsets
// expire, the stores count as too old. Then an operator does what the workers' messages say.
func jump(f *blow) error {
	w := f.w
	w.traffic.pause(true)
	defer w.traffic.pause(false)
	running := w.running()
	clean, err := f.stopCleanly(running)
	if err != nil {
		return err
	}
	down := time.Now()
	if err := w.traffic.jump(away); err != nil {
		return err
	}
	if err := w.keepTombstones(f.ctx, shortRetention); err != nil {
		return err
	}
	expired := w.groups()
	if !clean { // ingest's offsets are noted on a clean stop; without, up to a minute would be read again
		expired = expired[1:]
	}
	var n int
	if n, err = f.expire(expired); err != nil {
		return err
	}
	f.show("groups whose offsets expired", n)
	f.sleep(shortRetention - time.Since(down)) // more than half of it, which is the limit
	from := w.logEnds()
	for _, p := range running {
		if err := p.start(); err != nil {
			return err
		}
	}
	w.traffic.pause(false)
	asked, err := w.operate(f.ctx, 90*time.Second)
	if err != nil {
		return err
	}
	f.show("partitions reset as the message says", asked)
	f.show("stores that were too old", w.countInLogs(from, "too old")+w.countInLogs(from, "dropped an old range"))
	if asked > 0 && n == len(w.groups()) {
		f.happened = 1
	}
	return w.keepTombstones(f.ctx, 7*24*time.Hour)
}

// stopCleanly stops workers so that ingest's offsets are noted. Where a fault from before comes between, or a partition
// has no owner at that moment, once more.
func (f *blow) stopCleanly(all []*worker) (clean bool, err error) {
	for try := range 3 {
		for _, p := range all {
			if try == 0 {
				continue
			}
			if err := p.start(); err != nil {
				return false, err
			}
		}
		await(f.ctx, time.Duration(try)*20*time.Second, func() bool {
			return !slices.ContainsFunc(all, func(p *worker) bool { return !p.ready() })
		})
		clean = true
		for _, p := range all {
			f.stop(p)
			clean = clean && p.ended == 0
		}
		noted, err := f.noted()
		if err != nil {
			return false, err
		}
		if clean = clean && noted; clean {
			return true, nil
		}
	}
	return false, nil
}

// noted reports whether control has what ingest's group has committed.
func (f *blow) noted() (bool, error) {
	ctx, cancel := context.WithTimeout(kadm.RequireStable(f.ctx), 20*time.Second)
	defer cancel()
	committed, err := f.w.adm.FetchOffsets(ctx, f.w.App+".ingest")
	if err != nil {
		return false, fmt.Errorf("offsets of ingest: %w", err)
	}
	notes := map[string]int64{}
	err = proof.Read(ctx, []kgo.Opt{kgo.SeedBrokers(f.w.Brokers...)}, f.w.App+".control", func(r *kgo.Record) {
		var note struct{ Next int64 }
		if of, ok := strings.CutPrefix(string(r.Key), "offset/"); ok && json.Unmarshal(r.Value, &note) == nil {
			notes[of] = note.Next
		}
	})
	equal := true
	committed.Each(func(o kadm.OffsetResponse) {
		equal = equal && o.Err == nil && notes[fmt.Sprintf("%s/%d", o.Topic, o.Partition)] == o.At
	})
	return equal, err
}

// keepTombstones sets how long the changelogs keep them.
func (w *world) keepTombstones(ctx context.Context, d time.Duration) error {
	ms := fmt.Sprint(d.Milliseconds())
	results, err := w.adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "delete.retention.ms", Value: &ms}}, w.App+".detect.changelog", w.App+".group.changelog")
	if err != nil {
		return fmt.Errorf("set delete.retention.ms: %w", err)
	}
	for _, r := range results {
		if r.Err != nil {
			return fmt.Errorf("set delete.retention.ms of %s: %w", r.Name, r.Err)
		}
	}
	return nil
}

// expire removes the groups, members and all, as a broker does with groups that have been empty for long.
func (f *blow) expire(groups []string) (n int, err error) {
	for _, g := range groups {
		ok := await(f.ctx, time.Minute, func() bool {
			var described kadm.DescribedGroups
			if described, err = f.w.adm.DescribeGroups(f.ctx, g); err != nil {
				return false
			}
			leave := kadm.LeaveGroup(g)
			var members []string
			for _, m := range described[g].Members {
				if m.InstanceID != nil {
					members = append(members, *m.InstanceID)
				}
			}
			if len(members) > 0 {
				if _, err = f.w.adm.LeaveGroup(f.ctx, leave.InstanceIDs(members...)); err != nil {
					return false
				}
			}
			_, err = f.w.adm.DeleteGroup(f.ctx, g)
			return err == nil
		})
		if !ok {
			return n, fmt.Errorf("delete group %s: %w", g, err)
		}
		n++
	}
	return n, nil
}

var resetCommand = regexp.MustCompile(`firstseen (state reset --stage ingest --topic \S+ --partition \d+ --use noted)`)

// operate runs the command that the workers' messages name, for each partition that waits for it, until all are ready.
func (w *world) operate(ctx context.Context, limit time.Duration) (asked int, err error) {
	done := map[string]bool{}
	results := make(chan error)
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < limit; sleep(ctx, 300*time.Millisecond) {
		ready := true
		for _, p := range w.running() {
			ready = ready && p.ready()
			_, body := p.get("/readyz")
			for _, m := range resetCommand.FindAllStringSubmatch(body, -1) {
				if !done[m[1]] {
					done[m[1]] = true
					go func() {
						_, err := p.command(ctx, append(strings.Fields(m[1]), "--wait", "1m")...)
						results <- err
					}()
				}
			}
		}
		if ready {
			break
		}
	}
	for range done {
		err = errors.Join(err, <-results)
	}
	return len(done), errors.Join(err, ctx.Err())
}
