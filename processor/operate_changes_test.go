package processor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/rules"
)

// logbook is a log that a test reads.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logbook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logbook) log() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// TestTruncatedChangelog takes from a changelog what the store has read: its end, as an election of a leader does that was
// not in sync, and its beginning, as retention does. The state is put aside, not used and not lost, and restored from what
// there is.
func TestTruncatedChangelog(t *testing.T) {
	t.Parallel()
	t.Run("at its end", func(t *testing.T) {
		t.Parallel()
		b := broker(t)
		h := newHalfway(t, b.Addr())
		h.second()
		// The epoch of the store's barrier ended before it: records of a later leader have taken their place.
		b.Cluster.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			b.Cluster.KeepControl()
			r := req.(*kmsg.OffsetForLeaderEpochRequest)
			resp := r.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
			for _, rt := range r.Topics {
				st := kmsg.NewOffsetForLeaderEpochResponseTopic()
				st.Topic = rt.Topic
				for _, rp := range rt.Partitions {
					sp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
					sp.Partition, sp.LeaderEpoch, sp.EndOffset = rp.Partition, rp.LeaderEpoch, 1<<40
					if strings.HasSuffix(rt.Topic, ".detect.changelog") && rp.Partition == 2 {
						sp.EndOffset = 0
					}
					st.Partitions = append(st.Partitions, sp)
				}
				resp.Topics = append(resp.Topics, st)
			}
			return resp, nil, true
		})
		var book logbook
		h.cfg.Log = book.log()
		in := h.start(h.cfg)
		in.awaitReady(h.cluster)
		h.awaitDrained(h.cfg.App, time.Minute)
		in.stop()
		for _, want := range []string{"state does not belong to the changelog, restoring from the changelog", "partition=" + h.cfg.topic(topicCandidates) + "/2",
			"the changelog lost records: it ended at 0, the state had read "} {
			if !strings.Contains(book.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, book.String())
			}
		}
		h.aside("detect-2-")
		if v := h.judge(); v != (verdict{}) {
			t.Error(v)
		}
	})
	t.Run("at its beginning", func(t *testing.T) {
		t.Parallel()
		h := newHalfway(t, embedded(t))
		old := h.cfg.StateDir + ".old"
		if err := os.CopyFS(old, os.DirFS(h.cfg.StateDir)); err != nil {
			t.Fatal(err)
		}
		h.second()
		h.runUntilDrained(h.cfg)
		changelog := h.cfg.topic(topicDetectLog)
		h.alter(changelog, "cleanup.policy", "compact,delete")
		starts := positions(t, h.cfg.StateDir)
		h.cfg.StateDir = old
		stood := positions(t, old)
		for stage, at := range starts {
			if stage.String() == string(StageDetect) {
				if err := h.deleteRecords(changelog, 1, at[1]); err != nil {
					t.Fatal(err)
				}
				if stood[stage][1] >= at[1] {
					t.Fatalf("the old store is at %d, the changelog begins at %d", stood[stage][1], at[1])
				}
			}
		}
		h.alter(changelog, "cleanup.policy", "compact")
		var book logbook
		h.cfg.Log = book.log()
		in := h.start(h.cfg)
		h.await("the log says what is missing", 20*time.Second, func() bool {
			return strings.Contains(book.String(), fmt.Sprintf("the changelog %s/1 no longer has offset ", changelog))
		})
		in.awaitReady(h.cluster, h.cfg.topic(topicCandidates)+"/1 is in quarantine: group "+h.cfg.group(StageDetect)+" is at offset ")
		h.aside("detect-1-")
		at := h.committed(StageDetect)[h.cfg.topic(topicCandidates)+"/1"]
		want := fmt.Sprintf("reads on at offset %d", at)
		if got := h.ask(Request{Stage: StageDetect, Partition: 1, Use: UseCommitted}); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		in.awaitReady(h.cluster)
		in.stop()
	})
}

