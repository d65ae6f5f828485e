package schemas

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// now is the Kafka timestamp of the messages in tests, two minutes after the records.
const now = 1773144614000 + 120_000

// collector is a Sink that writes down what it gets, one line a thing.
type collector struct {
	lines  []string
	layout *Layout
	names  []string // fields to write down
}

func (c *collector) Event(e *Event) {
	line := fmt.Sprintf("%d %s", e.Origin.Index, e.Dataset)
	for _, name := range c.names {
		slot, _ := c.layout.Slot(name)
		line += " " + render(e.Values(slot))
	}
	for _, flag := range e.Flags.Names() {
		line += " !" + flag
	}
	c.lines = append(c.lines, line)
}

func (c *collector) Dead(l DeadLetter) {
	value := string(l.Value)
	if len(value) > 40 {
		value = value[:40] + "..."
	}
	c.lines = append(c.lines, fmt.Sprintf("%d dead %s %q", l.Index, l.Reason, value))
}

func render(values []Value) string {
	var parts []string
	for _, v := range values {
		parts = append(parts, string(v.Text))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, "|")
}

// decode returns what a message consists of: events with the fields named, and dead letters.
func decode(t *testing.T, cfg Config, m Message, names ...string) ([]string, Stats) {
	t.Helper()
	cfg.Layout = NewLayout(names)
	c := &collector{layout: cfg.Layout, names: names}
	d := NewDecoder(cfg)
	s := d.Decode(m, c)
	if s.Records != s.Events+s.Filtered+s.Skipped+s.Dead {
		t.Errorf("records are %d, but what became of them is %+v", s.Records, s)
	}
	// A decoder carries nothing over to the next message.
	again := &collector{layout: cfg.Layout, names: names}
	if d.Decode(m, again); strings.Join(again.lines, "\n") != strings.Join(c.lines, "\n") {
		t.Errorf("the second time:\n%s\nthe first time:\n%s", strings.Join(again.lines, "\n"), strings.Join(c.lines, "\n"))
	}
	return c.lines, s
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got:\n%s\nwant:\n%s", g, w)
	}
}

