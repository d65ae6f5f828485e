package schemas

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

type lastEvent struct{ raw []byte }

func (l *lastEvent) Event(e *Event)  { l.raw = bytes.Clone(e.Raw) }
func (l *lastEvent) Dead(DeadLetter) {}

func zipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Whatever the decoder finds a record in is named, and the way to the last record of the message is the one that is told.
func TestWrapping(t *testing.T) {
	const trail = `{"eventVersion":"1.11","eventTime":"2026-03-05T10:20:30Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","userIdentity":{"type":"IAMUser"}}`
	const line = `79a59df900b949e5 bucket [06/Feb/2026:00:00:38 +0000] 192.0.2.3 - 3E57427F3EXAMPLE REST.GET.OBJECT key "GET /key HTTP/1.1" 200 - 113 1130 70 10 "-" "curl" -`
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	file := `{"Records":[{"eventVersion":"1.11","eventName":"A","eventSource":"x"}, ` + trail + `]}`
	const records = `CloudTrail file {"Records": [...]}`
	for message, want := range map[string]string{
		trail:              "",
		" " + line + "\n":  "",
		file:               records,
		zipped(t, file):    "gzip > " + records,
		line + "\n" + line: "several values in a row",
		trail + trail:      "several values in a row",
		quoted(line):       "JSON string",
		"[" + trail + "]":  "JSON array",
		`{"detail-type":"AWS API Call via CloudTrail","detail":` + trail + `}`:                             "EventBridge event",
		zipped(t, `{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":`+quoted(trail)+`}]}`):   "gzip > CloudWatch Logs subscription",
		`{"message":` + quoted(file) + `,"timestamp":"2026-03-05T10:20:30Z"}`:                              `"message" of a log shipper > ` + records,
		`{"@timestamp":1.5,"log":` + quoted(line) + `}`:                                                    `"log" of a log shipper`,
		"2026-03-05T10:20:30.000Z host " + trail:                                                           "Logstash plain text",
		`{"schema":{"type":"string"},"payload":` + quoted(line) + `}`:                                      "Kafka Connect with schema",
		`{"schema":{"type":"bytes"},"payload":"` + base64.StdEncoding.EncodeToString([]byte(trail)) + `"}`: "Kafka Connect with schema",
	} {
		var last lastEvent
		NewDecoder(Config{}).Decode(Message{Value: []byte(message), Timestamp: 1_800_000_000_000}, &last)
		if last.raw == nil {
			t.Fatalf("no event in %q", message)
		}
		names, ok := Wrapping([]byte(message), last.raw)
		if got := strings.Join(names, " > "); !ok || got != want {
			t.Errorf("%q: found in %q, %v; want %q", message, got, ok, want)
		}
	}
	if names, ok := Wrapping([]byte(file), []byte(`{"another":1}`)); ok || len(names) > 0 {
		t.Errorf("a record that is not there was found in %q", names)
	}
}
