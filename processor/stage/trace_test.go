package stage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// The files in testdata/traces say what rules mean: events with their times in, alerts out.
//
//	rules                 the rule files, separated by ---
//	s3access [at=TIME]    requests as an access log has them, a line each: time, then name=value. They are one
//	                      transaction, appended at the given time, or else at the highest time so far.
//	cloudtrail [at=TIME]  the same for anonymous API calls: time, action, then sourceIPAddress=... or another field;
//	                      with learn they are only learned; with hold=TIME the rule is learning until then
//	tick at=TIME          nothing came until then
//	end                   the end of a scan: all windows close
//	terms                 what is known afterwards
//
// The output has the topic, the alert's status, its title, count, first and last time, and the event it is about.
func TestTraces(t *testing.T) {
	datadriven.Walk(t, "testdata/traces", func(t *testing.T, path string) {
		tr := trace{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.HasArg("at") {
				var at string
				d.ScanArgs(t, "at", &at)
				tr.now = max(tr.now, tr.time(at))
			}
			before := len(tr.outputs())
			switch d.Cmd {
			case "rules":
				return tr.rules(d.Input)
			case "s3access", "cloudtrail":
				tr.run.ingest.SetLearn(d.HasArg("learn"))
				if d.HasArg("hold") {
					var until string
					d.ScanArgs(t, "hold", &until)
					tr.run.ingest.SetSince(func(*rules.Rule) Since { return Since{Start: wire.NoTime, HoldUntil: tr.time(until)} })
				}
				tr.events(d.Cmd, d.Input, d.HasArg("at"))
			case "tick":
				tr.run.now = tr.now
				tr.run.flush()
			case "end":
				tr.run.close()
			case "terms":
				return tr.terms()
			default:
				d.Fatalf(t, "unknown directive %s", d.Cmd)
			}
			return tr.show(before)
		})
	})
}

type trace struct {
	t     *testing.T
	run   *run
	now   int64 // append time, Unix milliseconds
	count int
	dead  int
}

func (tr *trace) outputs() []Output {
	if tr.run == nil {
		return nil
	}
	return tr.run.outputs
}

func (tr *trace) time(s string) int64 {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		tr.t.Fatal(err)
	}
	return at.UnixMilli()
}

// rules starts anew with these rules.
func (tr *trace) rules(texts string) string {
	dir := tr.t.TempDir()
	for i, text := range strings.Split(texts, "---\n") {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(text), 0o600); err != nil {
			tr.t.Fatal(err)
		}
	}
	set, warnings, err := rules.Load(rules.LoadOptions{Paths: []string{dir}, NoBuiltin: true})
	if err != nil {
		tr.t.Fatal(err)
	}
	var b strings.Builder
	for _, w := range warnings {
		fmt.Fprintln(&b, w.Message)
	}
	tr.run = newRun(tr.t, set, PipelineConfig{Batch: 1 << 30})
	return b.String()
}

func (tr *trace) events(dataset, lines string, appended bool) {
	var messages []schemas.Message
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if at := tr.time(words[0]); !appended {
			tr.now = max(tr.now, at)
		}
		tr.count++
		id := fmt.Sprint("#", tr.count)
		record := map[string]any{"requestid": id, "operation": "REST.GET.OBJECT", "time": words[0]}
		fields := words[1:]
		if dataset == "cloudtrail" {
			record = map[string]any{
				"eventVersion": "1.11", "eventID": id, "eventTime": words[0], "eventSource": "s3.amazonaws.com", "eventName": words[1],
				"awsRegion": "eu-central-1", "requestParameters": map[string]any{"bucketName": "logs"},
				"userIdentity": map[string]any{"type": "AWSAccount", "principalId": "", "accountId": "anonymous"},
			}
			fields = words[2:]
		}
		for _, field := range fields {
			name, value, _ := strings.Cut(field, "=")
			record[name] = value
		}
		value, err := json.Marshal(record)
		if err != nil {
			tr.t.Fatal(err)
		}
		messages = append(messages, schemas.Message{Value: value, Topic: dataset, Offset: int64(tr.count)})
	}
	for _, m := range messages {
		m.Timestamp = tr.now
		tr.run.message(m)
	}
	tr.run.flush()
}

// show writes what came out since.
func (tr *trace) show(since int) string {
	var b strings.Builder
	for ; tr.dead < len(tr.run.dead); tr.dead++ {
		fmt.Fprintf(&b, "dead letter: %s: %s\n", tr.run.dead[tr.dead].Reason, tr.run.dead[tr.dead].Detail)
	}
	for _, out := range tr.run.outputs[since:] {
		var doc struct {
			Message string
			Event   struct{ Start, End string }
			First   struct {
				Alert  struct{ Status, Count any }
				Origin struct {
					ID string `json:"event_id"`
				}
				Flags      []string
				Suppressed struct{ Count any }
				Terms      struct {
					Values   []string
					Previous string `json:"previous_seen"`
				} `json:"new_terms"`
			} `json:"firstseen"`
		}
		if err := json.Unmarshal(out.Value, &doc); err != nil {
			tr.t.Fatal(err)
		}
		f := doc.First
		fmt.Fprintf(&b, "%s: %s, %s: count %v, %s to %s, about %s", out.To, f.Alert.Status, doc.Message, f.Alert.Count,
			short(doc.Event.Start), short(doc.Event.End), strings.TrimSuffix(f.Origin.ID, ":REST.GET.OBJECT:"))
		if len(f.Terms.Values) > 0 {
			fmt.Fprintf(&b, ", new: %s", strings.Join(f.Terms.Values, " + "))
		}
		if f.Terms.Previous != "" {
			fmt.Fprintf(&b, ", before: %s", short(f.Terms.Previous))
		}
		if f.Suppressed.Count != nil {
			fmt.Fprintf(&b, ", suppressed: %v", f.Suppressed.Count)
		}
		if len(f.Flags) > 0 {
			fmt.Fprintf(&b, ", flags: %s", strings.Join(f.Flags, " "))
		}
		for _, h := range out.Headers {
			if h[0] == suppressed {
				fmt.Fprintf(&b, ", because of: %s", h[1])
			}
		}
		b.WriteByte('\n')
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func short(s string) string { return strings.TrimSuffix(s, ".000Z") }

func (tr *trace) terms() string {
	var b strings.Builder
	err := tr.run.Terms().Scan([]byte{TermKind}, func(key, value []byte) error {
		var term wire.Term
		if err := wire.DecodeTerm(value, &term); err != nil {
			return err
		}
		stamp := func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05") }
		fmt.Fprintf(&b, "%q: %d events, first %s, last %s\n", key[9:], term.Count, stamp(term.FirstSeen), stamp(term.LastSeen))
		return nil
	})
	if err != nil {
		tr.t.Fatal(err)
	}
	return b.String()
}
