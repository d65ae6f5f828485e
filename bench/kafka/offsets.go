package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Offsets is an offset per topic and partition.
type Offsets map[string]map[int32]int64

func fromListed(l kadm.ListedOffsets) Offsets {
	o := Offsets{}
	l.Each(func(p kadm.ListedOffset) {
		if o[p.Topic] == nil {
			o[p.Topic] = map[int32]int64{}
		}
		o[p.Topic][p.Partition] = p.Offset
	})
	return o
}

// Sum adds them up.
func (o Offsets) Sum() (n int64) {
	for _, ps := range o {
		for _, v := range ps {
			n += v
		}
	}
	return n
}

// StartOffsets returns where topics begin.
func StartOffsets(ctx context.Context, adm *kadm.Client, topics ...string) (Offsets, error) {
	l, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = l.Error()
	}
	return fromListed(l), err
}

// EndOffsets returns where topics end, uncommitted records included.
func EndOffsets(ctx context.Context, adm *kadm.Client, topics ...string) (Offsets, error) {
	l, err := adm.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = l.Error()
	}
	return fromListed(l), err
}

// Progress is what consumer groups have committed.
type Progress struct {
	Done   int64   // records of the inputs: per partition the furthest commit of any group
	Groups []int64 // per group the sum of its commits, on whatever topics
}

// Committed returns how far the groups have come between the start and the end of the inputs.
func Committed(ctx context.Context, adm *kadm.Client, groups []string, start, end Offsets) (Progress, error) {
	best := Offsets{}
	p := Progress{Groups: make([]int64, len(groups))}
	for i, g := range groups {
		resp, err := adm.FetchOffsets(ctx, g)
		if err != nil {
			if errors.Is(err, kerr.GroupIDNotFound) || noCoordinator(err) {
				continue
			}
			return Progress{}, err
		}
		resp.Each(func(o kadm.OffsetResponse) {
			if o.Err != nil {
				return
			}
			p.Groups[i] += o.At
			if _, ok := end[o.Topic][o.Partition]; !ok {
				return
			}
			if best[o.Topic] == nil {
				best[o.Topic] = map[int32]int64{}
			}
			best[o.Topic][o.Partition] = max(best[o.Topic][o.Partition], o.At)
		})
	}
	for t, ps := range best {
		for n, at := range ps {
			p.Done += max(0, min(at, end[t][n])-start[t][n])
		}
	}
	return p, nil
}
