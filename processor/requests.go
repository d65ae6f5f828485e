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

// requests returns the requests for a partition that have not been answered, oldest first.
func (c *control) requests(s Stage, tp topicPartition) []*Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	var open []*Request
	for k, v := range c.values {
		r := new(Request)
		if !strings.HasPrefix(k, prefixRequest) || json.Unmarshal(v, r) != nil || r.Stage != s {
			continue
		}
		if (r.Topic == "" || r.Topic == tp.topic) && (r.Partition < 0 || r.Partition == tp.partition) && c.values[r.answerKey(tp)] == nil {
			open = append(open, r)
		}
	}
	slices.SortFunc(open, func(a, b *Request) int { return a.Asked.Compare(b.Asked) })
	return open
}

// resume returns where requests tell the partition to read on, among the offsets that are known (negative: not known).
// The answer is sent with the first records read from there: until their commit the group's offset has not moved.
func (l *lane) resume(p *part, offsets map[string]int64) (next int64, ok bool) {
	for _, r := range l.w.control.requests(l.stage, p.tp) {
		at, known := offsets[r.Use]
		if !known || at < 0 {
			continue
		}
		next, ok = at, true
		p.answers = append(p.answers, reply{r, fmt.Sprintf("reads on at offset %d; committed was %d", at, p.committed)})
		l.log.Warn("asked to read on elsewhere", "partition", p.tp.String(), "use", r.Use, "at", at, "committed", p.committed)
	}
	return next, ok
}

type reply struct {
	request *Request
	done    string
}

// forgetRules deletes the state of rules that requests name, in this transaction, and answers them.
func (l *lane) forgetRules() error {
	if l.stage == StageIngest || !l.w.control.since(&l.heard) {
		return nil
	}
	for _, p := range l.owned() {
		for _, r := range l.w.control.requests(l.stage, p.tp) {
			if r.Rule == "" {
				continue
			}
			n := 0
			for _, id := range l.w.texts.states(r.Rule) {
				for _, kind := range []byte{stage.TermKind, stage.WindowKind, stage.CapKind} {
					var keys [][]byte
					if err := p.view.Scan(append([]byte{kind}, id[:]...), func(key, _ []byte) error {
						keys = append(keys, slices.Clone(key))
						return nil
					}); err != nil {
						return fmt.Errorf("delete the state of rule %s: %w", r.Rule, err)
					}
					for _, k := range keys {
						p.view.Delete(k)
					}
					n += len(keys)
				}
			}
			p.answers = append(p.answers, reply{r, fmt.Sprintf("deleted %d keys of rule %s", n, r.Rule)})
			l.touch(p)
		}
	}
	return nil
}

// answer sends the answers of a partition's requests in this transaction.
func (l *lane) answer(p *part) {
	for _, a := range p.answers {
		l.send(&kgo.Record{Topic: l.w.control.topic, Key: []byte(a.request.answerKey(p.tp)), Value: []byte(a.done)}, nil)
	}
}

// Ask writes a request to control and waits until every partition it concerns has answered, or ctx ends. It calls told
// with each answer.
func Ask(ctx context.Context, cfg Config, r Request, told func(partition, done string)) error {
	if err := cfg.setDefaults(); err != nil {
		return err
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
