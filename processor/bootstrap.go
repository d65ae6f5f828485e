package processor

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// Bootstrapped is what a bootstrap has met and done.
type Bootstrapped struct {
	Stats      schemas.Stats
	Matches    int64
	Candidates int64
	Read       map[schemas.Dataset]Extent
	Rules      []BootstrappedRule
}

// Extent is the event times of records that were read, Unix milliseconds.
type Extent struct{ First, Last int64 }

// BootstrappedRule is since when the terms of a rule are recorded now.
type BootstrappedRule struct {
	Rule     string
	Start    int64 // Unix milliseconds; wire.NoTime: not known yet
	Extended bool  // the records reach up to what was recorded before, so that the history begins with them
	Released bool  // the rule was learning, and its findings were held back
	Gap      bool  // the records end before what was recorded before
	Held     bool  // its findings are still held back
}

// candidateBatch is how many messages of a bootstrap are combined before their candidates are sent.
const candidateBatch = 5000

// Bootstrap teaches a deployment the terms of older records, without alerts: their candidates go to the workers flagged
// as learned, and the workers remember them as any others. The deployment is founded if there is none. set has the rules
// to be taught; those of cfg are what the deployment runs. each gives the messages to its function, in any order; dead
// gets what could not be decoded. Afterwards a rule's history begins with these records if they reach up to where it
// began, and if it was held back because it was added late, it alerts. So it does if the rules were named, although there
// is a gap; but not if there was no record of its dataset.
//
// A bootstrap that is broken off, or made twice, does no harm: what it has taught stays, and only the counts of terms
// are too high.
func Bootstrap(ctx context.Context, cfg Config, set *rules.Set, each func(func(schemas.Message) error) error, dead func(*schemas.Message, schemas.DeadLetter), named bool) (*Bootstrapped, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	cfg.Instance += "-bootstrap" // whose transactions may be fenced
	w, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := w.prepare(ctx); err != nil {
		return nil, err
	}
	defer w.control.Close()
	out, err := newTeacher(ctx, w)
	if err != nil {
		return nil, err
	}
	defer out.cl.Close()
	b := &Bootstrapped{Read: map[schemas.Dataset]Extent{}}
	in := stage.NewIngest(set, stage.IngestConfig{Decoder: schemas.Config{Bounds: cfg.Bounds, Strict: set.Strict(), ValidateAll: true}, Dead: dead})
	in.SetLearn(true)
	in.SetSeen(func(e *schemas.Event) {
		x, ok := b.Read[e.Dataset]
		if !ok {
			x = Extent{e.Time, e.Time}
		}
		b.Read[e.Dataset] = Extent{min(x.First, e.Time), max(x.Last, e.Time)}
	})
	n := 0
	err = each(func(m schemas.Message) error {
		b.Stats.Add(in.Message(m))
		if n++; n%candidateBatch != 0 {
			return out.err()
		}
		return in.Flush(out.send)
	})
	if err == nil {
		err = in.Flush(out.send)
	}
	if err == nil {
		err = out.cl.Flush(ctx)
	}
	if err == nil {
		err = out.err()
	}
	b.Matches, b.Candidates = in.Counts().Matches, out.sent
	if err != nil {
		return b, fmt.Errorf("bootstrap: %w", err)
	}
	return b, w.release(ctx, set, b, named)
}

// teacher produces candidates.
type teacher struct {
	w    *Worker
	ctx  context.Context
	cl   *kgo.Client
	sent int64

	mu     sync.Mutex
	failed error
}

func newTeacher(ctx context.Context, w *Worker) (*teacher, error) {
	cl, err := kgo.NewClient(w.cfg.ClientOptions(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.AllowIdempotentProduceCancellation())...)
	return &teacher{w: w, ctx: ctx, cl: cl}, err
}

func (t *teacher) send(o stage.Output) {
	topic := t.w.cfg.topic(o.To.String())
	t.sent++
	t.cl.Produce(t.ctx, &kgo.Record{Topic: topic, Partition: partition(o.Key, t.w.partitions[topic]), Key: o.Key, Value: o.Value}, func(_ *kgo.Record, err error) {
		if err != nil {
			t.mu.Lock()
			t.failed = err
			t.mu.Unlock()
		}
	})
}

func (t *teacher) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// joint is how far apart, in milliseconds, the end of what was bootstrapped and the beginning of what was recorded may
// be to be one history: logs arrive late, and a quiet hour is no gap.
const joint = 3600_000

// release notes in control what a bootstrap has made of the histories of rules. The candidates are in their topic by
// now, before those of any record that is read after this.
func (w *Worker) release(ctx context.Context, set *rules.Set, b *Bootstrapped, named bool) error {
	return w.control.agree(ctx, &w.cfg, func() (map[string][]byte, error) {
		writes := map[string][]byte{}
		b.Rules = nil
		h, _, _ := w.control.histories(-1)
		rounds, err := w.control.rounds()
		if err != nil {
			return nil, err
		}
		for _, r := range set.Rules() {
			if !taught(r) {
				continue
			}
			key := ruleKey(r)
			n := ruleNote{Start: wire.NoTime}
			if v := w.control.get(key); v != nil {
				if err := json.Unmarshal(v, &n); err != nil {
					return nil, fmt.Errorf("%w: record %q of %s: %w", ErrGuarantee, key, w.control.topic, err)
				}
			}
			began := h.of(r, "").Start
			if began == wire.NoTime && len(rounds) > 0 {
				began = rounds[0].Since // nothing has been read yet, but will be from there on
			}
			x, read := b.Read[r.Dataset()]
			joined := read && began != wire.NoTime && x.Last >= began-joint
			done := BootstrappedRule{Rule: r.ID(), Start: began, Extended: joined && x.First < began, Released: n.Hold != 0 && read && (joined || named)}
			if done.Extended {
				done.Start = x.First
				n.Start, n.Whole, n.Until = x.First, true, max(h.start, began)
			}
			if done.Released {
				n.Hold = 0
			}
			if done.Extended || done.Released {
				n.Rule = r.ID()
				writes[key] = encodeNote(n)
			}
			done.Gap = read && began != wire.NoTime && !joined
			done.Held = n.Hold != 0
			b.Rules = append(b.Rules, done)
		}
		return writes, nil
	})
}
