package processor

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/wire"
	"firstseen/traffic"
)

// poisonStep is a stage with a bug: it panics over every record with one of these texts in it. If late is set it does so when the
// transaction's output is made, where nobody can tell which record it was.
type poisonStep struct {
	step
	texts []string
	late  bool
	met   bool
}

func (s *poisonStep) record(p *part, r *kgo.Record) error {
	for _, text := range s.texts {
		if bytes.Contains(r.Value, []byte(text)) {
			if s.met = true; !s.late {
				panic("over a record")
			}
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

// TestPanicIsIsolated has each stage panic over two records among many, and the group stage over two matches in a
// message of findings. They alone become dead letters, after a few attempts, and all others count exactly once.
func TestPanicIsIsolated(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	for _, test := range []struct {
		stage    Stage
		rules    string
		set      []string
		late     bool
		attempts float64 // sessions that are given up on the way
	}{
		{StageIngest, "windowed", windowed, false, 2}, {StageDetect, "windowed", windowed, false, 2}, {StageGroup, "windowed", windowed, false, 2},
		{StageDetect, "to alerts", noCap, false, 2}, {StageGroup, "capped", nil, false, 3},
		{StageIngest, "windowed", windowed, true, 20}, {StageDetect, "windowed", windowed, true, 20}, {StageGroup, "windowed", windowed, true, 20},
		{StageGroup, "capped", nil, true, 25},
	} {
		t.Run(fmt.Sprintf("%s, %s, late %v", test.stage, test.rules, test.late), func(t *testing.T) {
			t.Parallel()
			c, app := newTestCluster(t, brokers), newApp()
			c.createSources(app, 1, nil)
			set, dir := mustLoad(t, rules.LoadOptions{Set: test.set}), filepath.Join(t.TempDir(), "state")
			cfg := testConfig(brokers, app, "one", dir, set)
			cfg.Partitions = 1 // all in one transaction
			poison := []string{"198.51.100.23", "198.51.100.31"}
			cfg.hooks.step = func(s Stage, real step) step {
				if s != test.stage {
					return real
				}
				return &poisonStep{step: real, texts: poison, late: test.late}
			}
			const addresses = 40
			address := func(n int) string { return fmt.Sprintf("198.51.100.%d", n%addresses) }
			var records []*kgo.Record
			for n := range 2 * addresses {
				if n < addresses || !slices.Contains(poison, address(n)) {
					value := anonymous(address(n), day0.Add(time.Duration(n)*time.Second))
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
				address, want := address(n), int64(2)
				poisoned := slices.Contains(poison, address)
				_, alerted := alerts[address]
				term := terms[string(stage.TermKey(nil, set.Rule(traffic.NewTermsRule).State(), []string{address}))]
				if poisoned {
					want = map[Stage]int64{StageGroup: 1}[test.stage] // detect has seen it then
				}
				if alerted == poisoned || term.Count != want {
					t.Errorf("%s: alert %v, counted %d times, want %d", address, alerted, term.Count, want)
				}
			}
			dead := c.read(app + ".dlq")
			if len(dead) != len(poison) {
				t.Fatalf("%d dead letters, want those of %d records", len(dead), len(poison))
			}
			var found []string
			for _, d := range dead {
				found = append(found, mentioned(d.Value)...)
				if headerOf(d, "dlq-reason") != "panic" || headerOf(d, "dlq-stage") != string(test.stage) || !strings.Contains(headerOf(d, "dlq-detail"), "over ") ||
					(headerOf(d, "dlq-index") == "-1") == (test.set == nil) {
					t.Errorf("dead letter %s of %q", d.Headers, d.Value)
				}
			}
			if slices.Sort(found); !slices.Equal(found, poison) {
				t.Errorf("dead letters of %s", found)
			}
			if got := in.counted("dead_letters_total", "panic"); got != float64(len(poison)) {
				t.Errorf("dead_letters_total is %v", got)
			}
		})
	}
}

// TestDeadLettersOfOneMessage: the dead letters of one message fit their topic one by one, but not in one batch, or not
// whole. No other match becomes a dead letter for that.
func TestDeadLettersOfOneMessage(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	for limit, cut := range map[string]bool{"9000": false, "7700": true} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			c, app := newTestCluster(t, brokers), newApp()
			c.createSources(app, 1, nil)
			cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
			cfg.Partitions = 1
			poison := []string{"198.51.100.11", "198.51.100.5", "198.51.100.8"}
			cfg.hooks.step = func(s Stage, real step) step {
				if s != StageGroup {
					return real
				}
				return &poisonStep{step: real, texts: poison}
			}
			in := c.start(cfg)
			in.awaitReady(c)
			c.alter(app+".dlq", "max.message.bytes", limit)
			letters := hex.EncodeToString([]byte(noise(60_000)[58_000:]))
			var calls []string
			for n := range 20 {
				call := fatten(anonymous(fmt.Sprintf("198.51.100.%d", n), day0), n)
				for i, field := range []string{`"eventID":"`, `"awsRegion":"`, `"recipientAccountId":"`} {
					call = strings.Replace(call, field, field+letters[900*i:900*(i+1)], 1)
				}
				calls = append(calls, call)
			}
			message := &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(`{"Records":[` + strings.Join(calls, ",") + `]}`)}
			if err := c.cl.ProduceSync(context.Background(), message).FirstErr(); err != nil {
				t.Fatal(err)
			}
			c.awaitDrained(app, 30*time.Second)
			if in.counted("transaction_aborts_total", "group") == 0 {
				t.Error("no dead letter was refused")
			}
			in.stop()
			var found []string
			for _, d := range c.read(app + ".dlq") {
				found = append(found, mentioned(d.Value)...)
				if headerOf(d, "dlq-reason") != "panic" || (headerOf(d, "dlq-truncated") != "") != cut {
					t.Errorf("dead letter %s", d.Headers)
				}
			}
			if slices.Sort(found); !slices.Equal(found, poison) || len(c.alerts(app)) != len(calls)-len(poison) {
				t.Errorf("%d alerts, dead letters of %s", len(c.alerts(app)), found)
			}
		})
	}
}

