package processor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/processor/stage"
)

// Request asks the owners of partitions to change what they remember. It is a record in control; the lane that owns a
// partition carries it out in its own transaction and answers there, so nobody has to stop the group.
type Request struct {
	ID        string    `json:"id"`
	Stage     Stage     `json:"stage"`
	Topic     string    `json:"topic,omitempty"` // of the input; empty: any
	Partition int32     `json:"partition"`       // of the input; -1: all
	Use       string    `json:"use,omitempty"`   // where to read on: store, committed, noted or earliest
	Rule      string    `json:"rule,omitempty"`  // whose state to delete
	Asked     time.Time `json:"asked"`
}

// Where a partition can be told to read on.
const (
	UseStore     = "store"     // at the input offset the state is current to
	UseCommitted = "committed" // at the offset the group has committed, with the state as it is
	UseNoted     = "noted"     // at the offset ingest noted last
	UseEarliest  = "earliest"  // at the first offset there is
)

const (
	prefixRequest = "request/" // + id; value: Request
	prefixAnswer  = "answer/"  // + id/topic/partition; value: what was done
)

func (r *Request) answerKey(tp topicPartition) string {
	return prefixAnswer + r.ID + "/" + tp.String()
}

// requests returns the requests for a partition that have not been answered and were made since an offset of control,
// oldest first, and the offset behind the last record looked at.
func (c *control) requests(s Stage, tp topicPartition, since int64) (open []*Request, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since == c.next {
		return nil, since
	}
	for k, v := range c.values {
		r := new(Request)
		if !strings.HasPrefix(k, prefixRequest) || c.offsets[k] < since || json.Unmarshal(v, r) != nil || r.Stage != s {
			continue
		}
		if (r.Topic == "" || r.Topic == tp.topic) && (r.Partition < 0 || r.Partition == tp.partition) && c.values[r.answerKey(tp)] == nil {
			open = append(open, r)
		}
	}
	slices.SortFunc(open, func(a, b *Request) int { return a.Asked.Compare(b.Asked) })
	return open, c.next
}

// resume returns where requests tell the partition to read on, among the offsets that are known (negative: not known).
// have is where it stands, if that is known. The answer is sent in the lane's next transaction, with that offset.
func (l *lane) resume(p *part, have int64, offsets map[string]int64) (next int64, ok bool) {
	open, heard := l.w.control.requests(l.stage, p.tp, 0)
	p.heard = heard
	for _, r := range open {
		if r.Use == "" {
			p.heard = 0 // heed carries it out, however long ago it was asked
		}
		at, known := offsets[r.Use]
		if !known || at < 0 {
			continue
		}
		next, ok = at, true
		done := fmt.Sprintf("reads on at offset %d", at)
		switch {
		case have >= 0 && at > have:
			done += fmt.Sprintf(", skips %d offsets", at-have)
		case have > at:
			done += fmt.Sprintf(", repeats %d offsets", have-at)
		}
		p.answers = append(p.answers, reply{r, done})
		l.log.Warn("asked where to read on", "partition", p.tp.String(), "use", r.Use, "done", done)
	}
	return next, ok
}

type reply struct {
	request *Request
	done    string
}

// heed looks for requests made since the last turn. It deletes the state of rules that they name, in this transaction.
// Where to read on is decided at a takeover, so for such a request it ends the session.
func (l *lane) heed() error {
	elsewhere := func(tp topicPartition, open []*Request) error {
		for _, r := range open {
			if r.Use != "" {
				return fmt.Errorf("asked where to read %s on", tp)
			}
		}
		return nil
	}
	l.mu.Lock()
	for tp, heard := range l.waiting {
		open, next := l.w.control.requests(l.stage, tp, heard)
		l.waiting[tp] = next
		if err := elsewhere(tp, open); err != nil {
			l.mu.Unlock()
			return err
		}
	}
	l.mu.Unlock()
	for _, p := range l.owned() {
		open, next := l.w.control.requests(l.stage, p.tp, p.heard)
		open = slices.DeleteFunc(open, func(r *Request) bool { // what the takeover has done
			return slices.ContainsFunc(p.answers, func(a reply) bool { return a.request.ID == r.ID })
		})
		if err := elsewhere(p.tp, open); err != nil {
			return err
		}
		for _, r := range open {
			if p.rng == nil {
				continue
			}
			n, err := l.forgetRule(p, r.Rule)
			if err != nil {
				return fmt.Errorf("delete the state of rule %s: %w", r.Rule, err)
			}
			l.touch(p)
			l.answer(p, reply{r, fmt.Sprintf("deleted %d keys of rule %s", n, r.Rule)})
		}
		l.count(func() { p.heard = next }) // an abort takes back what was done
		if len(p.answers) > 0 || p.gap > 0 {
			l.touch(p) // without waiting for a record
		}
	}
	return nil
}

