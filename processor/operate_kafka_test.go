//go:build kafka

package processor

import "testing"

func TestKafkaExamined(t *testing.T) { t.Parallel(); examined(t, kafka(t)) }
func TestKafkaHanging(t *testing.T)  { t.Parallel(); hanging(t, kafka(t)) }
func TestKafkaRedriven(t *testing.T) { t.Parallel(); redrivenOnce(t, kafka(t)) }
func TestKafkaLeave(t *testing.T)    { t.Parallel(); leaves(t, kafka(t)) }
func TestKafkaVerify(t *testing.T)   { t.Parallel(); verifies(t, kafka(t), nil) }
