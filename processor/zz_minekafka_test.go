//go:build kafka

package processor

import "testing"

func TestKafkaBadInput(t *testing.T)          { badInput(t, kafka(t)) }
func TestKafkaMessageAtTheLimit(t *testing.T) { atTheLimit(t, kafka(t)) }
func TestKafkaRejectedOutput(t *testing.T)    { rejectedOutput(t, kafka(t)) }
func TestKafkaOffsetsReset(t *testing.T)      { offsetsReset(t, kafka(t)) }
func TestKafkaUseCommitted(t *testing.T)      { useCommitted(t, kafka(t)) }
func TestKafkaOffsetsGone(t *testing.T)       { offsetsGone(t, kafka(t)) }
