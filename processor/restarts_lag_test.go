//go:build restarts

package processor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/traffic"
)

// sightings are the alerts about new addresses, as a subscriber sees them.
type sightings struct {
	mu    sync.Mutex
	times map[string]time.Time // when the alert about an address was read
	waits map[string]*sent     // addresses that were sent and not seen yet
	next  int
}

// sent is an event about a new address that is on its way.
type sent struct {
	partition int32
	at        time.Time
}

// watch follows the alerts until the test ends.
func (f *figures) watch() *sightings {
	s := &sightings{times: map[string]time.Time{}, waits: map[string]*sent{}}
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(f.brokers, ",")...), kgo.ConsumeTopics(f.app+".alerts"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			fetches := cl.PollFetches(ctx)
			at := time.Now()
			fetches.EachRecord(func(r *kgo.Record) {
				var d document
				if err := json.Unmarshal(r.Value, &d); err != nil {
					f.t.Error(err)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				for _, address := range d.Firstseen.NewTerms.Values {
					s.times[address] = at
					delete(s.waits, address)
				}
			})
		}
	}()
	f.t.Cleanup(func() { cancel(); <-done; cl.Close() })
	return s
}

func (s *sightings) at(address string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.times[address]
	return at, ok
}

func (s *sightings) await(t *testing.T, address string, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) { // precision of the figures
		if _, ok := s.at(address); ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no alert about %s within %s", address, limit)
		}
	}
}

// oldest is the age of the oldest event of every source partition whose alert has not been seen.
func (s *sightings) oldest() (ages [8]time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waits {
		ages[w.partition] = max(ages[w.partition], time.Since(w.at))
	}
	return ages
}

func (f *figures) event(partition int32, address string) *kgo.Record {
	return &kgo.Record{Topic: f.app + "-cloudtrail", Partition: partition, Value: []byte(anonymous(address, time.Now()))}
}

// sendProbe sends an event about an address that is new.
func (f *figures) sendProbe(partition int32) string {
	f.seen.mu.Lock()
	f.seen.next++
	n := uint32(f.seen.next)<<1 | 1
	address := fmt.Sprintf("11.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	f.seen.waits[address] = &sent{partition, time.Now()}
	f.seen.mu.Unlock()
	f.cl.Produce(context.Background(), f.event(partition, address), func(_ *kgo.Record, err error) {
		if err != nil {
			f.t.Error(err)
		}
	})
	return address
}

// probe sends an event to each source partition and waits for the alerts.
func (f *figures) probe() {
	f.t.Helper()
	var addresses []string
	for p := range int32(8) {
		addresses = append(addresses, f.sendProbe(p))
	}
	for _, a := range addresses {
		f.seen.await(f.t, a, time.Minute)
	}
}

// load sends as many records a second as realistic traffic has, few of which match, until stop is called.
func (f *figures) load(rate int) (stop func()) {
	g, err := traffic.New(traffic.Defaults())
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		began := time.Now()
		for n := 0; ctx.Err() == nil; n++ {
			r := g.Next()
			f.cl.Produce(context.Background(), &kgo.Record{Topic: f.app + "-" + string(r.Kind), Partition: r.Partition(8), Value: append([]byte(nil), r.Value...)}, nil)
			if n%20 == 0 {
				time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(rate)))) // the pace is the point
			}
		}
	}()
	return func() { cancel(); <-done }
}

// lag sends events about new addresses to every source partition, among others, while fn runs, and returns how old the
// oldest of a partition became before its alert was read: ingest, detect and group together.
func (f *figures) lag(fn func()) (worst [8]time.Duration) {
	stop := f.load(1000)
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for running := true; running || f.seen.pending() > 0; {
		select {
		case <-done:
			running, done = false, nil
		case <-tick.C:
			for p, age := range f.seen.oldest() {
				worst[p] = max(worst[p], age)
			}
			if running {
				for p := range int32(8) {
					f.sendProbe(p)
				}
			}
		}
	}
	return worst
}

func (s *sightings) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waits)
}

// rolling restarts four workers under load, one after the other, and compares the lag with that of the same load when none is restarted.
func (f *figures) rolling() {
	var all []*process
	for n := range 4 {
		w := f.process(fmt.Sprintf("w%d", n))
		w.start()
		all = append(all, w)
	}
	for _, w := range all {
		w.awaitReady(5 * time.Minute)
	}
	f.settled(all)
	began := time.Now()
	var slowest time.Duration
	restarted := f.lag(func() {
		for _, w := range all {
			slowest = max(slowest, w.stop())
			w.start()
			w.awaitReady(time.Minute)
		}
	})
	took := time.Since(began)
	f.settled(all)
	quiet := f.lag(func() { time.Sleep(took) }) // the time is what is compared
	var worst, before, after time.Duration
	for p := range restarted {
		if d := restarted[p] - quiet[p]; d >= worst {
			worst, before, after = d, quiet[p], restarted[p]
		}
	}
	f.row("rolling restart of four: more lag", worst, 3*time.Second, "oldest unprocessed record %s, with none restarting %s; slowest stop %s",
		after.Round(10*time.Millisecond), before.Round(10*time.Millisecond), slowest.Round(10*time.Millisecond))
	for _, w := range all {
		w.stop()
	}
}

// settled waits until every worker has partitions and the probes go through.
func (f *figures) settled(all []*process) {
	for range 5 {
		f.probe()
	}
	for _, w := range all {
		w.awaitReady(time.Minute)
	}
}
