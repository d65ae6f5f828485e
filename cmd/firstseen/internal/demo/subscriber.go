package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/schemas/alert"
	"firstseen/traffic"
)

// subscriber reads every topic of the demo as a subscriber of alerts must: committed records only. All numbers that the
// demo shows are its.
type subscriber struct {
	cl   *kgo.Client
	told func(seenAlert) // called with each alert, in the order of reading
	done chan struct{}

	mu       sync.Mutex
	failed   error
	produced map[string]time.Time // by event id
	at       map[string]map[int32]*reading
	alerts   []seenAlert
	ticks    int
}

// reading is how far a partition has been read.
type reading struct {
	next    int64 // offset
	data    int64 // offset behind the last record that is not a marker
	records int
	markers int
}

// seenAlert is what the demo shows of an alert document, and when it came.
type seenAlert struct {
	rule, category, status, id string
	eventID, key               string // what it is about: the source address or the bucket
	severity                   int
	title, reason              string
	count                      int
	delay                      time.Duration // from produced record to this alert; 0: not known
}

// subscribe reads on until close.
func subscribe(broker string, told func(seenAlert)) (*subscriber, error) {
	topics := slices.Clone(sources)
	for _, name := range []string{"candidates", "findings", "alerts", "suppressed", "dlq"} {
		topics = append(topics, appName+"."+name)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	s := &subscriber{cl: cl, told: told, done: make(chan struct{}), produced: map[string]time.Time{}, at: map[string]map[int32]*reading{}}
	go s.run()
	return s, nil
}

func (s *subscriber) run() {
	defer close(s.done)
	for {
		fetches := s.cl.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		now := time.Now()
		for _, e := range fetches.Errors() {
			s.fail(fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err))
		}
		for r := range fetches.RecordsAll() {
			if a := s.take(r, now); a != nil {
				s.told(*a)
			}
		}
	}
}

// take counts a record and returns the alert that it is.
func (s *subscriber) take(r *kgo.Record, now time.Time) *seenAlert {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.reading(r.Topic, r.Partition)
	at.next = r.Offset + 1
	if r.Attrs.IsControl() {
		at.markers++
		return nil
	}
	at.data = at.next
	at.records++
	switch {
	case len(r.Value) == 0: // in findings: time goes on
		s.ticks++
	case r.Topic == appName+".alerts":
		a, err := parseAlert(r.Value)
		if err != nil {
			s.failed = errors.Join(s.failed, fmt.Errorf("an alert is not what it should be: %w: %s", err, r.Value))
			return nil
		}
		if made, ok := s.produced[a.eventID]; ok {
			a.delay = now.Sub(made)
		}
		s.alerts = append(s.alerts, a)
		return &a
	}
	return nil
}

func (s *subscriber) reading(topic string, partition int32) *reading {
	if s.at[topic] == nil {
		s.at[topic] = map[int32]*reading{}
	}
	if s.at[topic][partition] == nil {
		s.at[topic][partition] = &reading{}
	}
	return s.at[topic][partition]
}

// position is how far a partition has been read, and up to where there are records and not only markers.
func (s *subscriber) position(topic string, partition int32) (next, data int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.reading(topic, partition)
	return at.next, at.data
}

// expect notes when the record of an event is produced: the first, if it comes twice.
func (s *subscriber) expect(eventID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.produced[eventID]; !ok {
		s.produced[eventID] = time.Now()
	}
}

func (s *subscriber) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = errors.Join(s.failed, err)
}

func (s *subscriber) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *subscriber) close() {
	s.cl.Close()
	<-s.done
}

// counts is what has been read.
type counts struct {
	records                                int // of the source topics
	candidates, findings, suppressed, dead int
	aborted                                int // records on the broker that are of no committed transaction
	alerts                                 []seenAlert
}

// counted returns what has been read so far. Aborted records are those passed over: an offset that is neither a record
// nor a marker.
func (s *subscriber) counted() counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c counts
	of := map[string]int{}
	for topic, partitions := range s.at {
		for _, at := range partitions {
			of[topic] += at.records
			c.aborted += int(at.next) - at.records - at.markers
		}
	}
	for _, topic := range sources {
		c.records += of[topic]
	}
	c.candidates, c.findings = of[appName+".candidates"], of[appName+".findings"]-s.ticks
	c.suppressed, c.dead = of[appName+".suppressed"], of[appName+".dlq"]
	c.alerts = slices.Clone(s.alerts)
	return c
}

// delays returns the median and the longest time from a produced record to its alert.
func (c counts) delays() (median, longest time.Duration) {
	var all []time.Duration
	for _, a := range c.alerts {
		if a.status == alert.Open && a.delay > 0 {
			all = append(all, a.delay)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)-1]
}

func parseAlert(document []byte) (seenAlert, error) {
	var doc struct {
		Message string
		Event   struct {
			Severity int
			Reason   string
		}
		Rule   struct{ ID, Category string }
		Source struct{ Address string }
		AWS    struct {
			S3Access struct{ Bucket string }
		}
		Firstseen struct {
			Alert struct {
				ID, Status string
				Count      int
			}
			Origin struct {
				EventID string `json:"event_id"`
			}
		}
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return seenAlert{}, err
	}
	a := seenAlert{rule: doc.Rule.ID, category: doc.Rule.Category, status: doc.Firstseen.Alert.Status, id: doc.Firstseen.Alert.ID,
		eventID: doc.Firstseen.Origin.EventID, key: doc.Source.Address, severity: doc.Event.Severity, title: doc.Message, reason: doc.Event.Reason,
		count: doc.Firstseen.Alert.Count}
	if a.rule == traffic.AllowlistRule {
		a.key = doc.AWS.S3Access.Bucket
	}
	return a, nil
}
