package processor

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/schemas/wire"
	"firstseen/state"
)

// tooLong is how long a record may wait before it is worth a warning: a worker that is well takes milliseconds.
const tooLong = time.Minute

// stages says of each stage who works on it and what waits.
func (x *doctor) stages(ctx context.Context) bool {
	for _, s := range Stages {
		group := x.cfg.group(s)
		members := len(x.groups[s].Members)
		c := Check{Result: CheckOK, What: "lag", On: "group " + group}
		if members == 0 {
			c.Result, c.Next = CheckWarn, "firstseen run -c FILE"
			if len(x.cfg.Stages) < len(Stages) {
				c.Next += " --stages " + string(s)
			}
		}
		waiting := int64(0)
		for _, topic := range x.inputs(s) {
			from := map[int32]int64{}
			for _, p := range x.partitions(topic) {
				if l, ok := x.place(s, topic, p); ok {
					c.Partitions = append(c.Partitions, l)
					if l.Lag > 0 {
						from[p] = max(l.Committed, l.Start)
					}
				}
			}
			first := map[int32]time.Time{} // behind the committed offset there may be nothing but markers
			if len(from) > 0 {
				if err := x.Read(ctx, topic, from, func(r *kgo.Record) bool { first[r.Partition] = r.Timestamp; return false }); err != nil {
					x.unchecked("lag", topic, err)
				}
			}
			for _, p := range slices.Sorted(maps.Keys(first)) {
				l, _ := x.place(s, topic, p)
				waiting += l.Lag
				if age := time.Since(first[p]); age > tooLong {
					x.say(CheckWarn, "lag", fmt.Sprintf("group %s, %s/%d", group, topic, p), "see /readyz of its worker; if all partitions are behind, start more workers",
						"%d offsets behind; the next record is of %s, %s ago", l.Lag, first[p].UTC().Format(time.RFC3339), age.Round(time.Second))
				}
			}
		}
		c.Says = fmt.Sprintf("lanes: %d, partitions: %d, offsets with records that wait: %d", members, len(c.Partitions), waiting)
		if members == 0 {
			c.Says = fmt.Sprintf("no worker runs this stage; partitions: %d, offsets with records that wait: %d", len(c.Partitions), waiting)
		}
		x.checks = append(x.checks, c)
	}
	return true
}

