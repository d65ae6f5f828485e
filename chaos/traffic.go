package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// generator writes a sequence to the source topics. Where an earlier start has come to, it learns from the topics: record n
// of a partition is the n-th that the sequence has for it.
type generator struct {
	r      *run
	seq    *sequence
	sent   atomic.Int64
	paused atomic.Bool

	mu     sync.Mutex
	poured int           // poison that was asked for and is not noted yet
	leap   time.Duration // likewise
}

// openGenerator makes a generator. The topics must be there.
func openGenerator(_ context.Context, r *run) (*generator, error) {
	_, err := readNotes(r)
	return &generator{r: r}, err
}

// run writes until ctx ends; then it returns when what it has begun to write is written. Errors of the brokers are
// outlived.
func (g *generator) run(ctx context.Context) error {
	for ctx.Err() == nil {
		notes, err := readNotes(g.r)
		if err != nil {
			return err
		}
		g.seq = newSequence(g.r, notes)
		if err := g.pump(ctx); err != nil && ctx.Err() == nil {
			say("the generator begins again: %v", err)
			// What a broker still has of the old connection is written, or never will be.
			sleep(ctx, 5*time.Second)
		}
	}
	return nil
}

// pump goes on where the topics end, at the rate of the run, until ctx ends or a record could not be written.
func (g *generator) pump(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(g.r.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := sourceEnds(ctx, cl, g.r)
	if err != nil {
		return err
	}
	g.sent.Store(0)
	for _, end := range ends {
		g.sent.Add(end)
	}
	replayed := int64(0)
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(30*time.Second, cancel) })() // what is begun is ended, but not for ever
	const step = 20 * time.Millisecond
	due, at := 0.0, time.Now()
	for ctx.Err() == nil {
		var batch []*kgo.Record
		for due += min(time.Since(at), time.Second).Seconds() * float64(g.r.Rate); due >= 1 && !g.paused.Load(); {
			if replayed == g.sent.Load() { // all that is written already is as it was
				if err := g.note(); err != nil {
					return err
				}
			}
			it := g.seq.next()
			if it.offset < ends[it.place] {
				replayed++
				continue
			}
			batch = append(batch, &kgo.Record{Topic: it.topic, Partition: it.partition, Value: it.value, Timestamp: it.kafkaTime})
			due--
		}
		at = time.Now()
		if err := cl.ProduceSync(patient, batch...).FirstErr(); err != nil {
			return fmt.Errorf("write to the source topics: %w", err)
		}
		g.sent.Add(int64(len(batch)))
		replayed += int64(len(batch))
		if due = min(due, float64(g.r.Rate)); len(batch) == 0 || time.Since(at) < step {
			sleep(ctx, step)
		}
	}
	return nil
}

// note puts what was asked for into the sequence, and on disk before any record that follows from it.
func (g *generator) note() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.poured == 0 && g.leap == 0 {
		return nil
	}
	g.seq.notes = append(g.seq.notes, note{At: g.seq.n, Poison: g.poured, Leap: g.leap})
	g.poured, g.leap = 0, 0
	return writeNotes(g.r, g.seq.notes)
}

// poison has n records more written that nobody can read.
func (g *generator) poison(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.poured += n
}

// jump has the times of events and records go on by d.
func (g *generator) jump(d time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leap += d
	return nil
}

// pause has nothing more written, or goes on.
func (g *generator) pause(p bool) { g.paused.Store(p) }

// written is how many records there are.
func (g *generator) written() int { return int(g.sent.Load()) }

// Close does nothing: run has closed what it opened.
func (g *generator) Close() {}

// place is a partition of a source topic.
type place struct {
	topic     string
	partition int32
}

// sourceEnds returns how many records each source partition has.
func sourceEnds(ctx context.Context, cl *kgo.Client, r *run) (map[place]int64, error) {
	for {
		listed, err := kadm.NewClient(cl).ListEndOffsets(ctx, r.Sources...)
		if err == nil {
			err = listed.Error()
		}
		if err == nil {
			ends := map[place]int64{}
			listed.Each(func(o kadm.ListedOffset) { ends[place{o.Topic, o.Partition}] = o.Offset })
			return ends, nil
		}
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// note is something in the sequence that was asked for while it was written.
type note struct {
	At     int64         `json:"at"`     // before record number At
	Poison int           `json:"poison"` // so many records of poison
	Leap   time.Duration `json:"leap"`   // times go on by this
}

func notesFile(r *run) string { return filepath.Join(r.Dir, "traffic.json") }

func readNotes(r *run) (notes []note, err error) {
	b, err := os.ReadFile(notesFile(r))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &notes)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", notesFile(r), err)
	}
	return notes, nil
}

func writeNotes(r *run, notes []note) error {
	b, err := json.Marshal(notes)
	if err != nil {
		return err
	}
	next := notesFile(r) + ".next"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, notesFile(r))
}