// TestManyPanicsInOneMessage: a message in which too much cannot be processed is one dead letter, which can be redriven.
func TestManyPanicsInOneMessage(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	cfg.Partitions = 1
	cfg.hooks.step = func(s Stage, real step) step {
		if s != StageGroup {
			return real
		}
		return &poisonStep{step: real, texts: []string{"198.51.100."}}
	}
	var calls, addresses []string
	for n := range 40 {
		addresses = append(addresses, fmt.Sprintf("198.51.100.%d", n))
		calls = append(calls, anonymous(addresses[n], day0))
	}
	message := &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(`{"Records":[` + strings.Join(calls, ",") + `]}`)}
	if err := c.cl.ProduceSync(context.Background(), message).FirstErr(); err != nil {
		t.Fatal(err)
	}
	in := c.start(cfg)
	c.awaitDrained(app, 30*time.Second)
	in.stop()
	dead := c.read(app + ".dlq")
	if len(dead) != 1 || headerOf(dead[0], "dlq-index") != "-1" || headerOf(dead[0], "dlq-reason") != "panic" {
		t.Fatalf("%d dead letters, want that of the message", len(dead))
	}
	found := mentioned(dead[0].Value)
	slices.Sort(found)
	if slices.Sort(addresses); !slices.Equal(found, addresses) {
		t.Errorf("a dead letter of %s", found)
	}
}

// steps counts what it processes.
type steps struct {
	step
	records int
}

func (s *steps) record(*part, *kgo.Record) error { s.records++; return nil }

// TestPartialMessageIsNotCommitted: of two refused messages in one transaction, the first is processed in part. That the
// second is processed as a whole does not make it a transaction to commit.
func TestPartialMessageIsNotCommitted(t *testing.T) {
	message := func(entries int) *kgo.Record {
		value, err := wire.AppendFinding(nil, &wire.Finding{Ruleset: make([]byte, 32), Rule: "rule", Entries: make([]wire.Entry, entries)})
		if err != nil {
			t.Fatal(err)
		}
		return &kgo.Record{Value: value}
	}
	did := &steps{}
	l := &lane{stage: StageGroup, step: did, refused: map[place]*refusal{}}
	for offset, entries := range []int{8, 3} {
		l.out.last = place{offset: int64(offset)}
		l.refuse(l.out.last, 0, cause{schemas.RejectedOutput, errors.New("too large")})
		if offset == 0 { // which half of it is it?
			l.refused[l.out.last].search = search{n: entries, bad: entries}
		}
		if err := l.process(nil, message(entries)); err != nil {
			t.Fatal(err)
		}
	}
	if did.records != 4+3 || !l.out.partial {
		t.Errorf("%d entries were processed, partial: %v", did.records, l.out.partial)
	}
}

// mentioned lists the addresses whose events a message is about.
func mentioned(value []byte) (addresses []string) {
	for _, id := range regexp.MustCompile(`(198\.51\.100\.\d+) 2025`).FindAllSubmatch(value, -1) {
		if a := string(id[1]); !slices.Contains(addresses, a) {
			addresses = append(addresses, a)
		}
	}
	return addresses
}

// TestSearch: of the entries that make attempts fail all are found and no other, in a few attempts for each.
func TestSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "entries")
		bad := rapid.MapOf(rapid.IntRange(0, n-1), rapid.Just(true)).Draw(t, "bad")
		s, found, attempts := newSearch(n), map[int]bool{}, 0
		for {
			tried, result := s.next(), s.succeeded
			for i := range tried {
				if bad[i] && !found[i] {
					result = s.failed
				}
			}
			if attempts++; attempts > 1+10*len(bad) {
				t.Fatalf("%d attempts, found %v", attempts, found)
			}
			if entry, ok := result(tried); ok {
				found[entry] = true
			} else if tried == n && maps.Equal(found, bad) {
				return
			}
		}
	})
}