// positions compares the committed offsets of the stages with state with what their changelogs say they are current to.
func (x *doctor) positions(ctx context.Context) bool {
	for _, s := range []Stage{StageDetect, StageGroup} {
		topic, input := x.cfg.ChangelogTopic(s), x.InputTopic(s)
		if _, known := x.committed[s]; !known { // that was said
			continue
		}
		var wrong map[int32]string
		var err error
		for n := range 3 { // a commit is seen in the group a moment before it is in the changelog
			if n > 0 {
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
			if wrong, err = x.unlike(ctx, s); err != nil || len(wrong) == 0 {
				break
			}
		}
		if err != nil {
			x.unchecked("position", topic, err)
			continue
		}
		for _, p := range slices.Sorted(maps.Keys(wrong)) {
			x.say(CheckFail, "position", fmt.Sprintf("group %s, %s/%d", x.cfg.group(s), input, p),
				fmt.Sprintf("firstseen state reset --stage %s --partition %d --use store", s, p), "%s", wrong[p])
		}
		if len(wrong) == 0 && x.details[topic].Err == nil {
			x.ok("position", topic, "its state is current to the committed offsets of group %s", x.cfg.group(s))
		}
	}
	return true
}

// unlike says in which partitions the group is elsewhere than the state. Both move while they are looked at, so the
// group is asked before and after.
func (x *doctor) unlike(ctx context.Context, s Stage) (map[int32]string, error) {
	before, err := x.groupOffsets(ctx, s)
	if err != nil {
		return nil, err
	}
	current, err := x.currentTo(ctx, s)
	if err != nil {
		return nil, err
	}
	after, err := x.groupOffsets(ctx, s)
	if err != nil {
		return nil, err
	}
	wrong, input := map[int32]string{}, x.InputTopic(s)
	for _, p := range x.partitions(input) {
		low, ok := before.Lookup(input, p)
		high, _ := after.Lookup(input, p)
		store := current[p].InputNext
		switch {
		case !ok: // expired, or nothing read yet: a worker goes on at the state's
		case store < low.At:
			wrong[p] = fmt.Sprintf("the group is at offset %d, the state is current to offset %d only: were offsets reset or the changelog lost?", low.At, store)
		case store > high.At:
			wrong[p] = fmt.Sprintf("the group is at offset %d, the state is current to offset %d already: were offsets reset?", high.At, store)
		}
	}
	return wrong, nil
}

// currentTo finds the last offset record of each partition of a changelog. It is near the end, so it is looked for in
// ever longer tails.
func (x *doctor) currentTo(ctx context.Context, s Stage) (map[int32]wire.Offset, error) {
	topic, found := x.cfg.ChangelogTopic(s), map[int32]wire.Offset{}
	stable, err := x.adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	left := x.partitions(topic)
	for back := int64(500); len(left) > 0; back *= 20 {
		from := map[int32]int64{}
		for _, p := range left {
			start, _ := x.starts.Lookup(topic, p)
			end, _ := stable.Lookup(topic, p)
			from[p] = max(start.Offset, end.Offset-back)
		}
		var bad error
		err := x.Read(ctx, topic, from, func(r *kgo.Record) bool {
			if string(r.Key) == state.OffsetKey {
				var o wire.Offset
				if err := wire.DecodeOffset(r.Value, &o); err != nil {
					bad = fmt.Errorf("%s/%d offset %d: %w", topic, r.Partition, r.Offset, err)
				}
				found[r.Partition] = o
			}
			return true
		})
		if err = errors.Join(err, bad); err != nil {
			return nil, err
		}
		left = slices.DeleteFunc(left, func(p int32) bool {
			start, _ := x.starts.Lookup(topic, p)
			_, ok := found[p]
			return ok || from[p] <= start.Offset
		})
	}
	return found, nil
}

// noted compares the committed offsets of the sources with what ingest noted in control, and says what else workers
// noted.
func (x *doctor) noted(context.Context) bool {
	partitions, before := 0, len(x.checks)
	for _, topic := range x.cfg.sourceTopics() {
		for _, p := range x.partitions(topic) {
			l, ok := x.place(StageIngest, topic, p)
			if !ok {
				continue
			}
			partitions++
			noted, on := x.note(topic, p), fmt.Sprintf("group %s, %s/%d", x.cfg.group(StageIngest), topic, p)
			reset := fmt.Sprintf("firstseen state reset --stage ingest --topic %s --partition %d --use ", topic, p)
			switch {
			case l.Committed < 0 && noted >= 0:
				x.say(CheckFail, "source", on, reset+UseNoted, "its committed offset is gone, but it had been read to offset %d", noted)
			case l.Committed > l.End:
				x.say(CheckFail, "source", on, reset+UseEarliest, "the group is at offset %d, but the topic ends at %d: it lost records", l.Committed, l.End)
			case l.Committed >= 0 && l.Committed < l.Start && x.cfg.SourceGapContinue:
				x.say(CheckWarn, "source", on, "give the topic a longer retention", "retention deleted %d records that were never read", l.Start-l.Committed)
			case l.Committed >= 0 && l.Committed < l.Start:
				x.say(CheckFail, "source", on, "give the topic a longer retention, then set on_source_gap: continue to go on after the gap",
					"retention deleted %d records that were never read", l.Start-l.Committed)
			case l.Committed < noted:
				x.say(CheckWarn, "source", on, reset+UseNoted, "the group is at offset %d, but it had been read to offset %d: were offsets reset? What is between will be read again", l.Committed, noted)
			}
			if why := x.notes.get(sourceKey(prefixQuarantine, topic, p)); why != nil {
				x.say(CheckWarn, "source", on, "see /readyz of its worker", "it was noted as in quarantine at %s: %s",
					x.written[sourceKey(prefixQuarantine, topic, p)].UTC().Format(time.RFC3339), why)
			}
		}
	}
	if partitions > 0 && len(x.checks) == before {
		x.ok("source", "group "+x.cfg.group(StageIngest), "the committed offsets of %d partitions are in their topics and not before what ingest noted", partitions)
	}
	return true
}

// learning says which source partitions have still to be learned.
func (x *doctor) learning(context.Context) bool {
	rounds, err := x.notes.rounds()
	if err != nil {
		x.unchecked("learning", x.notes.topic, err)
		return true
	}
	for n, r := range rounds {
		total, reached := 0, 0
		var missing []string
		for _, topic := range slices.Sorted(slices.Values(x.cfg.sourceTopics())) {
			t, ok := r.Topics[topic]
			if !ok || t.ID != x.details[topic].ID.String() {
				continue
			}
			for p, live := range t.Live {
				l, ok := x.place(StageIngest, topic, int32(p))
				total++
				switch {
				case ok && l.Committed >= live:
					reached++
				case x.notes.get(sourceKey(prefixQuarantine, topic, int32(p))) != nil:
					reached++ // it is not waited for
				case !ok:
					missing = append(missing, fmt.Sprintf("where %s/%d is, is not known", topic, p))
				case l.Committed < 0:
					missing = append(missing, fmt.Sprintf("%s/%d has not been read, %d offsets to learn", topic, p, live-t.From[p]))
				default:
					missing = append(missing, fmt.Sprintf("%s/%d is at %d of %d", topic, p, l.Committed, live))
				}
			}
		}
		on := fmt.Sprintf("round %d of learning", n)
		if len(missing) > 0 {
			next := "wait; alerting begins when all have been learned. A partition that does not move: see /readyz of its worker"
			if len(x.groups[StageIngest].Members) == 0 {
				next = "firstseen run -c FILE"
			}
			x.say(CheckWarn, "learning", on, next, "%d of %d partitions have been learned: %s", reached, total, strings.Join(missing, "; "))
			continue
		}
		x.ok("learning", on, "all %d partitions have been learned", total)
		if r.Hold > time.Now().UnixMilli() {
			x.say(CheckWarn, "learning", on, "", "findings of new terms in events before %s are suppressed", timeOrNone(r.Hold))
		}
	}
	return true
}

// instances says who runs what, going by the members of the groups and by what each instance noted when it started.
func (x *doctor) instances(context.Context) bool {
	running := x.cfg.running(x.groups)
	hashes := map[string][]string{}
	own := ""
	if hash := x.cfg.Rules.Hash(); hash != [32]byte{} {
		own = hex.EncodeToString(hash[:])
	}
	for _, p := range x.presences() {
		if !running[p.instance] {
			continue
		}
		delete(running, p.instance)
		hashes[p.Ruleset] = append(hashes[p.Ruleset], p.instance)
		x.ok("instance", p.instance, "version %s, stages %v, rules %.12s since %s", p.Version, p.Stages, p.Ruleset, x.written[prefixWorker+p.instance].UTC().Format(time.RFC3339))
	}
	for name := range running {
		x.say(CheckWarn, "instance", name, "", "it is a member of the groups, but it has not noted what it runs")
	}
	switch {
	case len(hashes) > 1:
		x.say(CheckWarn, "rules", x.cfg.App, "give all workers the same rule files; /readyz of a worker says if it could not load them", "instances have different rules in force: %s", strings.Join(rulesOf(hashes), "; "))
	case len(hashes) == 1 && hashes[own] == nil:
		x.say(CheckWarn, "rules", x.cfg.App, "if they are newer, the workers reload within seconds, or their /readyz says why not", "the rules of this configuration (%.12s) are not those in force", own)
	case len(hashes) == 1:
		x.ok("rules", x.cfg.App, "all instances run the rules of this configuration (%.12s)", own)
	}
	return true
}

// presences are those in control; a Lookup does not keep the offsets that would order them.
func (x *doctor) presences() []presence {
	all := x.notes.presences()
	slices.SortFunc(all, func(a, b presence) int { return cmp.Compare(a.instance, b.instance) })
	return all
}

// clock compares this machine's clock with the latest time that a broker has put on a record.
func (x *doctor) clock(ctx context.Context) bool {
	var names []string
	for _, n := range []string{topicCandidates, topicFindings, topicDetectLog, topicGroupLog} { // broker's times
		if d, ok := x.details[x.cfg.topic(n)]; ok && d.Err == nil {
			names = append(names, x.cfg.topic(n))
		}
	}
	if len(names) == 0 {
		return true
	}
	latest, err := x.adm.ListMaxTimestampOffsets(ctx, names...)
	now := time.Now()
	if err != nil {
		x.unchecked("clock", "this machine", err)
		return true
	}
	newest := int64(-1)
	latest.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			newest = max(newest, o.Timestamp)
		}
	})
	x.checks = append(x.checks, clockCheck(now, newest, len(x.groups[StageIngest].Members) > 0))
	return true
}

// clockCheck judges a broker's latest time, in Unix milliseconds. Where ingest runs, there is one every ten seconds.
func clockCheck(now time.Time, newest int64, running bool) Check {
	c := Check{Result: CheckOK, What: "clock", On: "this machine"}
	age := now.Sub(time.UnixMilli(newest)).Round(100 * time.Millisecond)
	const next = "check NTP on this machine and on the brokers"
	switch {
	case newest < 0:
		c.Says = "could not be compared: no broker has written a time yet"
	case age < -time.Second:
		c.Result, c.Next, c.Says = CheckWarn, next, fmt.Sprintf("it is %s behind the brokers", -age)
	case age > tooLong && running:
		c.Result, c.Next, c.Says = CheckWarn, next+"; or see why ingest writes nothing", fmt.Sprintf("the latest time of a broker is %s ago, though workers write every 10s: it may be ahead of the brokers", age)
	case age > tooLong:
		c.Says = fmt.Sprintf("could not be compared: nothing was written for %s", age)
	default:
		c.Says = fmt.Sprintf("the latest time of a broker is %s ago", max(age, 0))
	}
	return c
}
