package processor

import "testing"

// What an operator meets, on the embedded broker; operate_kafka_test.go shows the same on Apache Kafka.

func TestExamined(t *testing.T) { t.Parallel(); examined(t, embedded(t)) }
func TestHanging(t *testing.T)  { t.Parallel(); hanging(t, embedded(t)) }
func TestRedriven(t *testing.T) { t.Parallel(); redrivenOnce(t, embedded(t)) }
func TestLeave(t *testing.T)    { t.Parallel(); leaves(t, embedded(t)) }

func TestVerify(t *testing.T) {
	t.Parallel()
	b := broker(t)
	verifies(t, b.Addr(), b.Cluster.Compact)
}
