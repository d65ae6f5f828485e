package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/schemas/wire"
)

// witness reads the findings topic as a subscriber does, committed records only, from before the first worker on: a lane
// deletes what it has consumed. What it has seen is in a file, so that it goes on where it was.
type witness struct {
	r      *run
	cl     *kgo.Client
	file   *os.File
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	next map[int32]int64 // offset behind the last record or marker seen
	err  error           // it cannot go on
}

// testimony is a line of the file: a finding, or only how far a partition was read.
type testimony struct {
	Partition int32    `json:"p"`
	Offset    int64    `json:"o"`
	Finding   *finding `json:"f,omitempty"`
}

// openWitness goes on with the file of the run, or begins it.
func openWitness(ctx context.Context, r *run) (_ *witness, err error) {
	w := &witness{r: r, next: map[int32]int64{}, done: make(chan struct{})}
	var whole int64
	if whole, err = readTestimony(r, func(t testimony) { w.next[t.Partition] = t.Offset + 1 }); err != nil {
		return nil, err
	}
	if w.file, err = os.OpenFile(testimonyFile(r), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.file.Close()
		}
	}()
	if err = w.file.Truncate(whole); err != nil { // a run that was killed may have left half a line
		return nil, err
	}
	if _, err = w.file.Seek(0, 2); err != nil {
		return nil, err
	}
	from := map[int32]kgo.Offset{}
	for p := range r.Partitions {
		from[p] = kgo.NewOffset().At(w.next[p])
	}
	if w.cl, err = kgo.NewClient(kgo.SeedBrokers(r.Brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.topic(): from}), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()); err != nil {
		return nil, err
	}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go w.watch(ctx)
	return w, nil
}

func (w *witness) topic() string { return w.r.App + ".findings" }

// watch reads until ctx ends.
func (w *witness) watch(ctx context.Context) {
	defer close(w.done)
	for {
		fetches := w.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, kerr.OffsetOutOfRange) || errors.As(e.Err, new(*kgo.ErrDataLoss)) {
				w.fail(fmt.Errorf("findings have gone before the witness saw them: %s/%d offset %d: %w", e.Topic, e.Partition, w.next[e.Partition], e.Err))
				return
			}
		}
		var lines bytes.Buffer
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { w.take(p.Records, &lines) })
		if _, err := w.file.Write(lines.Bytes()); err != nil {
			w.fail(err)
		}
		if w.failed() { // what comes next would hide the gap
			return
		}
	}
}

// take notes records of one partition, and how far they reach.
func (w *witness) take(records []*kgo.Record, lines *bytes.Buffer) {
	if len(records) == 0 {
		return
	}
	to := json.NewEncoder(lines)
	for _, r := range records {
		if r.Attrs.IsControl() || len(r.Value) == 0 { // a tick
			continue
		}
		var f wire.Finding
		if err := wire.DecodeFinding(r.Value, &f); err != nil {
			w.fail(fmt.Errorf("a finding cannot be read: %s/%d offset %d: %w", r.Topic, r.Partition, r.Offset, err))
			return
		}
		if f.Rule != crossedRule && f.Rule != cappedRule {
			continue
		}
		seen := &finding{Rule: f.Rule, Group: f.Group, Period: f.Policy.Period, CapCount: f.Policy.CapCount, CapPer: f.Policy.CapPer}
		for i := range f.Entries {
			e := &f.Entries[i]
			seen.Matches = append(seen.Matches, match{floorSecond(e.Match.Time), e.Match.EventID, e.Folded})
		}
		_ = to.Encode(testimony{r.Partition, r.Offset, seen}) // a buffer takes everything
	}
	last := records[len(records)-1]
	_ = to.Encode(testimony{last.Partition, last.Offset, nil})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next[last.Partition] = last.Offset + 1
}

func floorSecond(ms int64) int64 { return time.UnixMilli(ms).Unix() }

func (w *witness) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
}

func (w *witness) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// Close ends it. The file stays.
func (w *witness) Close() error {
	w.cancel()
	<-w.done
	w.cl.Close()
	return w.file.Close()
}

// all calls fn for everything that was found up to now, when it has been seen.
func (w *witness) all(ctx context.Context, fn func(*finding)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.r.Brokers...))
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, w.topic())
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	for !w.seen(ends[w.topic()]) {
		if ctx.Err() != nil {
			return fmt.Errorf("the witness has not seen all findings within a minute")
		}
		sleep(ctx, 50*time.Millisecond)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	_, err = readTestimony(w.r, func(t testimony) {
		if t.Finding != nil {
			fn(t.Finding)
		}
	})
	return err
}

// seen reports whether the witness has come to these ends, or cannot go on.
func (w *witness) seen(ends map[int32]kadm.ListedOffset) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, end := range ends {
		if w.next[p] < end.Offset && w.err == nil {
			return false
		}
	}
	return true
}

func testimonyFile(r *run) string { return filepath.Join(r.Dir, "findings.jsonl") }

// readTestimony calls fn for each whole line of the file, and returns how many bytes these have.
func readTestimony(r *run, fn func(testimony)) (whole int64, err error) {
	f, err := os.Open(testimonyFile(r))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil { // the end, or half a line
			return whole, nil //nolint:nilerr // what is not there is read from the topic again
		}
		t := testimony{}
		if err := json.Unmarshal(line, &t); err != nil {
			return 0, fmt.Errorf("%s, byte %d: %w", f.Name(), whole, err)
		}
		whole += int64(len(line))
		fn(t)
	}
}
