//go:build kafka

package history

import (
	"strings"
	"testing"

	"firstseen/internal/testkafka"
)

func kafka(t *testing.T) string {
	t.Helper()
	return strings.Join(testkafka.Brokers(t), ",")
}

func TestKafkaRangeOfTime(t *testing.T)         { t.Parallel(); rangeOfTime(t, kafka(t)) }
func TestKafkaRangeOfTransactions(t *testing.T) { t.Parallel(); rangeOfTransactions(t, kafka(t)) }
func TestKafkaRangeWarmUp(t *testing.T)         { t.Parallel(); rangeWarmUp(t, kafka(t)) }
func TestKafkaRangeAhead(t *testing.T)          { t.Parallel(); rangeAhead(t, kafka(t)) }
