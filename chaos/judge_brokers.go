package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/internal/proof"
	"firstseen/state"
)

// comparePositions sees that every range stands where its group does.
func (c *court) comparePositions(stored *proof.States) error {
	cl, err := kgo.NewClient(c.conn...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for st, topic := range map[state.Stage]string{state.Detect: c.r.App + ".candidates", state.Group: c.r.App + ".findings"} {
		committed, err := adm.FetchOffsets(kadm.RequireStable(c.ctx), c.r.App+"."+st.String())
		if err == nil {
			err = committed.Error()
		}
		if err != nil {
			return fmt.Errorf("read the offsets of %s: %w", st, err)
		}
		for p := range c.r.Partitions {
			held := stored.Ranges[proof.Range{Stage: st, Partition: p}]
			at, has := committed.Lookup(topic, p)
			if !has || at.At < 0 || held.Position.InputNext == at.At { // none: nothing was committed since the group's offsets expired
				continue
			}
			c.diff = append(c.diff, proof.Difference{Kind: proof.Store, Topic: topic, Partition: p, Offset: at.At,
				Detail: fmt.Sprintf("the group is here, the state of its last owner (%q) is current to %d", held.Dir, held.Position.InputNext)})
		}
	}
	return nil
}

// askBrokers looks for what was left behind: open transactions, and records that no committed reader gets to see.
func (c *court) askBrokers() error {
	cl, err := kgo.NewClient(c.conn...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	txns, err := adm.ListTransactions(c.ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil {
		return err
	}
	for _, t := range txns {
		if strings.HasPrefix(t.TxnID, c.r.App+"-") {
			c.broker("", 0, 0, "transaction of %s is %s", t.TxnID, t.State)
		}
	}
	var set kadm.TopicsSet
	topics := append([]string(nil), c.r.Sources...)
	for _, name := range []string{"candidates", "findings", "alerts", "suppressed", "dlq", "control", "detect.changelog", "group.changelog"} {
		topics = append(topics, c.r.App+"."+name)
	}
	highs, err := adm.ListEndOffsets(c.ctx, topics...)
	if err != nil {
		return err
	}
	stable, err := adm.ListCommittedOffsets(c.ctx, topics...)
	if err != nil {
		return err
	}
	highs.Each(func(h kadm.ListedOffset) {
		set.Add(h.Topic, h.Partition)
		if s, ok := stable.Lookup(h.Topic, h.Partition); !ok || s.Err != nil || h.Err != nil || s.Offset != h.Offset {
			c.broker(h.Topic, h.Partition, s.Offset, "the last stable offset is here, the high watermark at %d", h.Offset)
		}
	})
	producers, err := adm.DescribeProducers(c.ctx, set)
	if err != nil {
		return err
	}
	for _, p := range producers.SortedProducers() {
		if p.CurrentTxnStartOffset >= 0 {
			c.broker(p.Topic, p.Partition, p.CurrentTxnStartOffset, "producer %d epoch %d has a transaction open since here", p.ProducerID, p.ProducerEpoch)
		}
	}
	return nil
}

func (c *court) broker(topic string, partition int32, offset int64, format string, args ...any) {
	c.diff = append(c.diff, proof.Difference{Kind: proof.Broker, Topic: topic, Partition: partition, Offset: offset, Detail: fmt.Sprintf(format, args...)})
}
