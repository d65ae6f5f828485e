package devbroker

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// owned collects the partitions of "in" that a member has.
type owned struct {
	mu  sync.Mutex
	set map[int32]bool
}

func (o *owned) opts() []kgo.Opt {
	change := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			o.mu.Lock()
			defer o.mu.Unlock()
			for _, p := range m["in"] {
				if o.set == nil {
					o.set = make(map[int32]bool)
				}
				if has {
					o.set[p] = true
				} else {
					delete(o.set, p)
				}
			}
		}
	}
	return []kgo.Opt{kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false))}
}

func (o *owned) list() []int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	var l []int32
	for p := range o.set {
		l = append(l, p)
	}
	slices.Sort(l)
	return l
}

// idle keeps a session polling, with an empty transaction a turn, until the end of the test.
func (b bench) idle(s *kgo.GroupTransactSession) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if s.Begin() != nil {
				return
			}
			s.PollRecords(ctx, 10)
			s.End(ctx, kgo.TryCommit)
			s.AllowRebalance()
		}
	}()
	b.T.Cleanup(func() { cancel(); <-done })
}

func (b bench) await(cond func(*kfake.GroupInfo) bool) *kfake.GroupInfo {
	b.T.Helper()
	g, err := b.Cluster.WaitGroupInfo(b.context(), "group", func(g *kfake.GroupInfo) bool { return g != nil && cond(g) })
	if err != nil {
		b.T.Fatalf("group: %v, is %+v", err, b.Cluster.GroupInfo("group"))
	}
	return g
}

// A second member takes half of the partitions while the first keeps the rest.
func TestCooperativeStickyMembersShare(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "in", Partitions: 4}}})
	var one, two owned
	b.idle(b.session("one", "in", one.opts()...))
	b.await(func(*kfake.GroupInfo) bool { return len(one.list()) == 4 })
	b.idle(b.session("two", "in", two.opts()...))
	b.await(func(*kfake.GroupInfo) bool { return len(one.list()) == 2 && len(two.list()) == 2 })
	all := append(one.list(), two.list()...)
	if slices.Sort(all); !slices.Equal(all, []int32{0, 1, 2, 3}) {
		t.Errorf("members own %v and %v", one.list(), two.list())
	}
}

// A static member that comes back within its session gets its partitions without a rebalance: the generation stays.
func TestStaticMemberReturnsWithoutRebalance(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "in", Partitions: 4}}})
	var before, after owned
	s := b.session("one", "in", before.opts()...)
	b.await(func(*kfake.GroupInfo) bool { return len(before.list()) == 4 })
	_, generation := s.Client().GroupMetadata()
	s.CloseAllowingRebalance() // a static member does not leave

	s = b.session("one", "in", after.opts()...)
	b.await(func(*kfake.GroupInfo) bool { return len(after.list()) == 4 })
	if _, got := s.Client().GroupMetadata(); got != generation {
		t.Errorf("generation %d after the return, %d before", got, generation)
	}
}
