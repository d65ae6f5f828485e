package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/config"
	"firstseen/devbroker"
	"firstseen/traffic"
)

// generated runs gen, which must end well.
func generated(t *testing.T, args ...string) clitest.Execution {
	t.Helper()
	e := execute(t, nil, append([]string{"gen"}, args...)...)
	if e.Code != cli.ExitOK {
		t.Fatalf("gen %s: exit code %d\n%s", strings.Join(args, " "), e.Code, e.Stderr)
	}
	return e
}

func TestGenSameSeedSameBytes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	first := generated(t, "--seed", "7", "--count", "500").Stdout
	generated(t, "--seed", "7", "--count", "500", "--out", file)
	if again, err := os.ReadFile(file); err != nil || string(again) != first {
		t.Errorf("the same seed makes other bytes (%v)", err)
	}
	if generated(t, "--seed", "8", "--count", "500").Stdout == first {
		t.Error("another seed makes the same bytes")
	}
	if n := strings.Count(generated(t).Stdout, "\n"); n != 10_000 {
		t.Errorf("%d records without a count, want 10000", n)
	}
}

func TestGenKinds(t *testing.T) {
	for _, c := range []struct {
		kind        string
		trail, line bool
	}{{"both", true, true}, {"cloudtrail", true, false}, {"s3access", false, true}} {
		trail, line := false, false
		for text := range strings.Lines(generated(t, "--count", "100", "--kind", c.kind).Stdout) {
			if json.Valid([]byte(text)) {
				trail = true
			} else {
				line = true
			}
		}
		if trail != c.trail || line != c.line {
			t.Errorf("%s: CloudTrail %v, access-log lines %v", c.kind, trail, line)
		}
	}
}

// What gen says its records lead to is what scan makes of them.
func TestGenAgreesWithScan(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	e := generated(t, "--seed", "3", "--count", "5000", "--out", file)
	alerts := map[string]int{}
	for _, d := range alertsOf(t, file) {
		if d.Firstseen.Alert.Status == "open" {
			alerts[d.Rule.ID]++
		}
	}
	clitest.WantStderr(t, e, fmt.Sprintf("%d new-terms and %d allowlist alerts", alerts[traffic.NewTermsRule], alerts[traffic.AllowlistRule]))
	if len(alerts) != 2 {
		t.Errorf("alerts of the rules %v", alerts)
	}
}

