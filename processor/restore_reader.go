package processor

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// abreast is how many clients read in a restore. A client fetches, decompresses and parses one thing after the other: one
// alone would leave processors idle.
const abreast = 2

// clientOf says which of them reads a partition.
func clientOf(partition int32) int { return int(partition) % abreast }

// readers are clients that read different partitions. Each is a fetch ahead of what is asked for.
type readers struct {
	clients []*kgo.Client
	fetched chan kgo.Fetches
	begin   sync.Once
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	polling sync.WaitGroup
}

func newReaders(from map[string]map[int32]kgo.Offset, opts []kgo.Opt) (*readers, error) {
	r := &readers{fetched: make(chan kgo.Fetches)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for n := range abreast {
		of := map[string]map[int32]kgo.Offset{}
		for topic, partitions := range from {
			for p, at := range partitions {
				if clientOf(p) != n {
					continue
				}
				if of[topic] == nil {
					of[topic] = map[int32]kgo.Offset{}
				}
				of[topic][p] = at
			}
		}
		if len(of) == 0 {
			continue
		}
		cl, err := kgo.NewClient(append(opts[:len(opts):len(opts)], kgo.ConsumePartitions(of))...)
		if err != nil {
			r.Close()
			return nil, err
		}
		r.clients = append(r.clients, cl)
	}
	return r, nil
}

// PollRecords returns what one of the clients has fetched.
func (r *readers) PollRecords(ctx context.Context, limit int) kgo.Fetches {
	r.begin.Do(func() {
		for _, cl := range r.clients {
			r.polling.Go(func() { r.poll(cl, limit) })
		}
	})
	select {
	case f := <-r.fetched:
		return f
	case <-ctx.Done():
		return kgo.NewErrFetch(ctx.Err())
	}
}

func (r *readers) poll(cl *kgo.Client, limit int) {
	for r.ctx.Err() == nil {
		f := cl.PollRecords(r.ctx, limit)
		select {
		case r.fetched <- f:
		case <-r.ctx.Done():
		}
	}
}

// PauseFetchPartitions pauses partitions. What was fetched ahead of them may still be returned, once.
func (r *readers) PauseFetchPartitions(p map[string][]int32) (paused map[string][]int32) {
	for _, cl := range r.clients {
		paused = cl.PauseFetchPartitions(p)
	}
	return paused
}

// ResumeFetchPartitions goes on with partitions where they were paused.
func (r *readers) ResumeFetchPartitions(p map[string][]int32) {
	for _, cl := range r.clients {
		cl.ResumeFetchPartitions(p)
	}
}

// Close ends the clients.
func (r *readers) Close() {
	r.cancel()
	r.polling.Wait()
	for _, cl := range r.clients {
		cl.Close()
	}
}
