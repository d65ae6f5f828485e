package processor

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// watchLag keeps the lag of all partitions up to date until ctx ends. Whoever reads one does so with every poll, but one
// that an open transaction holds up gives the client nothing, and no high watermark either.
func (w *Worker) watchLag(ctx context.Context, lanes []*lane) {
	cl, err := kgo.NewClient(w.cfg.ClientOptions()...)
	if err != nil {
		w.cfg.Log.Warn("measure the lag", "error", err)
		return
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	tick := time.NewTicker(w.cfg.Timing.Tick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, l := range lanes {
			l.measure(ctx, adm)
		}
	}
}

// measure brings the lag of a lane's partitions up to date. What is wrong with the brokers is met, and told, by others.
func (l *lane) measure(ctx context.Context, adm admin) {
	topics := map[string][]*part{}
	for _, p := range l.owned() {
		topics[p.tp.topic] = append(topics[p.tp.topic], p)
	}
	for topic, parts := range topics {
		ends, _ := adm.ListEndOffsets(ctx, topic) // some, where a broker is away
		l.mu.Lock()
		for _, p := range parts {
			end, ok := ends.Lookup(topic, p.tp.partition)
			if ok && end.Err == nil && l.parts[p.tp] == p { // else it is another's by now
				l.lagOf(p.tp).Set(float64(max(0, end.Offset-p.read.Load())))
			}
		}
		l.mu.Unlock()
	}
}

// lagOf is the metric of how far a partition's reader is behind.
func (l *lane) lagOf(tp topicPartition) prometheus.Gauge {
	return l.w.metrics.lag.WithLabelValues(string(l.stage), tp.topic, strconv.Itoa(int(tp.partition)))
}

// forgetLag is for a partition that is given up: whoever has it now measures it.
func (l *lane) forgetLag(tp topicPartition) {
	l.w.metrics.lag.DeleteLabelValues(string(l.stage), tp.topic, strconv.Itoa(int(tp.partition)))
}