// Each record goes to the topic of its kind, and those of one address or bucket stay in order.
func TestGenToTopics(t *testing.T) {
	b, err := devbroker.Start(devbroker.Options{Topics: []devbroker.Topic{{Name: "cloudtrail", Partitions: 3}, {Name: "s3access", Partitions: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	want := map[string][]string{} // by topic and partition
	for text := range strings.Lines(generated(t, "--seed", "7", "--count", "500").Stdout) {
		topic := "s3access"
		if json.Valid([]byte(text)) {
			topic = "cloudtrail"
		}
		want[topic] = append(want[topic], strings.TrimSuffix(text, "\n"))
	}
	clitest.WantStderr(t, generated(t, "--seed", "7", "--count", "500", "--brokers", b.Addr()), "500 records")

	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ConsumeTopics("cloudtrail", "s3access"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	place := map[string]int{} // of a line in the output without topics
	for topic, list := range want {
		for i, line := range list {
			place[topic+line] = i
		}
	}
	got, last, used := 0, map[string]int{}, map[string]bool{}
	for got < 500 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("only %d records in the topics", got)
		}
		for r := range fetches.RecordsAll() {
			at, ok := place[r.Topic+string(r.Value)]
			partition := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
			if !ok || used[partition] && at < last[partition] {
				t.Fatalf("%s: not expected here: %s", partition, r.Value)
			}
			got, last[partition], used[partition] = got+1, at, true
		}
	}
	if len(used) != 6 {
		t.Errorf("records in %d of 6 partitions", len(used))
	}

	e := execute(t, nil, "gen", "--brokers", b.Addr(), "--set", "sources=[{topic: trail}]")
	if e.Code != cli.ExitGuarantee || !strings.Contains(e.Stderr, "trail") || !strings.Contains(e.Stderr, "topics create") {
		t.Errorf("a topic that is not there: exit code %d, %s", e.Code, e.Stderr)
	}
}

func TestGenChoosesTopics(t *testing.T) {
	for _, c := range []struct{ sources, kind, want string }{
		{"a:cloudtrail b:s3access", "both", "cloudtrail:a s3access:b"},
		{"b:s3access c:auto a:cloudtrail", "both", "cloudtrail:a s3access:b"},
		{"a:auto b:auto", "both", "cloudtrail:a s3access:b"},
		{"a:auto", "both", "cloudtrail:a s3access:a"},
		{"a:auto b:cloudtrail", "s3access", "s3access:a"},
		{"a:cloudtrail", "cloudtrail", "cloudtrail:a"},
		{"a:cloudtrail", "both", "error"},
		{"a:s3access", "cloudtrail", "error"},
	} {
		cfg := &config.Config{}
		for _, s := range strings.Fields(c.sources) {
			topic, format, _ := strings.Cut(s, ":")
			cfg.Sources = append(cfg.Sources, config.Source{Topic: topic, Format: format})
		}
		var list []string
		topics, err := (&genCmd{Kind: c.kind}).sourcesOf(cfg)
		for kind, topic := range topics {
			list = append(list, string(kind)+":"+topic)
		}
		slices.Sort(list)
		if got := strings.Join(list, " "); err == nil && got != c.want || (err != nil) != (c.want == "error") {
			t.Errorf("sources %s, kind %s: %s, %v, want %s", c.sources, c.kind, got, err, c.want)
		}
	}
}

// Without a seed, a topic gets traffic of now.
func TestGenTimes(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	seed := uint64(1)
	for _, c := range []struct {
		name        string
		gen         genCmd
		topics      bool
		first, last time.Time // of 1000 records
	}{
		{"file", genCmd{Count: 1000}, false, traffic.Defaults().Start, traffic.Defaults().Start.Add(999 * time.Second)},
		{"topics", genCmd{Count: 1000}, true, clock.Add(-1000 * time.Second), clock.Add(-time.Second)},
		{"topics with a rate", genCmd{Rate: 10}, true, clock, clock.Add(99 * time.Second)},
		{"topics with a seed", genCmd{Rate: 10, Seed: &seed}, true, traffic.Defaults().Start, traffic.Defaults().Start.Add(999 * time.Second)},
	} {
		o := c.gen.options(c.topics, clock)
		if last := o.Start.Add(time.Duration(999 / o.Rate * float64(time.Second))).Truncate(time.Second); !o.Start.Equal(c.first) || !last.Equal(c.last) {
			t.Errorf("%s: from %s to %s, want %s to %s", c.name, o.Start, last, c.first, c.last)
		}
	}
}

// With a rate there is no end but an interrupt, and what was written until then is counted.
func TestGenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, stderr := &clitest.StopAt{Text: "s3.amazonaws.com", Stop: cancel}, &bytes.Buffer{}
	began := time.Now()
	code := run(&cli.App{Ctx: ctx, Stdout: out, Stderr: stderr}, []string{"gen", "--rate", "1000"})
	n := strings.Count(out.String(), "\n")
	if code != cli.ExitOK || !strings.HasPrefix(stderr.String(), show.Plural(int64(n), "record")) {
		t.Errorf("exit code %d after %d records: %s", code, n, stderr)
	}
	if most := int(1000*time.Since(began).Seconds()) + 1; n > most {
		t.Errorf("%d records in the time of %d", n, most)
	}
}

func TestGenRefuses(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--brokers 127.0.0.1:1 --count 1", cli.ExitGuarantee, "127.0.0.1:1"},
		{"--brokers 127.0.0.1:1 --out x", cli.ExitUsage, "--out"},
		{"--anonymous 2", cli.ExitUsage, "anonymous"},
		{"--count -1", cli.ExitUsage, "--count"},
		{"--kind azure", cli.ExitUsage, "--kind"},
		{"--out " + filepath.Join("no", "such", "folder"), cli.ExitUsage, "no such file"},
		{"--set sourcse=x", cli.ExitUsage, "sources"},
	} {
		e := execute(t, nil, append([]string{"gen"}, strings.Fields(c.args)...)...)
		if e.Code != c.code || !strings.Contains(e.Stderr, c.says) {
			t.Errorf("gen %s: exit code %d, want %d: %s", c.args, e.Code, c.code, e.Stderr)
		}
	}
}
