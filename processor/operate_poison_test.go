package processor

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/traffic"
)

// poisonStep is a stage with a bug: it panics over every record with a text in it. If late is set it does so when the
// transaction's output is made, where nobody can tell which record it was.
type poisonStep struct {
	step
	text []byte
	late bool
	met  bool
}

func (s *poisonStep) record(p *part, r *kgo.Record) error {
	if bytes.Contains(r.Value, s.text) {
		if s.met = true; !s.late {
			panic("over a record")
		}
	}
	return s.step.record(p, r)
}

func (s *poisonStep) flush() error {
	if s.met {
		panic("over one of the records")
	}
	return s.step.flush()
}

func (s *poisonStep) drop() {
	s.met = false
	s.step.drop()
}

// TestPanicIsIsolated has each stage panic over one record among many. It alone becomes a dead letter, after a few
// attempts, and all others count exactly once.
func TestPanicIsIsolated(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	for _, test := range []struct {
		stage    Stage
		late     bool
		attempts float64 // sessions that are given up on the way
	}{
		{StageIngest, false, 1}, {StageDetect, false, 1}, {StageGroup, false, 1},
		{StageIngest, true, 10}, {StageDetect, true, 10}, {StageGroup, true, 10},
	} {
		t.Run(fmt.Sprintf("%s, late %v", test.stage, test.late), func(t *testing.T) {
			t.Parallel()
			c, app := newTestCluster(t, brokers), newApp()
			c.createSources(app, 1, nil)
			set, dir := mustLoad(t, rules.LoadOptions{Set: windowed}), filepath.Join(t.TempDir(), "state")
			cfg := testConfig(brokers, app, "one", dir, set)
			cfg.Partitions = 1 // all in one transaction
			cfg.hooks.step = func(s Stage, real step) step {
				if s != test.stage {
					return real
				}
				return &poisonStep{step: real, text: []byte("198.51.100.23"), late: test.late}
			}
			const addresses, poison = 40, 23
			var records []*kgo.Record
			for n := range 2 * addresses {
				if n%addresses != poison || n == poison {
					value := anonymous(fmt.Sprintf("198.51.100.%d", n%addresses), day0.Add(time.Duration(n)*time.Second))
					records = append(records, &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(value)})
				}
			}
			if err := c.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			in := c.start(cfg)
			c.awaitDrained(app, 30*time.Second)
			in.awaitReady(c)
			if n := in.counted("sessions_restarted_total", string(test.stage)); n == 0 || n > test.attempts {
				t.Errorf("%v sessions were given up, want at most %v", n, test.attempts)
			}
			in.stop()

			alerts, terms := c.alerts(app), readStates(t, []string{dir}, 1).Terms
			for n := range addresses {
				address, want := fmt.Sprintf("198.51.100.%d", n), int64(2)
				_, alerted := alerts[address]
				term := terms[string(stage.TermKey(nil, set.Rule(traffic.NewTermsRule).State(), []string{address}))]
				if n == poison {
					want = map[Stage]int64{StageGroup: 1}[test.stage] // detect has seen it then
				}
				if alerted != (n != poison) || term.Count != want {
					t.Errorf("%s: alert %v, counted %d times, want %d", address, alerted, term.Count, want)
				}
			}
			dead := c.read(app + ".dlq")
			if len(dead) != 1 {
				t.Fatalf("%d dead letters, want that of one record", len(dead))
			}
			if d := dead[0]; headerOf(d, "dlq-reason") != "panic" || headerOf(d, "dlq-stage") != string(test.stage) || headerOf(d, "dlq-index") != "-1" ||
				!strings.Contains(headerOf(d, "dlq-detail"), "over ") || !strings.Contains(string(d.Value), "198.51.100.23") {
				t.Errorf("dead letter %v of %q", d.Headers, d.Value)
			}
			if got := in.counted("dead_letters_total", "panic"); got != 1 {
				t.Errorf("dead_letters_total is %v", got)
			}
		})
	}
}