// forgetRule deletes what a partition knows of a rule, and returns how many keys that was.
func (l *lane) forgetRule(p *part, rule string) (n int, err error) {
	for _, id := range l.w.texts.states(rule) {
		for _, kind := range []byte{stage.TermKind, stage.WindowKind, stage.CapKind} {
			var keys [][]byte
			if err := p.view.Scan(append([]byte{kind}, id[:]...), func(key, _ []byte) error {
				keys = append(keys, slices.Clone(key))
				return nil
			}); err != nil {
				return n, err
			}
			for _, k := range keys {
				p.view.Delete(k)
			}
			n += len(keys)
		}
	}
	return n, nil
}

// answer sends answers to requests in this transaction.
func (l *lane) answer(p *part, answers ...reply) {
	for _, a := range answers {
		l.send(&kgo.Record{Topic: l.w.control.topic, Key: []byte(a.request.answerKey(p.tp)), Value: []byte(a.done)}, nil)
	}
}

// fence has the transaction commit the input offset of every partition that it is about. The client commits the offsets
// of records it has returned: that is too far where records were left for later (see gate), and nothing for a partition
// that is written for without having been read from. It is by its offsets that a lane which lost its partitions is found
// out: without them it could write to a changelog that another lane goes on with.
func (l *lane) fence(req *kmsg.TxnOffsetCommitRequest) error {
	for _, p := range l.touched {
		rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = p.tp.partition, p.next
		i := slices.IndexFunc(req.Topics, func(t kmsg.TxnOffsetCommitRequestTopic) bool { return t.Topic == p.tp.topic })
		if i < 0 {
			i = len(req.Topics)
			rt := kmsg.NewTxnOffsetCommitRequestTopic()
			rt.Topic, rt.TopicID = p.tp.topic, p.inputID
			req.Topics = append(req.Topics, rt)
		}
		in := &req.Topics[i].Partitions
		switch j := slices.IndexFunc(*in, func(rp kmsg.TxnOffsetCommitRequestTopicPartition) bool { return rp.Partition == p.tp.partition }); {
		case j < 0:
			*in = append(*in, rp)
		case (*in)[j].Offset != p.next:
			(*in)[j] = rp
		}
	}
	return nil
}

// Ask writes a request to control and waits until every partition it concerns has answered, or ctx ends. It calls told
// with each answer.
func Ask(ctx context.Context, cfg Config, r Request, told func(partition, done string)) error {
	if err := cfg.setDefaults(); err != nil {
		return err
	}
	if known := []string{UseStore, UseCommitted, UseEarliest}; r.Stage != StageIngest && r.Use != "" && !slices.Contains(known, r.Use) {
		return fmt.Errorf("stage %s can go on at %s, not at %q", r.Stage, strings.Join(known, ", "), r.Use)
	} else if known[0] = UseNoted; r.Stage == StageIngest && !slices.Contains(known, r.Use) {
		return fmt.Errorf("stage ingest keeps no state and can go on at %s, not at %q", strings.Join(known, ", "), r.Use)
	}
	c, err := openControl(ctx, &cfg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer c.Close()
	d, err := c.deployment()
	if err != nil {
		return err
	}
	if d == nil {
		return fmt.Errorf("%w: %s has no record of a deployment: is app %q right?", ErrGuarantee, c.topic, cfg.App)
	}
	r.ID, r.Asked = uuid.NewString(), time.Now().UTC()
	if _, err := c.put(ctx, prefixRequest+r.ID, encodeNote(r)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	want := 1
	if r.Partition < 0 && r.Stage != StageIngest {
		want = int(d.Partitions)
	}
	seen := map[string]bool{}
	prefix := prefixAnswer + r.ID + "/"
	return c.wait(ctx, func() bool {
		for k, v := range c.values {
			if strings.HasPrefix(k, prefix) && !seen[k] {
				seen[k] = true
				told(strings.TrimPrefix(k, prefix), string(v))
			}
		}
		return len(seen) >= want
	})
}
