// Package kafka makes and empties topics, follows offsets and reads alerts back.
package kafka

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topics holds the names of the two inputs and the output.
type Topics struct{ CloudTrail, S3Access, Alerts string }

// Flags declares a flag for each name.
func (t *Topics) Flags(fs *flag.FlagSet) {
	fs.StringVar(&t.CloudTrail, "cloudtrail-topic", "cloudtrail", "topic of CloudTrail records")
	fs.StringVar(&t.S3Access, "s3-topic", "s3access", "topic of S3 access log lines")
	fs.StringVar(&t.Alerts, "out-topic", "alerts", "topic of alerts")
}

// Admin connects an administrator. It remembers metadata for a moment only: programs make topics while it looks.
func Admin(bootstrap string) (*kadm.Client, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(cl), nil
}

// Recreate deletes a topic if it is there, creates it empty, and waits until the broker has caught up: for a while it
// answers from the old topic.
func Recreate(ctx context.Context, adm *kadm.Client, topic string, partitions int32) error {
	if err := remove(ctx, adm, topic); err != nil {
		return err
	}
	for range 100 {
		_, err := adm.CreateTopic(ctx, partitions, 1, nil, topic)
		if err == nil {
			break
		}
		if !errors.Is(err, kerr.TopicAlreadyExists) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	for range 300 {
		end, err := EndOffsets(ctx, adm, topic)
		if err == nil && len(end[topic]) == int(partitions) && end.Sum() == 0 {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("topic %s does not become empty", topic)
}

func remove(ctx context.Context, adm *kadm.Client, topics ...string) error {
	if len(topics) == 0 {
		return nil
	}
	resp, err := adm.DeleteTopics(ctx, topics...)
	if err != nil {
		return err
	}
	for _, r := range resp {
		if r.Err != nil && !errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
			return r.Err
		}
	}
	return nil
}

// Forget deletes groups and the topics whose names begin with the prefix; an empty prefix names none.
func Forget(ctx context.Context, adm *kadm.Client, groups []string, prefix string) error {
	if len(groups) > 0 {
		resp, err := adm.DeleteGroups(ctx, groups...)
		for i := 0; i < 50 && noCoordinator(err); i++ {
			time.Sleep(100 * time.Millisecond)
			resp, err = adm.DeleteGroups(ctx, groups...)
		}
		if err != nil {
			return err
		}
		for _, r := range resp {
			if r.Err != nil && !errors.Is(r.Err, kerr.GroupIDNotFound) {
				return fmt.Errorf("group %s: %w", r.Group, r.Err)
			}
		}
	}
	if prefix == "" {
		return nil
	}
	all, err := adm.ListTopics(ctx)
	if err != nil {
		return err
	}
	var gone []string
	for _, t := range all.Names() {
		if strings.HasPrefix(t, prefix) {
			gone = append(gone, t)
		}
	}
	return remove(ctx, adm, gone...)
}

// noCoordinator is true while the broker is still setting up its groups.
func noCoordinator(err error) bool {
	return errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NotCoordinator)
}
