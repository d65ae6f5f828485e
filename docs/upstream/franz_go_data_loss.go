package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var franzGoDataLoss = behaviour{
	name:     "franz-go-data-loss",
	expected: "ErrDataLoss, and then nothing, as NoResetOffset says",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("t", 1, nil))
		producer := w.client(c)
		for n := range 10 {
			w.produce(producer, "t", fmt.Sprintf("k=%d", n))
		}
		// As after an unclean election: of the epoch that was read there are 5 records.
		c.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			req := kreq.(*kmsg.OffsetForLeaderEpochRequest)
			resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
			p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			p.EndOffset = 5
			t := kmsg.NewOffsetForLeaderEpochResponseTopic()
			t.Topic, t.Partitions = "t", append(t.Partitions, p)
			resp.Topics = append(resp.Topics, t)
			return resp, nil, true
		})
		reader := w.client(c, kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().At(8).WithEpoch(0)}}))
		var loss *kgo.ErrDataLoss
		for wait := w.limit(5 * time.Second); wait.Err() == nil; {
			fs := reader.PollFetches(wait)
			for _, e := range fs.Errors() {
				errors.As(e.Err, &loss)
			}
			if rs := fs.Records(); len(rs) > 0 {
				return fmt.Sprintf("asked for offset 8: ErrDataLoss %v, and then offset %d", loss != nil, rs[0].Offset), loss != nil && rs[0].Offset == 5
			}
		}
		return fmt.Sprintf("asked for offset 8: ErrDataLoss %v, and then nothing", loss != nil), false
	},
}
