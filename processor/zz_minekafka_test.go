//go:build kafka

package processor

import "testing"

func TestKafkaBadInput(t *testing.T)          { badInput(t, kafka(t)) }
func TestKafkaMessageAtTheLimit(t *testing.T) { atTheLimit(t, kafka(t)) }
func TestKafkaRejectedOutput(t *testing.T)    { rejectedOutput(t, kafka(t)) }
