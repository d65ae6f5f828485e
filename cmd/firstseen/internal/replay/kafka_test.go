//go:build kafka

package replay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firstseen/internal/testkafka"
)

func TestKafkaReplayOfTheSameRules(t *testing.T) {
	replayOfTheSameRules(t, strings.Join(testkafka.Brokers(t), ","), fmt.Sprintf("replay%d", time.Now().UnixNano()))
}
