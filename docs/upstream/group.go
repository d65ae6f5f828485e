package main

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// owned is what a member of the group has, by what its callbacks were told.
type owned struct {
	mu  sync.Mutex
	set map[int32]bool
}

func (o *owned) opts() []kgo.Opt {
	taken := func(_ context.Context, _ *kgo.Client, tps map[string][]int32) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.set == nil {
			o.set = map[int32]bool{}
		}
		for _, p := range tps["in"] {
			o.set[p] = true
		}
	}
	gone := func(_ context.Context, _ *kgo.Client, tps map[string][]int32) {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, p := range tps["in"] {
			delete(o.set, p)
		}
	}
	return []kgo.Opt{kgo.OnPartitionsAssigned(taken), kgo.OnPartitionsRevoked(gone), kgo.OnPartitionsLost(gone)}
}

func (o *owned) list() []int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.set))
}

// join adds a member to the group that only polls.
func (w *world) join(c *kfake.Cluster) *owned {
	o := &owned{}
	cl := w.client(c, append(o.opts(), kgo.ConsumerGroup("group"), kgo.ConsumeTopics("in"), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(heartbeat))...)
	go func() {
		for !cl.PollFetches(w.ctx).IsClientClosed() && w.ctx.Err() == nil {
		}
	}()
	return o
}
