//go:build kafka

package processor

import (
	"strings"
	"testing"
	"time"

	"firstseen/internal/testkafka"
)

func kafka(t *testing.T) string {
	t.Helper()
	return strings.Join(testkafka.Brokers(t), ",")
}

func TestKafkaRestart(t *testing.T)     { restart(t, kafka(t)) }
func TestKafkaHoneyBucket(t *testing.T) { honeyBucket(t, kafka(t)) }

// TestKafkaExactlyOnce is TestExactlyOnce where markers are late, transactions time out and logs are cleaned.
func TestKafkaExactlyOnce(t *testing.T) {
	v, hits := ordeal{seed: 2, records: 40_000, pace: 45 * time.Second, workers: 3}.run(t, kafka(t))
	if v != (verdict{}) {
		t.Error(v)
	}
	if hits < 20 {
		t.Errorf("only %d kills met an open transaction: the test shows too little", hits)
	}
}

func TestKafkaExactlyOnceCatchesTheMutant(t *testing.T) {
	v, _ := ordeal{seed: 2, records: 8_000, pace: 15 * time.Second, workers: 3, applyFirst: true}.run(t, kafka(t))
	if v.missing == 0 && v.wrong == 0 && v.terms == 0 {
		t.Error("state written before the commit went unnoticed")
	}
}