// quote makes a JSON string of a text.
func quote(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

func pretty(text string) string {
	var b bytes.Buffer
	json.Indent(&b, []byte(text), "", "  ")
	return b.String()
}

// from returns the anonymous record with another address.
func from(address string) string { return strings.Replace(anonymous, "203.0.113.7", address, 1) }

// lineFrom returns the access-log line with another address.
func lineFrom(address string) string { return strings.Replace(accessLine, "203.0.113.7", address, 1) }

const (
	notification = `{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-west-2","eventTime":"1970-01-01T00:00:00.000Z","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"AIDAJDPLRKLG7UEXAMPLE"},"requestParameters":{"sourceIPAddress":"127.0.0.1"},"s3":{"bucket":{"name":"b"}}}`
	insight      = `{"eventVersion":"1.07","eventTime":"2026-03-10T12:10:14Z","awsRegion":"us-east-1","eventID":"c6b9","eventType":"AwsCloudTrailInsight","recipientAccountId":"123456789012","insightDetails":{"state":"Start","eventSource":"ec2.amazonaws.com","eventName":"RunInstances"},"eventCategory":"Insight"}`
	digest       = `{"awsAccountId":"111122223333","digestStartTime":"2015-08-17T14:01:31Z","digestEndTime":"2015-08-17T15:01:31Z","digestS3Bucket":"S3-bucket-name","logFiles":[]}`
	testEvent    = `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"bucketname","RequestId":"5582815E1AEA5ADF","HostId":"8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"}`
	pantherJSON  = `{ "remoteip": "10.0.0.1", "bucket": "my-test-bucket" }`
)

// The thirteen envelopes of FORMATS 1 and the forms they come in. A signed-in neighbour shows that order and index are
// right.
func TestEnvelopes(t *testing.T) {
	a, b := from("192.0.2.1"), from("192.0.2.2")
	la, lb := lineFrom("192.0.2.1"), lineFrom("192.0.2.2")
	trail := func(i int, address string) string { return fmt.Sprintf("%d aws.cloudtrail %s", i, address) }
	access := func(i int, address string) string { return fmt.Sprintf("%d aws.s3access %s", i, address) }
	file := `{"Records":[` + a + "," + b + `]}`
	cloudwatch := func(kind string, messages ...string) string {
		events := make([]string, len(messages))
		for i, m := range messages {
			events[i] = fmt.Sprintf(`{"id":"3195310660696698337880902507980421114328961542429EXAMPLE","timestamp":1432826855000,"message":%s}`, quote(m))
		}
		return `{"messageType":"` + kind + `","owner":"111111111111","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[` + strings.Join(events, ",") + `]}`
	}
	two := []string{trail(0, "192.0.2.1"), trail(1, "192.0.2.2")}
	one := two[:1]
	for _, test := range []struct {
		name, value string
		want        []string
	}{
		{"1 record", a, one},
		{"1 record, pretty-printed", pretty(a), one},
		{"1 record, byte order mark, CRLF", "\xef\xbb\xbf" + a + "\r\n", one},
		{"1 records, newline-delimited", a + "\n" + b + "\n", two},
		{"1 records, newline-delimited with CRLF", a + "\r\n" + b + "\r\n", two},
		{"1 records, concatenated", a + b, two},
		{"1 records, pretty-printed and concatenated", pretty(a) + pretty(b), two},
		{"1 records, array", "[" + a + "," + b + "]", two},
		{"1 records, array, pretty-printed", pretty("[" + a + "," + b + "]"), two},
		{"1 record, sorted keys", `{"additionalEventData":{},` + a[1:], one},
		{"1 record, unknown first key", `{"@timestamp":1,` + a[1:], one},
		{"2 file", file, two},
		{"2 file, pretty-printed", pretty(file), two},
		{"2 file, gzip", gzipped(file), two},
		{"2 file, gzip of two members", gzipped(file[:100]) + gzipped(file[100:]), two},
		{"2 file, a record a line", strings.ReplaceAll(file, "},{\"eventVersion", "},\n{\"eventVersion"), two},
		{"2 file, empty", `{"Records":[]}`, nil},
		{"2 files, newline-delimited", file + "\n" + file, append(two[:2:2], trail(2, "192.0.2.1"), trail(3, "192.0.2.2"))},
		{"2 files, concatenated gzip", gzipped(file) + gzipped(a), append(two[:2:2], trail(2, "192.0.2.1"))},
		{"3 EventBridge", `{"version":"0","id":"x","detail-type":"AWS API Call via CloudTrail","source":"aws.s3","account":"1","detail":` + a + `}`, one},
		{"3 EventBridge, detail first", `{"detail":` + a + `,"detail-type":"AWS API Call via CloudTrail"}`, one},
		{"3 EventBridge, not of an API call", `{"detail-type":"AWS Service Event via CloudTrail","source":"aws.s3","detail":` + a + `}`, one},
		{"4 CloudWatch Logs", gzipped(cloudwatch("DATA_MESSAGE", a, b)), two},
		{"4 CloudWatch Logs, Firehose", cloudwatch("DATA_MESSAGE", a) + cloudwatch("DATA_MESSAGE", b), two},
		{"4 CloudWatch Logs, a file in each", cloudwatch("DATA_MESSAGE", file, file), append(two[:2:2], trail(2, "192.0.2.1"), trail(3, "192.0.2.2"))},
		{"4 CloudWatch Logs in Vector, a file in it", `{"message":` + quote(cloudwatch("DATA_MESSAGE", a)) + `}`, one},
		{"4 CloudWatch Logs, control", gzipped(cloudwatch("CONTROL_MESSAGE", "CWL CONTROL MESSAGE: Checking health")), nil},
		{"5 Vector, file", `{"message":` + quote(file) + `,"timestamp":"2030-01-01T00:00:00Z"}`, two},
		{"5 Vector, line", `{"host":"h","message":` + quote(la) + `,"timestamp":"2030-01-01T00:00:00Z"}`, []string{access(0, "192.0.2.1")}},
		{"6 Filebeat", `{"@timestamp":"2030-01-01T00:00:00Z","@metadata":{"beat":"filebeat"},"message":` + quote(a) + `,"log":{"offset":0,"file":{"path":"/x"}}}`, one},
		{"7 Logstash, plain", "2026-03-10T12:10:15.123Z host01 " + a, one},
		{"7 Logstash, plain, host object", "2026-03-10T12:10:15.123Z {name=host01, ip=10.0.0.1} " + a, one},
		{"7 Logstash, plain, access line", "2026-03-10T12:10:15.123Z %{host} " + la + "\n2026-03-10T12:10:15.123Z %{host} " + lb, []string{access(0, "192.0.2.1"), access(1, "192.0.2.2")}},
		{"7 Logstash, JSON", `{"message":` + quote(a) + `,"@version":"1","@timestamp":"2030-01-01T00:00:00Z","host":{"name":"h"}}`, one},
		{"8 Fluent Bit, log", `{"@timestamp":1773144614.5,"log":` + quote(a+"\n") + `}`, one},
		{"8 Fluent Bit, message", `{"@timestamp":1773144614.5,"message":` + quote(la) + `}`, []string{access(0, "192.0.2.1")}},
		{"9 Connect, string", quote(a), one},
		{"9 Connect, string of lines", quote(la + "\n" + lb + "\n"), []string{access(0, "192.0.2.1"), access(1, "192.0.2.2")}},
		{"9 Connect, schema and string", `{"schema":{"type":"string","optional":false},"payload":` + quote(a) + `}`, one},
		{"9 Connect, schema and struct", `{"schema":{"type":"struct","fields":[]},"payload":` + a + `}`, one},
		{"9 Connect, schema and bytes", `{"schema":{"type":"bytes","optional":false},"payload":"eyAicmVtb3RlaXAiOiAiMTAuMC4wLjEiLCAiYnVja2V0IjogIm15LXRlc3QtYnVja2V0IiB9"}`, []string{access(0, "10.0.0.1 !time_missing")}},
		{"9 Connect, null", `{"schema":null,"payload":null}`, nil},
		{"9b rsyslog, raw line", " " + la + "\n", []string{access(0, "192.0.2.1")}},
		{"9b rsyslog, raw record", " " + a + "\n", one},
		{"9b rsyslog, JSON", `{"@timestamp":"2026-03-10T12:10:15+00:00","host":"h","program":"p","file":"f","message":` + quote(" "+a) + `}`, one},
		{"10 Panther JSON", pantherJSON, []string{access(0, "10.0.0.1 !time_missing")}},
		{"10 Panther JSON, any case", `{"RemoteIP":"10.0.0.1","Bucket":"b"}` + "\n" + `{"remote_ip":"10.0.0.2","bucket":"b"}`, []string{access(0, "10.0.0.1 !time_missing"), access(1, "10.0.0.2 !time_missing")}},
		{"10 Panther JSON, unknown first key", `{"p_log_type":"AWS.S3ServerAccess","remoteip":"10.0.0.1"}`, []string{access(0, "10.0.0.1 !time_missing")}},
		{"10 Panther JSON, array", "[" + pantherJSON + "," + pantherJSON + "]", []string{access(0, "10.0.0.1 !time_missing"), access(1, "10.0.0.1 !time_missing")}},
		{"11 line", la, []string{access(0, "192.0.2.1")}},
		{"11 lines", la + "\r\n\r\n" + lb + "\n", []string{access(0, "192.0.2.1"), access(1, "192.0.2.2")}},
		{"11 lines and records", la + "\n" + a + "\n" + lb, []string{access(0, "192.0.2.1"), trail(1, "192.0.2.1"), access(2, "192.0.2.2")}},
		{"12 access log from CloudWatch Logs", gzipped(cloudwatch("DATA_MESSAGE", `{"schema_version_id":"V_1_0","bucket_arn":"arn:aws:s3:::b","bucket_name":"b","request_time":"2026-03-10T12:10:14.123Z","bucket_owner_id":"o","remote_ip":"192.0.2.1","requester":null,"operation":"REST.GET.OBJECT","key_name":"k","http_status":200}`)), []string{access(0, "192.0.2.1")}},
		{"notification", `{"Records":[` + notification + `]}`, nil},
		{"test event", testEvent, nil},
		{"digest", digest, nil},
		{"Insights", `{"Records":[` + insight + `]}`, nil},
		{"EventBridge of S3", `{"detail-type":"Object Created","source":"aws.s3","detail":{"bucket":{"name":"b"}}}`, nil},
		{"tombstone", "", nil},
		{"tombstone of Connect", "null", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, stats := decode(t, Config{}, Message{Value: []byte(test.value), Timestamp: now}, "source.address")
			check(t, got, test.want...)
			if len(test.want) == 0 && stats.Skipped != 1 && test.name != "2 file, empty" {
				t.Errorf("not skipped: %+v", stats)
			}
			// With a filter that nothing passes, nothing is lost either.
			none := Config{Filters: map[Dataset]*Filter{CloudTrail: {Alternatives: []Alternative{{Clauses: [][]string{{"no such text"}}}}}, S3Access: {Alternatives: []Alternative{{Clauses: [][]string{{"no such text"}}}}}}}
			got, stats = decode(t, none, Message{Value: []byte(test.value), Timestamp: now})
			if len(got) > 0 || stats.Filtered < len(test.want) {
				t.Errorf("filtered %+v, not: %v", stats, got)
			}
		})
	}
}