// TestChangelogWithoutBeginning: records were deleted from a changelog before its last offset record. Nobody can see that
// in a state that is restored from it, so it is said: by the worker that restores, by the doctor, and by the comparison of
// a state that is whole (processor/verify).
func TestChangelogWithoutBeginning(t *testing.T) {
	t.Parallel()
	h := newHalfway(t, embedded(t))
	changelog, end := h.cfg.topic(topicDetectLog), int64(0)
	for stage, at := range positions(t, h.cfg.StateDir) {
		if stage.String() == string(StageDetect) {
			end = at[1]
		}
	}
	h.alter(changelog, "cleanup.policy", "compact,delete")
	if err := h.deleteRecords(changelog, 1, end/2); err != nil {
		t.Fatal(err)
	}
	h.alter(changelog, "cleanup.policy", "compact")

	if !slices.ContainsFunc(examine(t, h.cfg), func(c Check) bool {
		return c.Result == CheckWarn && c.What == "topics" && c.On == changelog+"/1" && strings.HasPrefix(c.Says, fmt.Sprintf("it begins at offset %d: ", end/2))
	}) {
		t.Error("the doctor does not see it")
	}

	var book logbook
	h.cfg.Log, h.cfg.StateDir = book.log(), filepath.Join(t.TempDir(), "lost")
	in := h.start(h.cfg)
	in.awaitReady(h.cluster)
	in.stop()
	for _, want := range []string{"the changelog does not begin at offset 0: what was deleted from it is forgotten", fmt.Sprintf("topic=%s partition=1 begins=%d", changelog, end/2)} {
		if !strings.Contains(book.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, book.String())
		}
	}
}

// aside expects one state that was put aside.
func (h *halfway) aside(prefix string) {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.cfg.StateDir, "aside", prefix+"*"))
	if err != nil || len(found) != 1 {
		h.t.Errorf("put aside: %v, %v; want one %s", found, err, prefix)
	}
}

// TestChangedWhileRunning changes topics under a worker that runs. What they concern waits and says why, the rest goes on.
func TestChangedWhileRunning(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, test := range []struct {
		name   string
		change func(h *halfway) error
		want   []string
	}{
		{"partitions added to an internal topic", func(h *halfway) error {
			_, err := h.adm.CreatePartitions(ctx, 1, h.cfg.topic(topicCandidates))
			return err
		}, []string{"candidates/4 is in quarantine: APP.candidates/4: the deployment was created with 4 partitions of this topic: partitions must not be added to it, and it cannot get rid of them; start a deployment with another app name"}},
		{"a source deleted", func(h *halfway) error {
			_, err := h.adm.DeleteTopic(ctx, h.cfg.App+"-s3access")
			return err
		}, []string{"APP-s3access/0 is in quarantine", "APP-s3access/1 is in quarantine"}},
		{"a changelog deleted", func(h *halfway) error {
			_, err := h.adm.DeleteTopic(ctx, h.cfg.topic(topicDetectLog))
			return err
		}, []string{"lane APP-detect-one-0: the brokers refuse it something: APP.detect.changelog/"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHalfway(t, embedded(t))
			h.cfg.Client = append(h.cfg.Client, kgo.MetadataMaxAge(time.Second))
			h.cfg.Timing.Recheck = time.Minute
			in := h.start(h.cfg)
			in.awaitReady(h.cluster)
			if err := test.change(h); err != nil {
				t.Fatal(err)
			}
			fresh := newTestCluster(t, h.brokers)
			r := &kgo.Record{Topic: h.cfg.App + "-cloudtrail", Value: []byte(anonymous("198.51.100.1", day0.AddDate(0, 6, 0)))}
			if err := fresh.cl.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			h.await(test.want[0], 30*time.Second, func() bool {
				why := strings.ReplaceAll(strings.Join(in.NotReady(), "\n"), h.cfg.App, "APP")
				for _, want := range test.want {
					if !strings.Contains(why, want) {
						return false
					}
				}
				return true
			})
			in.stop()
		})
	}
}

