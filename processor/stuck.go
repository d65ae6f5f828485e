package processor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// awaitTaken waits until the brokers have taken what was produced, or have refused it. A partition without a leader or
// with too few replicas in sync does neither for a while; it is not known here which, but it is to the brokers.
func (l *lane) awaitTaken(ctx context.Context) error {
	patience := l.w.cfg.Timing.Transaction / 4
	defer time.AfterFunc(patience, func() {
		why := "the brokers have not taken what it wrote for " + patience.String() + ": a partition has no leader, or fewer replicas in sync than min.insync.replicas; " +
			"it tries again. Which one is said by: firstseen doctor -c FILE"
		l.log.Warn(why)
		l.w.health.stuck(l.name, why)
	}).Stop()
	return l.sess.Flush(ctx)
}

// stuck says, to who asks whether the worker is ready, what the brokers refuse and what helps. The lane tries again.
func (l *lane) stuck(err error, topic string) {
	help := "what is wrong is said by: firstseen doctor -c FILE"
	if isUnauthorized(err) && (topic != "" || l.stage != StageIngest) { // else it may be a source
		help = "to allow it: " + l.w.cfg.allow(topic)
	}
	l.w.health.stuck(l.name, fmt.Sprintf("the brokers refuse it something: %v; it tries again; %s", err, help))
}

// refused is why a worker cannot start. If it lacks a right, that is said with the command that gives it.
func (w *Worker) refused(err error) error {
	if !isUnauthorized(err) {
		return err
	}
	if !errors.Is(err, ErrUnreachable) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return fmt.Errorf("%w; to allow it: %s", err, w.cfg.allow(""))
}

// isUnauthorized reports whether an error is that of a login that may not do what it tried.
func isUnauthorized(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(err, kerr.TransactionalIDAuthorizationFailed)
}

// allow is the command that gives a login what a worker needs of a source topic, or else of all of the deployment's own
// names.
func (c *Config) allow(topic string) string {
	if slices.Contains(c.sourceTopics(), topic) {
		return "kafka-acls.sh --bootstrap-server BROKER --add --allow-principal User:NAME --operation Read --operation DescribeConfigs --topic " + topic
	}
	return fmt.Sprintf("kafka-acls.sh --bootstrap-server BROKER --add --allow-principal User:NAME --resource-pattern-type prefixed --operation All --topic %s. --group %[1]s. --transactional-id %[1]s-", c.App)
}
