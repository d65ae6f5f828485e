package processor

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas/wire"
	"firstseen/state"
)

// entry is a changelog record in short: a term and how often it was counted, or the input offset.
func entry(key, value []byte) string {
	var off wire.Offset
	var term wire.Term
	switch {
	case string(key) == state.BarrierKey:
		return "barrier"
	case string(key) == state.OffsetKey && wire.DecodeOffset(value, &off) == nil:
		return fmt.Sprintf("in=%d", off.InputNext)
	case value == nil:
		return termOf(key) + "=gone"
	case wire.DecodeTerm(value, &term) == nil:
		return fmt.Sprintf("%s=%d", termOf(key), term.Count)
	}
	return "?"
}

// termKeys are the terms of state keys that were met.
var termKeys = func() map[string]string {
	keys := map[string]string{}
	for _, k := range loopTerms {
		keys[string(stage.TermKey(nil, wire.StateID{1}, []string{k}))] = k
	}
	return keys
}()

// loopTerms are the terms there may be in a trace.
var loopTerms = strings.Fields("ann bob cid dan eve fay")

func termOf(key []byte) string { return termKeys[string(key)] }

func showKeys(keys [][2][]byte) string {
	var out []string
	for _, kv := range keys {
		out = append(out, entry(kv[0], kv[1]))
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// output lists the events of all committed findings.
func (l *loop) output() (ids []string) {
	var f wire.Finding
	for _, log := range l.c.topics[loopApp+"."+topicFindings].logs {
		for _, r := range log.truth(far) {
			if err := wire.DecodeFinding(r.Value, &f); err != nil {
				l.t.Fatal(err)
			}
			for _, e := range f.Entries {
				ids = append(ids, e.Match.EventID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// fold is what an input partition makes of an empty state, record by record: the events of its findings, and the state.
func (l *loop) fold(p int32, upTo int64) (ids []string, view *stage.Overlay, clock int64) {
	d := stage.NewDetect(stage.GroupConfig{})
	view = stage.NewOverlay(nil)
	var highest int64
	for _, r := range l.c.log(loopApp+"."+topicCandidates, p).truth(upTo) {
		clock, highest = stage.Advance(clock, highest, r.Timestamp.UnixMilli())
		if string(r.Key) == l.c.refused { // a dead letter
			continue
		}
		if err := d.Record(view, clock, r.Key, r.Value, r.Timestamp.UnixMilli(), nil); err != nil {
			l.t.Fatal(err)
		}
	}
	var f wire.Finding
	if err := d.Flush(func(o stage.Output) {
		if err := wire.DecodeFinding(o.Value, &f); err != nil {
			l.t.Fatal(err)
		}
		for _, e := range f.Entries {
			ids = append(ids, e.Match.EventID)
		}
	}); err != nil {
		l.t.Fatal(err)
	}
	return ids, view, clock
}

// check says what is wrong: with what has been put out, with the changelog, and with the stores of lanes at work.
func (l *loop) check() error {
	var want []string
	for p := range int32(loopPartitions) {
		ids, view, clock := l.fold(p, l.c.decided(p))
		want = append(want, ids...)
		log := l.c.log(loopApp+"."+topicDetectLog, p)
		if err := sameTerms(foldLog(log.truth(far)), foldView(view), clock); err != nil {
			return fmt.Errorf("the changelog of partition %d is not a fold over its input: %w", p, err)
		}
	}
	slices.Sort(want)
	if got := l.output(); !slices.Equal(got, want) {
		return fmt.Errorf("put out: %s; a fold over the input puts out: %s", strings.Join(got, " "), strings.Join(want, " "))
	}
	for _, w := range l.workers {
		if err := w.check(); err != nil {
			return err
		}
	}
	return nil
}

// check compares the store of a lane that works with the committed changelog up to its position.
func (w *modelWorker) check() error {
	if w.lane == nil || w.session == nil || !w.alive() {
		return nil
	}
	for p := range int32(loopPartitions) {
		part := w.lane.part(topicPartition{loopApp + "." + topicCandidates, p})
		if part == nil || w.loop.c.group.owner[p] != w.session.member {
			continue
		}
		im := w.copy()[p]
		got := map[string][]byte{}
		for _, kv := range im.keys {
			got[string(kv[0])] = kv[1]
		}
		records := w.loop.c.log(loopApp+"."+topicDetectLog, p).truth(im.pos.ChangelogNext)
		var off wire.Offset
		for _, r := range slices.Backward(records) {
			if string(r.Key) == state.OffsetKey {
				if err := wire.DecodeOffset(r.Value, &off); err != nil {
					return err
				}
				break
			}
		}
		want := foldLog(records)
		if off != im.pos.Offset || !maps.EqualFunc(got, want, bytes.Equal) {
			return fmt.Errorf("the store of %s for partition %d at changelog offset %d is current to input %d and has %s; the committed changelog up to there is current to %d and has %s",
				w.name, p, im.pos.ChangelogNext, im.pos.InputNext, showState(got), off.InputNext, showState(want))
		}
	}
	return nil
}

func showState(m map[string][]byte) string {
	var keys [][2][]byte
	for k, v := range m {
		keys = append(keys, [2][]byte{[]byte(k), v})
	}
	return showKeys(keys)
}

// foldLog is what the records of a changelog amount to.
func foldLog(records []*kgo.Record) map[string][]byte {
	keys := map[string][]byte{}
	for _, r := range records {
		switch {
		case r.Key[0] == 0:
		case r.Value == nil:
			delete(keys, string(r.Key))
		default:
			keys[string(r.Key)] = r.Value
		}
	}
	return keys
}

func foldView(view *stage.Overlay) map[string][]byte {
	keys := map[string][]byte{}
	for k, v := range view.Writes() {
		keys[string(k)] = bytes.Clone(v)
	}
	return keys
}

// sameTerms compares states, in which terms may be missing whose time has come: when they are swept, depends on
// transactions. A term that comes back after that begins anew.
func sameTerms(got, want map[string][]byte, clock int64) (err error) {
	for k, v := range want {
		var g, w wire.Term
		if e := wire.DecodeTerm(v, &w); e != nil {
			return e
		}
		have, ok := got[k]
		switch {
		case !ok && w.SweepAt <= clock:
		case !ok:
			err = errors.Join(err, fmt.Errorf("%s is missing", termOf([]byte(k))))
		case wire.DecodeTerm(have, &g) == nil && g.Count != w.Count:
			err = errors.Join(err, fmt.Errorf("%s was counted %d times, not %d", termOf([]byte(k)), g.Count, w.Count))
		case g != w:
			err = errors.Join(err, fmt.Errorf("%s is %+v, not %+v", termOf([]byte(k)), g, w))
		}
	}
	for k := range got {
		if want[k] == nil {
			err = errors.Join(err, fmt.Errorf("%s is too much", termOf([]byte(k))))
		}
	}
	return err
}