// TestSettingsChangedWhileRunning: a changelog is no longer compacted. The worker says so while it runs, and no longer once
// it is mended.
func TestSettingsChangedWhileRunning(t *testing.T) {
	t.Parallel()
	c, app := newTestCluster(t, embedded(t)), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(c.brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	cfg.Timing.Recheck = 100 * time.Millisecond
	in := c.start(cfg)
	in.awaitReady(c)
	changelog := cfg.topic(topicGroupLog)
	c.alter(changelog, "cleanup.policy", "delete")
	want := "topics: topic " + changelog + " has cleanup.policy=delete, it needs compact; run: kafka-configs.sh "
	c.await(want, 30*time.Second, func() bool {
		return slices.ContainsFunc(in.Notes(), func(note string) bool { return strings.HasPrefix(note, want) }) && in.counted("topics_unsafe") == 1
	})
	c.alter(changelog, "cleanup.policy", "compact")
	c.await("all is well", 30*time.Second, func() bool { return in.counted("topics_unsafe") == 0 })
	in.stop()
}

// TestClockSkew has two producers write the same times, one of them with a clock that is two hours behind. Its records
// claim to be of the future: they are given the time of their message, which alerts, a metric and the log say. The other's
// are left alone.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	c, app := newTestCluster(t, embedded(t)), newApp()
	c.createSources(app, 2, nil)
	var book logbook
	cfg := testConfig(c.brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	cfg.Log = book.log()
	now := time.Now().UTC().Truncate(time.Second)
	behind := now.Add(-2 * time.Hour)
	for partition, clock := range []time.Time{now, behind} {
		for n := range 3 {
			value := anonymous(fmt.Sprintf("198.51.100.%d%d", partition, n), now.Add(-time.Minute))
			r := &kgo.Record{Topic: app + "-cloudtrail", Partition: int32(partition), Timestamp: clock, Value: []byte(value)}
			if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	in := c.start(cfg)
	c.awaitDrained(app, 30*time.Second)
	in.stop()
	alerts := c.alerts(app)
	if len(alerts) != 6 {
		t.Fatalf("%d alerts, want 6", len(alerts))
	}
	for address, d := range alerts {
		late := strings.HasPrefix(address, "198.51.100.1")
		want := now.Add(-time.Minute)
		if late {
			want = behind
		}
		if !d.Timestamp.Equal(want) || strings.Contains(fmt.Sprint(d.Firstseen.Flags), "time_clamped") != late {
			t.Errorf("%s: at %s, flags %v; want %s", address, d.Timestamp, d.Firstseen.Flags, want)
		}
	}
	if got := in.counted("time_clamped_total", app+"-cloudtrail"); got != 3 {
		t.Errorf("time_clamped_total is %v, want 3", got)
	}
	if got, written := in.counted("rule_documents_total", "alerts"), len(c.read(app+".alerts")); got != float64(written) {
		t.Errorf("rule_documents_total is %v, %d were written", got, written)
	}
	if said := "is the clock of its producer behind?\" lane=" + app + "-ingest-one-0 topic=" + app + "-cloudtrail partition=1 offset=0"; strings.Count(book.String(), said) != 1 {
		t.Errorf("the log does not say once %s:\n%s", said, book.String())
	}
}

// TestAlertsAreCounted has every second transaction aborted, where detect makes the alerts and where group does. The
// metrics count what was committed.
func TestAlertsAreCounted(t *testing.T) {
	t.Parallel()
	for name, set := range map[string][]string{"of detect": noCap, "of group": windowed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, app := newTestCluster(t, embedded(t)), newApp()
			c.createSources(app, 1, nil)
			cfg := testConfig(c.brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{Set: set}))
			cfg.Commit.Messages = 5
			var turns atomic.Int64
			cfg.hooks.beforeEnd = func() {}
			cfg.hooks.abort = func() bool { return turns.Add(1)%2 == 1 }
			var records []*kgo.Record
			for n := range 40 {
				value := anonymous(fmt.Sprintf("198.51.100.%d", n), day0.Add(time.Duration(n)*time.Second))
				records = append(records, &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(value)})
			}
			if err := c.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			in := c.start(cfg)
			c.awaitDrained(app, 30*time.Second)
			in.stop()
			made := Stage(strings.TrimPrefix(name, "of "))
			if in.counted("transaction_aborts_total", string(made)) == 0 {
				t.Error("no transaction with alerts was aborted")
			}
			if written := len(c.read(app + ".alerts")); written != 40 {
				t.Fatalf("%d alerts were written, want 40", written)
			}
			for _, metric := range [][]string{{"alerts_total", "open"}, {"rule_documents_total", "alerts"}} {
				if got := in.counted(metric...); got != 40 {
					t.Errorf("%s is %v, want 40", metric[0], got)
				}
			}
		})
	}
}
