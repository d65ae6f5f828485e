//go:build kafka

package processor

import "testing"

func TestKafkaExamined(t *testing.T) { t.Parallel(); examined(t, kafka(t)) }
func TestKafkaHanging(t *testing.T)  { t.Parallel(); hanging(t, kafka(t)) }
