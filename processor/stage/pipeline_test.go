package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firstseen/rules"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// request is one line of an access log.
type request struct {
	second              int64
	bucket, key, source string
}

const epoch = 1_700_000_000 // second 0 of the tests

// message makes the i-th message of a topic of it.
func (r request) message(i int) schemas.Message {
	value, _ := json.Marshal(map[string]string{
		"requestid": fmt.Sprint("r", i), "operation": "REST.GET.OBJECT", "bucket": r.bucket, "key": r.key, "remoteip": r.source,
		"time": time.Unix(epoch+r.second, 0).UTC().Format(time.RFC3339), "httpstatus": "200",
	})
	return schemas.Message{Value: value, Topic: "access", Offset: int64(i), Timestamp: (epoch + 1000) * 1000}
}

func (r request) id(i int) string { return fmt.Sprintf("r%d:REST.GET.OBJECT:%s", i, r.key) }

func drawRequests(t *rapid.T) []request {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) request {
		return request{
			second: rapid.Int64Range(0, 200).Draw(t, "second"),
			bucket: rapid.SampledFrom([]string{"logs", "payroll"}).Draw(t, "bucket"),
			key:    rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"),
			source: rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}).Draw(t, "source"),
		}
	}), 1, 60).Draw(t, "requests")
}

