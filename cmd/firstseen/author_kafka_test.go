//go:build kafka

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firstseen/internal/testkafka"
)

// The app has a name that is new each time: the cluster may have been used before.
func TestKafkaRuleAuthorsHour(t *testing.T) {
	ruleAuthorsHour(t, strings.Join(testkafka.Brokers(t), ","), fmt.Sprint("author", time.Now().UnixNano()), 20*time.Second)
}
