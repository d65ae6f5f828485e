package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas/wire"
	"firstseen/state"
)

// Lookup reads what the workers of a deployment remember and have written, from their topics, or from a state directory
// that nobody has open. It writes nothing and belongs to no group, so nobody notices. It is for one goroutine.
//
// From the topics it reads what is committed when it is asked; an open transaction, whatever comes of it, is not
// waited for.
type Lookup struct {
	cfg    Config
	store  *state.Store // of a directory; nil: the topics are read
	cl     *kgo.Client
	adm    *kadm.Client
	notes  *control // what control said when the Lookup was opened
	shapes map[wire.StateID]shape
	taken  []taken // rulesets, in no order
}

// lookupStall is how long a read may go without an answer from the brokers.
const lookupStall = 30 * time.Second

// OpenLookup connects to the deployment's brokers and reads its control topic. The error wraps ErrUnreachable, or
// ErrNoTopic if there is no such deployment.
func OpenLookup(ctx context.Context, cfg Config) (*Lookup, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(cfg.ClientOptions(kgo.MetadataMinAge(MetadataAge))...)
	if err != nil {
		return nil, err
	}
	l := &Lookup{cfg: cfg, cl: cl, adm: kadm.NewClient(cl), notes: &control{topic: cfg.topic(topicControl), values: map[string][]byte{}}}
	if err := l.readControl(ctx); err != nil {
		l.Close()
		return nil, err
	}
	l.setShapes()
	return l, nil
}

func (l *Lookup) readControl(ctx context.Context) error {
	reach, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := l.cl.Ping(reach); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	marks := map[string]controlMark{}
	err := l.Read(ctx, l.notes.topic, nil, func(r *kgo.Record) bool {
		if len(r.Value) == 0 {
			delete(l.notes.values, string(r.Key))
			delete(marks, string(r.Key))
		} else {
			l.notes.values[string(r.Key)] = r.Value
			marks[string(r.Key)] = controlMark{r.Offset, r.Timestamp.UnixMilli()}
		}
		return true
	})
	if errors.Is(err, ErrNoTopic) {
		return fmt.Errorf("%w: no worker of app %q has run here yet, or the app has another name", err, l.cfg.App)
	} else if err != nil {
		return err
	}
	d, err := l.notes.deployment()
	if err == nil && d == nil {
		err = fmt.Errorf("%w: %s has no record of a deployment: is app %q right?", ErrGuarantee, l.notes.topic, l.cfg.App)
	}
	if err != nil {
		return err
	}
	l.cfg.Partitions = d.Partitions
	l.setTaken(marks)
	return nil
}

