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

func TestKafkaBadInput(t *testing.T)          { t.Parallel(); badInput(t, kafka(t)) }
func TestKafkaMessageAtTheLimit(t *testing.T) { t.Parallel(); atTheLimit(t, kafka(t)) }
func TestKafkaRejectedOutput(t *testing.T)    { t.Parallel(); rejectedOutput(t, kafka(t)) }
func TestKafkaOffsetsReset(t *testing.T)      { t.Parallel(); offsetsReset(t, kafka(t)) }
func TestKafkaUseCommitted(t *testing.T)      { t.Parallel(); useCommitted(t, kafka(t)) }
func TestKafkaOffsetsGone(t *testing.T)       { t.Parallel(); offsetsGone(t, kafka(t)) }
func TestKafkaStartTogether(t *testing.T)     { t.Parallel(); startTogether(t, kafka(t)) }
func TestKafkaSourceGap(t *testing.T)         { t.Parallel(); sourceGap(t, kafka(t)) }
func TestKafkaPurge(t *testing.T)             { t.Parallel(); purges(t, kafka(t)) }
func TestKafkaOldStore(t *testing.T)          { t.Parallel(); oldStore(t, kafka(t)) }
func TestKafkaSameInstance(t *testing.T)      { t.Parallel(); sameInstance(t, kafka(t)) }
func TestKafkaStopInMidLoad(t *testing.T)     { t.Parallel(); stopInMidLoad(t, kafka(t)) }
func TestKafkaHistoryStart(t *testing.T)      { t.Parallel(); historyStart(t, kafka(t)) }
func TestKafkaRuleAddedLater(t *testing.T)    { t.Parallel(); ruleAddedLater(t, kafka(t)) }
func TestKafkaLearningModes(t *testing.T)     { t.Parallel(); learningModes(t, kafka(t)) }
func TestKafkaLearnedTail(t *testing.T)       { t.Parallel(); learnedTail(t, kafka(t)) }
func TestKafkaLaterTopic(t *testing.T)        { t.Parallel(); laterTopic(t, kafka(t)) }
func TestKafkaFoundedAndKilled(t *testing.T)  { t.Parallel(); foundedAndKilled(t, kafka(t)) }
func TestKafkaRulesInForce(t *testing.T)      { t.Parallel(); rulesInForce(t, kafka(t)) }

func TestKafkaLearnedBesideOthers(t *testing.T) { t.Parallel(); learnedBesideOthers(t, kafka(t)) }

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

// TestKafkaChangingRules has two workers change their rules for a minute under load.
func TestKafkaChangingRules(t *testing.T) {
	changingRules(t, kafka(t), 40_000, time.Minute)
}

// TestKafkaFirstDay is TestFirstDay without and with a cap on alerts: then those over it count as alerts.
func TestKafkaFirstDay(t *testing.T) {
	for name, set := range map[string][]string{"without a cap": noCap, "with a cap": nil} {
		t.Run(name, func(t *testing.T) {
			v, early := firstDay{seed: 2, history: 15_000, live: 6_000, pace: 15 * time.Second, set: set}.run(t, kafka(t))
			if v != (verdict{}) || early > 0 {
				t.Errorf("%s; %d alerts about what was learned", v, early)
			}
		})
	}
}

func TestKafkaFirstDayCatchesTheMutant(t *testing.T) {
	v, _ := firstDay{seed: 2, history: 15_000, live: 6_000, pace: 15 * time.Second, set: noCap, noGate: true}.run(t, kafka(t))
	if v.wrong == 0 {
		t.Error("live records that did not wait for the learned ones went unnoticed")
	}
}
