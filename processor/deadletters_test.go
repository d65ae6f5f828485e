package processor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
	"firstseen/schemas"
)

// redrivenOnce has a worker whose bounds are too tight make dead letters, and redrives them to one with wide bounds.
func redrivenOnce(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{Set: noCap}))
	cfg.Bounds = schemas.DefaultBounds
	cfg.Bounds.RecordBytes = 3000
	fat := func(n int) string {
		return strings.Replace(anonymous(fmt.Sprintf("198.51.100.%d", n), day0), `"bucketName":"`, `"note":"`+strings.Repeat("x", 4000)+`","bucketName":"`, 1)
	}
	thin := anonymous("198.51.100.200", day0)
	source := app + "-cloudtrail"
	records := []*kgo.Record{
		{Topic: source, Partition: 1, Key: []byte("k"), Value: []byte(fat(1)), Timestamp: day0, Headers: []kgo.RecordHeader{header("trace", "abc"), header("dlq-reason", "theirs")}},
		{Topic: source, Value: []byte(`{"Records":[` + thin + `,` + fat(2) + `]}`)},
		{Topic: source, Value: []byte("nothing of ours")},
		{Topic: source, Value: []byte(strings.Repeat("x", 950_000))},
	}
	for n := range 20 {
		records = append(records, &kgo.Record{Topic: app + "-s3access", Partition: int32(n % 2), Value: []byte(fat(10 + n))})
	}
	in := c.start(cfg)
	in.awaitReady(c)
	if err := c.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, 30*time.Second)
	in.stop()
	if dead := c.read(app + ".dlq"); len(dead) != 24 {
		t.Fatalf("%d dead letters, want 24", len(dead))
	}

	cfg.Bounds = schemas.DefaultBounds
	told := func(r Redrive) (done, skipped int, err error) {
		r.Told = func(_ DeadLetter, why string) {
			if why == "" {
				done++
			} else {
				skipped++
			}
		}
		err = r.Run(context.Background(), cfg)
		return done, skipped, err
	}
	for _, r := range []Redrive{{DryRun: true}, {DryRun: true}} { // looking changes nothing
		if done, skipped, err := told(r); done != 23 || skipped != 1 || err != nil {
			t.Fatalf("%+v: %d would be redriven, %d skipped, %v", r, done, skipped, err)
		}
	}
	if done, skipped, err := told(Redrive{Reason: schemas.UnknownShape}); done != 1 || skipped != 1 || err != nil {
		t.Fatalf("of one reason: %d redriven, %d skipped, %v", done, skipped, err)
	}
	// Another run, from beginning to end, comes between what this one has read and what it would write.
	if err := c.cl.ProduceSync(context.Background(), &kgo.Record{Topic: app + ".dlq", Value: []byte("not a worker's")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	between := false
	err := Redrive{Told: func(_ DeadLetter, why string) {
		if why == "" {
			t.Error("a run that was overtaken says that it has redriven something")
		} else if !between {
			between = true
			if done, skipped, err := told(Redrive{}); done != 22 || skipped != 1 || err != nil {
				t.Errorf("the run between: %d redriven, %d skipped, %v", done, skipped, err)
			}
		}
	}}.Run(context.Background(), cfg)
	if !between || !errors.Is(err, ErrUnreachable) {
		t.Errorf("overtaken: %v", err)
	}
	if done, skipped, err := told(Redrive{}); done != 0 || skipped != 1 || err != nil {
		t.Fatalf("again: %d redriven, %d skipped, %v; only what is not a worker's is told again", done, skipped, err)
	}

	times := map[string]int{}
	for _, topic := range []string{source, app + "-s3access"} {
		for _, r := range c.read(topic) {
			times[fmt.Sprintf("%s/%d %s %v", topic, r.Partition, r.Value, r.Headers)]++
			if r.Partition == 1 && topic == source && (string(r.Key) != "k" || !r.Timestamp.Equal(day0) || headerOf(r, "trace") != "abc") {
				t.Errorf("it came back as %s %s %v", r.Key, r.Timestamp, r.Headers)
			}
		}
	}
	for _, r := range records[3:] {
		want := 2
		if len(r.Value) > 1<<19 && r.Topic == source { // only a part is kept
			want = 1
		}
		if got := times[fmt.Sprintf("%s/%d %s %v", r.Topic, r.Partition, r.Value, r.Headers)]; got != want {
			t.Errorf("%.40s: %d times in its topic, want %d", r.Value, got, want)
		}
	}
	if n := times[fmt.Sprintf("%s/0 %s []", source, fat(2))]; n != 1 {
		t.Errorf("the one record of a message came back %d times alone", n)
	}
	in = c.start(cfg)
	in.awaitReady(c)
	c.awaitDrained(app, 30*time.Second)
	in.stop()
	alerts := c.alerts(app)
	for _, n := range append([]int{1, 2, 200}, 10, 15, 29) {
		if _, ok := alerts[fmt.Sprintf("198.51.100.%d", n)]; !ok {
			t.Errorf("no alert about 198.51.100.%d", n)
		}
	}
}

func TestParseDeadLetter(t *testing.T) {
	for _, test := range []struct {
		headers string
		ok      bool
		why     string
	}{
		{"", false, ""},
		{"dlq-reason=panic", false, ""},
		{"dlq-reason=panic dlq-topic=in dlq-partition=x", false, ""},
		{"dlq-reason=panic dlq-topic=in dlq-partition=3 dlq-index=-1", true, ""},
		{"dlq-reason=truncated dlq-topic=in dlq-partition=3 dlq-index=-1", true, ""},
		{"dlq-reason=truncated dlq-topic=in dlq-partition=3 dlq-index=4", true, "breaks off"},
		{"dlq-reason=panic dlq-topic=in dlq-truncated=700", true, "only 5 of its 700 bytes"},
		{"dlq-reason=panic dlq-topic=in dlq-headers-dropped=true", true, "key and headers"},
	} {
		r := &kgo.Record{Topic: "app.dlq", Value: []byte("value")}
		for _, f := range strings.Fields(test.headers) {
			key, value, _ := strings.Cut(f, "=")
			r.Headers = append(r.Headers, header(key, value))
		}
		d, ok := ParseDeadLetter(r)
		if ok != test.ok {
			t.Errorf("%s: %v", test.headers, ok)
		}
		if !ok {
			continue
		}
		original, why := d.original()
		if !strings.Contains(why, test.why) || (why == "") != (test.why == "") || (original == nil) == (why == "") {
			t.Errorf("%s: %v, %q", test.headers, original, why)
		}
		if original != nil && (original.Topic != "in" || original.Partition != 3 || string(original.Value) != "value" || len(original.Headers) > 0) {
			t.Errorf("%s: %+v", test.headers, original)
		}
	}
}