// OpenLookupDir opens a state directory to look at: of a worker that does not run, or of a scan. The rules of cfg give
// the rules in it their names. The error wraps state.ErrLocked if the directory is in use.
func OpenLookupDir(dir string, cfg Config) (*Lookup, error) {
	store, err := state.Open(dir, state.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	l := &Lookup{cfg: cfg, store: store, notes: &control{}}
	l.setShapes()
	return l, nil
}

// Close ends the connections, or releases the directory.
func (l *Lookup) Close() error {
	if l.store != nil {
		return l.store.Close()
	}
	l.cl.Close()
	return nil
}

// Admin is the client with which it asks the brokers; Close closes it. It is nil where a state directory is looked at.
func (l *Lookup) Admin() *kadm.Client { return l.adm }

// Ranges says what a state directory holds, of which stages and how current it is; nothing where topics are read.
func (l *Lookup) Ranges() ([]state.RangeInfo, error) {
	if l.store == nil {
		return nil, nil
	}
	return l.store.Ranges()
}

// History is since when the terms of a rule have been recorded, and until when what it finds in records of a source topic
// is held back, as control says; wire.NoTime where it does not say.
func (l *Lookup) History(r *rules.Rule, topic string) stage.Since {
	h, _, _ := l.notes.histories(-1)
	return h.of(r, topic)
}

// Learned says whether a record of a source partition is before the offset from which on the deployment makes alerts.
func (l *Lookup) Learned(ctx context.Context, topic string, partition int32, offset int64) (bool, error) {
	rounds, err := l.notes.rounds()
	if err != nil || len(rounds) == 0 {
		return false, err
	}
	details, err := l.adm.ListTopics(ctx, topic)
	if err != nil {
		return false, fmt.Errorf("%w: describe %s: %w", ErrUnreachable, topic, err)
	}
	for _, r := range rounds {
		t, ok := r.Topics[topic]
		if ok && t.ID == details[topic].ID.String() && int(partition) < len(t.Live) {
			return offset < t.Live[partition], nil
		}
	}
	return false, nil
}

// Read calls each for the committed records of some partitions of a topic, up to the last stable offset of now. from has
// the offset to begin with by partition, nil: all of them from their beginning. Where each returns false that partition
// is read no further. Transaction markers are not given to it.
func (l *Lookup) Read(ctx context.Context, topic string, from map[int32]int64, each func(*kgo.Record) bool) error {
	at, end, err := l.bounds(ctx, topic, from)
	if err != nil || len(at) == 0 {
		return err
	}
	begin := map[int32]kgo.Offset{}
	for p, offset := range at {
		begin[p] = kgo.NewOffset().At(offset)
	}
	cl, err := kgo.NewClient(l.cfg.ReaderOptions(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: begin}))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for heard := time.Now(); len(at) > 0; {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollRecords(poll, 10_000)
		cancel()
		if ctx.Err() != nil {
			return fmt.Errorf("read %s: %w", topic, context.Cause(ctx))
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) {
				return fmt.Errorf("%w: read %s/%d: %w", ErrUnreachable, topic, e.Partition, e.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if _, wanted := at[r.Partition]; !wanted {
				return
			}
			at[r.Partition], heard = r.Offset+1, time.Now()
			behind := r.Offset >= end[r.Partition]
			if behind || !r.Attrs.IsControl() && !each(r) || r.Offset+1 >= end[r.Partition] {
				delete(at, r.Partition)
				cl.PauseFetchPartitions(map[string][]int32{topic: {r.Partition}})
			}
		})
		if fetches.NumRecords() > 0 {
			continue
		}
		if err := l.dropEmpty(ctx, topic, at); err != nil {
			return err
		}
		if time.Since(heard) > lookupStall {
			return fmt.Errorf("%w: %s gives nothing for %s, with %d of its partitions still to read", ErrUnreachable, topic, lookupStall, len(at))
		}
	}
	return nil
}

// bounds returns where to begin and where to end, for the partitions in which there is something to read.
func (l *Lookup) bounds(ctx context.Context, topic string, from map[int32]int64) (at, end map[int32]int64, err error) {
	starts, err := l.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: offsets of %s: %w", ErrUnreachable, topic, err)
	}
	ends, err := l.adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: offsets of %s: %w", ErrUnreachable, topic, err)
	}
	at, end = map[int32]int64{}, map[int32]int64{}
	ends.Each(func(e kadm.ListedOffset) {
		begin, wanted := from[e.Partition]
		if from != nil && !wanted && e.Partition >= 0 { // -1 stands for the topic
			return
		}
		start, _ := starts.Lookup(topic, e.Partition)
		switch failed := errors.Join(e.Err, start.Err); {
		case errors.Is(failed, kerr.UnknownTopicOrPartition):
			err = fmt.Errorf("%w: %s", ErrNoTopic, topic)
		case failed != nil:
			err = fmt.Errorf("%w: offsets of %s/%d: %w", ErrUnreachable, topic, e.Partition, failed)
		}
		if begin = max(begin, start.Offset); begin < e.Offset {
			at[e.Partition], end[e.Partition] = begin, e.Offset
		}
	})
	return at, end, err
}

// dropEmpty drops the partitions behind whose offset there is nothing. Compaction may have deleted what was between the
// last record and the end, and then the client, which gives no empty answer, would wait for ever.
func (l *Lookup) dropEmpty(ctx context.Context, topic string, at map[int32]int64) error {
	details, err := l.adm.ListTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("%w: describe %s: %w", ErrUnreachable, topic, err)
	}
	d := details[topic]
	for _, p := range slices.Sorted(maps.Keys(at)) {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes, req.IsolationLevel = 1, 1
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = topic, d.ID
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p, at[p], 1
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		resp, err := l.cl.Broker(int(d.Partitions[p].Leader)).RetriableRequest(ctx, req)
		if err != nil {
			return fmt.Errorf("%w: read %s/%d: %w", ErrUnreachable, topic, p, err)
		}
		got, ok := resp.(*kmsg.FetchResponse)
		if !ok || len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 {
			continue
		}
		if answer := got.Topics[0].Partitions[0]; answer.ErrorCode == 0 && len(answer.RecordBatches) == 0 {
			delete(at, p)
		}
	}
	return nil
}
