//go:build kafka

package verify

import (
	"strings"
	"testing"

	"firstseen/internal/testkafka"
)

func TestKafkaVerify(t *testing.T) {
	t.Parallel()
	verifies(t, strings.Join(testkafka.Brokers(t), ","), nil)
}
