//go:build kafka

package testkafka

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The shared cluster takes a topic and gives back what was written to it.
func TestBrokers(t *testing.T) {
	echo(t, Brokers(t), 1, func() {})
}

// With three brokers a record written before one of them is killed is there while it is gone and after it is back.
func TestKillAndStart(t *testing.T) {
	c := Start(t, 3)
	echo(t, c.Brokers(), 3, func() { c.Kill(t, 2) })
	c.Start(t, 2)
	echo(t, c.Brokers(), 3, func() {})
}

func echo(t *testing.T, seeds []string, replicas int16, between func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	topic := App(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumeTopics(topic), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, replicas, nil, topic); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord("here")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	between()
	fetches := cl.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	if got := string(fetches.Records()[0].Value); got != "here" {
		t.Errorf("read %q, wrote %q", got, "here")
	}
}
