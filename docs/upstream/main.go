// Command upstream shows what of franz-go and kfake this project works around, each on a cluster of its own, and whether
// the versions of go.mod still behave so. One file here is one behaviour, and the page of the same name describes it.
//
//	go run .           all of them
//	go run . NAME...   some
//
// It ends with 1 if one no longer behaves so: its workaround can go, or what shows it is out of date.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// behaviour is one that is worked around. show says what is seen, and whether it is still not what is expected.
type behaviour struct {
	name, expected string
	show           func(w *world) (seen string, still bool)
}

var behaviours = []behaviour{
	kfakeNoAbortMarker, kfakeEndsInParts, kfakeCleanerOpenTransaction, kfakeAppendTime, kfakeFirstTimeout,
	franzGoSecondRevoke, franzGoAbortAfterRebalance, franzGoEndWaitsForHeartbeat, franzGoEmptyEnd, franzGoUnknownOutcome,
	franzGoServerError, franzGoFailedProduce, franzGoDataLoss, franzGoRefusedProduce, franzGoOldTopicID, franzGoCloseWaits,
}

func main() {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if strings.HasPrefix(dep.Path, "github.com/twmb/franz-go") {
				fmt.Println(dep.Path, dep.Version)
			}
		}
	}
	changed := 0
	for _, b := range behaviours {
		if len(os.Args) > 1 && !slices.Contains(os.Args[1:], b.name) {
			continue
		}
		seen, still, err := b.run()
		verdict := "still so"
		switch {
		case err != nil:
			verdict, seen = "NOT SHOWN", err.Error()
		case !still:
			verdict = "CHANGED"
		}
		if verdict != "still so" {
			changed++
		}
		fmt.Printf("\n%s: %s\n  expected: %s\n  seen:     %s\n", b.name, verdict, b.expected, seen)
	}
	if changed > 0 {
		fmt.Printf("\n%d no longer behave so\n", changed)
		os.Exit(1)
	}
}

func (b behaviour) run() (seen string, still bool, err error) {
	w := &world{}
	defer w.end()
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(error); !ok {
				panic(v)
			}
			err = v.(error)
		}
	}()
	w.ctx = w.limit(time.Minute)
	seen, still = b.show(w)
	return seen, still, nil
}

// world is what a behaviour is shown with. What it makes is gone at its end. What fails panics with the error.
type world struct {
	ctx  context.Context
	ends []func()
}

func (w *world) defers(end func()) { w.ends = append(w.ends, end) }

func (w *world) end() {
	for _, end := range slices.Backward(w.ends) {
		end()
	}
}

// limit is a context that ends after d.
func (w *world) limit(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	w.defers(cancel)
	return ctx
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// cluster is one broker, which cleans logs only when it is told.
func (w *world) cluster(opts ...kfake.Opt) *kfake.Cluster {
	c := must(kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "9000000000000"})}, opts...)...))
	w.defers(c.Close)
	return c
}

func (w *world) client(c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	cl := must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, opts...)...))
	w.defers(cl.CloseAllowingRebalance)
	return cl
}

// session is a member of the group that reads the topic "in".
func (w *world) session(c *kfake.Cluster, id string, opts ...kgo.Opt) *kgo.GroupTransactSession {
	s := must(kgo.NewGroupTransactSession(append([]kgo.Opt{
		kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID(id), kgo.ConsumerGroup("group"), kgo.ConsumeTopics("in"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.BlockRebalanceOnPoll(),
		kgo.HeartbeatInterval(heartbeat), kgo.RebalanceTimeout(20 * time.Second),
	}, opts...)...))
	w.defers(s.CloseAllowingRebalance)
	return s
}

// produce writes records, given as key=value.
func (w *world) produce(cl *kgo.Client, topic string, records ...string) {
	for _, r := range records {
		k, v, _ := strings.Cut(r, "=")
		check(cl.ProduceSync(w.ctx, &kgo.Record{Topic: topic, Key: []byte(k), Value: []byte(v)}).FirstErr())
	}
}

// poll returns what one poll of a session gets, when it gets something.
func (w *world) poll(s *kgo.GroupTransactSession) []*kgo.Record {
	for {
		fs := s.PollFetches(w.ctx)
		check(w.ctx.Err())
		if rs := fs.Records(); len(rs) > 0 {
			return rs
		}
		s.AllowRebalance()
	}
}

// read returns the topic's committed records as key=value, until none has come for half a second.
func (w *world) read(c *kfake.Cluster, topic string) string {
	cl := must(kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MetadataMinAge(20*time.Millisecond), kgo.FetchMaxWait(50*time.Millisecond)))
	defer cl.Close()
	got := []string{}
	for wait := 2 * time.Second; ; wait = 500 * time.Millisecond {
		ctx, cancel := context.WithTimeout(w.ctx, wait)
		rs := cl.PollFetches(ctx).Records()
		cancel()
		if len(rs) == 0 {
			slices.Sort(got)
			return fmt.Sprint(got)
		}
		for _, r := range rs {
			got = append(got, fmt.Sprintf("%s=%s", r.Key, r.Value))
		}
	}
}

// await waits until something holds.
func (w *world) await(holds func() bool) {
	for !holds() {
		time.Sleep(20 * time.Millisecond)
		check(w.ctx.Err())
	}
}

// round is a duration as it is shown.
func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

const heartbeat = 100 * time.Millisecond