// drawRule draws how a rule decides: with terms or not, in windows or not, with a threshold, a cap, or neither.
func drawRule(t *rapid.T) *rulefile.Rule {
	r := &rulefile.Rule{
		ID: "rule", Name: "Rule", Version: "1", Dataset: "aws.s3access", Threshold: 1, Mode: rulefile.Active,
		Title: "Access to {bucket}", Severity: "low", SummaryAttributes: []string{"key", "remoteip"},
	}
	if rapid.Bool().Draw(t, "terms") {
		fields := rapid.SampledFrom([][]string{{"remoteip"}, {"remoteip", "bucket"}, {"bucket"}}).Draw(t, "fields")
		r.NewTerms = &rulefile.NewTerms{Fields: fields, History: rapid.Int64Range(1, 60).Draw(t, "history") * 1000}
	}
	if rapid.IntRange(0, 3).Draw(t, "dedup") > 0 {
		by := rapid.SampledFrom([][]string{nil, {"bucket"}, {"key", "remoteip"}}).Draw(t, "by")
		r.Dedup = &rulefile.Dedup{By: by, Period: rapid.Int64Range(1, 60).Draw(t, "period") * 1000}
		r.Threshold = rapid.SampledFrom([]int64{1, 1, 2, 5}).Draw(t, "threshold")
	}
	if rapid.IntRange(0, 2).Draw(t, "capped") == 0 {
		r.MaxAlerts = &rulefile.MaxAlerts{
			Count: rapid.Int64Range(1, 3).Draw(t, "count"), Per: rapid.Int64Range(1, 60).Draw(t, "per") * 1000,
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "shadow") == 0 {
		r.Mode = rulefile.Shadow
	}
	return r
}

// load compiles rules as a worker does that got them from another.
func load(t rapid.TB, texts ...*rulefile.Rule) *rules.Set {
	t.Helper()
	encoded, err := json.Marshal(map[string]any{"format": 1, "strict": false, "rules": texts})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// run is a pipeline and what came out of it.
type run struct {
	*Pipeline
	t       rapid.TB
	outputs []Output
	dead    []schemas.DeadLetter
}

func newRun(t rapid.TB, set *rules.Set, cfg PipelineConfig) *run {
	r := &run{t: t}
	cfg.Emit = func(out Output) { r.outputs = append(r.outputs, out) }
	cfg.Ingest.Dead = func(m *schemas.Message, d schemas.DeadLetter) { r.dead = append(r.dead, d) }
	var err error
	if r.Pipeline, err = NewPipeline(set, cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *run) message(m schemas.Message) {
	if _, err := r.Message(m); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) flush() {
	if err := r.Flush(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) close() {
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// state lists all keys and values.
func (r *run) state() map[string]string {
	all := map[string]string{}
	for _, view := range []View{r.Terms(), r.Windows()} {
		err := view.Scan(nil, func(key, value []byte) error {
			all[string(key)] = string(value)
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return all
}

// Whatever is combined, in transactions of any size and with records cut anywhere, the same alerts come out as if every
// event had been a transaction of its own, and the same is known afterwards.
func TestCombiningIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawRule(t)
		set := load(t, text)
		requests := drawRequests(t)
		one, combined := newRun(t, set, PipelineConfig{}), newRun(t, set, PipelineConfig{Batch: 1 << 30})
		limit := rapid.SampledFrom([]int{1000, 3000, maxCombined}).Draw(t, "limit")
		learned := rapid.IntRange(0, 10).Draw(t, "learned")
		combined.ingest.findings.limit, combined.detect.findings.limit = limit, limit
		for i, r := range requests {
			learn := i < learned || rapid.IntRange(0, 30).Draw(t, "learn") == 0
			one.ingest.SetLearn(learn)
			combined.ingest.SetLearn(learn)
			one.message(r.message(i))
			combined.message(r.message(i))
			if rapid.IntRange(0, 20).Draw(t, "flush") == 0 {
				combined.flush()
			}
		}
		one.close()
		combined.close()
		if len(one.dead)+len(combined.dead) > 0 {
			t.Fatalf("dead letters: %v %v", one.dead, combined.dead)
		}
		want, got := byAlert(one.outputs), byAlert(combined.outputs)
		if text.MaxAlerts != nil { // alerts of a cap are counted across groups: there is one order
			want, got = map[string][]string{"": all(one.outputs)}, map[string][]string{"": all(combined.outputs)}
		}
		for _, id := range slices.Sorted(maps.Keys(want)) {
			if !slices.Equal(got[id], want[id]) {
				t.Fatalf("alert %s\n got %s\nwant %s", id, strings.Join(got[id], "\n"), strings.Join(want[id], "\n"))
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d alerts, want %d", len(got), len(want))
		}
		if !maps.Equal(one.state(), combined.state()) {
			t.Fatalf("state\n got %q\nwant %q", combined.state(), one.state())
		}
	})
}

func all(outputs []Output) (list []string) {
	for _, out := range outputs {
		list = append(list, fmt.Sprintf("%s %s %s %s", out.To, out.Key, out.Headers, out.Value))
	}
	return list
}

// byAlert gives the documents of each alert in their order.
func byAlert(outputs []Output) map[string][]string {
	m := map[string][]string{}
	for i, text := range all(outputs) {
		m[string(outputs[i].Key)] = append(m[string(outputs[i].Key)], text)
	}
	return m
}

// A state that is written after every batch and opened again by another run gives what one run in memory gives.
func TestPipelineOverAStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := load(t, drawRule(t))
		requests := drawRequests(t)
		whole := newRun(t, set, PipelineConfig{})
		terms, windows := memory{}, memory{}
		stored := func() *run {
			return newRun(t, set, PipelineConfig{Terms: terms, Windows: windows, Commit: func(ts, ws *Overlay) error {
				if n := ts.Len() + ws.Len(); n > 3 {
					return fmt.Errorf("%d writes of one request", n)
				}
				terms.apply(ts)
				windows.apply(ws)
				return nil
			}})
		}
		r := stored()
		var got []Output
		for i, q := range requests {
			if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
				got = append(got, r.outputs...)
				r = stored()
			}
			whole.message(q.message(i))
			r.message(q.message(i))
		}
		got = append(got, r.outputs...)
		if !slices.Equal(all(got), all(whole.outputs)) {
			t.Fatalf("\n got %s\nwant %s", all(got), all(whole.outputs))
		}
		for key, value := range whole.state() {
			if at, _ := wire.SweepAt([]byte(value)); at == 0 || terms[key] == "" && windows[key] == "" {
				t.Fatalf("no value of %q", key)
			}
		}
	})
}

// A state that cannot be written ends the run.
func TestPipelineEndsWithTheError(t *testing.T) {
	r := newRun(t, load(t, accessRule("a")), PipelineConfig{Terms: memory{}, Windows: memory{}, Commit: func(ts, ws *Overlay) error {
		return errors.New("disk full")
	}})
	m := request{bucket: "logs", source: "192.0.2.1"}.message(0)
	for range 2 {
		if _, err := r.Message(m); err == nil || err.Error() != "disk full" {
			t.Errorf("%v", err)
		}
	}
	if err := r.Close(); err == nil || len(r.outputs) != 1 {
		t.Errorf("%v, %d outputs", err, len(r.outputs))
	}
}
