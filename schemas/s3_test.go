package schemas

import (
	"slices"
	"strings"
	"testing"
)

const (
	head = `owner acme-logs [06/Feb/2026:00:00:38 +0000] 203.0.113.7 - 3E57427F3EXAMPLE REST.GET.OBJECT a%2520b.log`
	tail = ` - hostid= SigV4 ECDHE AuthHeader acme-logs.s3.amazonaws.com TLSv1.2 arn:aws:s3:us-west-1:1:accesspoint/ap Yes us-east-1`
)

// Lines as S3 writes them, as clients forge them, and as they break. Names are Panther's.
func TestAccessLine(t *testing.T) {
	line := func(request, agent string) string {
		return head + ` ` + request + ` 200 - 113 48211 7 6 "-" ` + agent + tail
	}
	names := []string{"bucketowner", "bucket", "remoteip", "requester", "requestid", "operation", "key", "requesturi", "httpstatus", "bytessent", "referrer", "useragent", "hostid", "hostheader", "tlsVersion", "aclrequired", "sourceregion"}
	first := []string{"bucketowner=owner", "bucket=acme-logs", "remoteip=203.0.113.7", "requestid=3E57427F3EXAMPLE", "operation=REST.GET.OBJECT", "key=a%2520b.log"}
	rest := func(request, agent string) []string {
		return append(slices.Clone(first), "requesturi="+request, "httpstatus=200", "bytessent=113", "useragent="+agent,
			"hostid=hostid=", "hostheader=acme-logs.s3.amazonaws.com", "tlsVersion=TLSv1.2", "aclrequired=Yes", "sourceregion=us-east-1")
	}
	for _, test := range []struct {
		name, line string
		want       []string
		degraded   bool
	}{
		{"whole", line(`"GET /a HTTP/1.1"`, `"curl/8"`), rest("GET /a HTTP/1.1", "curl/8"), false},
		{"bare dashes", head + ` - 200 - 113 - 7 - - - -`, append(slices.Clone(first), "httpstatus=200", "bytessent=113"), false},
		{"quoted dashes", head + ` "-" 200 - 113 - 7 - "-" "-" -`, append(slices.Clone(first), "httpstatus=200", "bytessent=113"), false},
		{"as of 2006, 18 fields", head + ` "GET /a HTTP/1.1" 200 - 113 - 7 - "-" "curl/8" -`, append(slices.Clone(first), "requesturi=GET /a HTTP/1.1", "httpstatus=200", "bytessent=113", "useragent=curl/8"), false},
		{"as of some day, 29 fields", line(`"GET /a HTTP/1.1"`, `"curl/8"`) + " new newer", rest("GET /a HTTP/1.1", "curl/8"), false},
		{"user agent ends in a quote", line(`"GET /a HTTP/1.1"`, `"evil""`), rest("GET /a HTTP/1.1", `evil"`), false},
		{"user agent of quotes", line(`"GET /a HTTP/1.1"`, `"a" "b" - "c""`), rest("GET /a HTTP/1.1", `a" "b" - "c"`), false},
		{"user agent of a quote", line(`"GET /a HTTP/1.1"`, `"""`), rest("GET /a HTTP/1.1", `"`), false},
		{"request of quotes", line(`"GET /a?x="y" HTTP/1.1"`, `"curl/8"`), rest(`GET /a?x="y" HTTP/1.1`, "curl/8"), false},
		{"request like the next fields", line(`"GET /a" 200 x HTTP/1.1"`, `"curl/8"`), rest(`GET /a" 200 x HTTP/1.1`, "curl/8"), false},
		{"referrer of quotes", head + ` "GET /a HTTP/1.1" 200 - 113 48211 7 6 "http://"x/"" "curl/8"` + tail,
			slices.Insert(rest("GET /a HTTP/1.1", "curl/8"), 9, `referrer=http://"x/"`), false},
		{"no quote ends the user agent", head + ` "GET /a HTTP/1.1" 200 - 113 48211 7 6 "-" "curl/8`, append(slices.Clone(first), "requesturi=GET /a HTTP/1.1", "httpstatus=200", "bytessent=113"), true},
		{"no quote ends the request", head + ` "GET /a HTTP/1.1 200 - 113 48211 7 6`, first, true},
		{"nothing behind the key", head, first, true},
		{"garbage behind the key", head + ` some garbage`, first, true},
		{"forged fields in the user agent", line(`"GET /a HTTP/1.1"`, `"owner2 bucket2 [06/Feb/2026:00:00:38 +0000] 10.0.0.1 - R2 REST.GET.OBJECT k2 "GET / HTTP/1.1" 200 - 1 1 1 1 "-" "x"`),
			rest("GET /a HTTP/1.1", `owner2 bucket2 [06/Feb/2026:00:00:38 +0000] 10.0.0.1 - R2 REST.GET.OBJECT k2 "GET / HTTP/1.1" 200 - 1 1 1 1 "-" "x`), false},
		{"time that is none", strings.Replace(head, "Feb", "Fxb", 1), first, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := fieldsOf(t, Config{}, test.line, names...); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			NewDecoder(Config{}).Decode(Message{Value: []byte(test.line), Timestamp: now}, eventFunc(func(e *Event) {
				if e.Flags&Degraded != 0 != test.degraded {
					t.Errorf("flags are %v", e.Flags.Names())
				}
			}))
		})
	}
}

// Whatever a client puts behind field 8, the first eight fields stay what they are.
func FuzzAccessLineTail(f *testing.F) {
	for _, s := range []string{"", ` "GET / HTTP/1.1" 200 - 1 1 1 1 "-" "x" -`, `"`, `" "`, ` "" - - - - - - "" "" - - -`, " [06/Feb/2026:00:00:38 +0000] ", "\xff", ` "\" 200`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, tail string) {
		if strings.ContainsAny(tail, "\n") {
			return // S3 writes no line break into a line
		}
		var c columns
		if _, reason := c.parseLine([]byte(head + " " + tail)); reason != "" {
			t.Fatalf("%s: %q", reason, tail)
		}
		for i, want := range []string{"owner", "acme-logs", "[06/Feb/2026:00:00:38 +0000]", "203.0.113.7", "", "3E57427F3EXAMPLE", "REST.GET.OBJECT", "a%2520b.log"} {
			if string(c[i+1]) != want {
				t.Fatalf("field %d is %q with %q", i+1, c[i+1], tail)
			}
		}
	})
}

// What an access log becomes in ECS; a name without a value is absent.
func TestAccessLogToECS(t *testing.T) {
	line := func(status, code string) string {
		return head + ` "GET /a HTTP/1.1" ` + status + ` ` + code + ` 113 48211 7 6 "http://r/" "curl/8"` + tail
	}
	for _, test := range []struct{ record, want string }{
		{line("200", "-"), "event.provider=s3.amazonaws.com; event.action=REST.GET.OBJECT; event.outcome=success; event.code="},
		{line("403", "AccessDenied"), "event.outcome=failure; event.code=AccessDenied; http.response.status_code=403"},
		{line("404", "-"), "event.outcome=failure"},
		{line("304", "-"), "event.outcome=success"},
		{head, "event.outcome=unknown"},
		{line("200", "-"), "source.address=203.0.113.7; source.ip=203.0.113.7; client.address=203.0.113.7; client.ip=203.0.113.7; client.user.id="},
		{line("200", "-"), "event.module=aws; event.dataset=aws.s3access; data_stream.dataset=aws.s3access; event.kind=event; cloud.provider=aws"},
		{line("200", "-"), "user_agent.original=curl/8; http.request.referrer=http://r/; http.response.body.bytes=113; tls.version=TLSv1.2; tls.cipher=ECDHE; @timestamp=2026-02-06T00:00:38.000Z"},
		{`{"remoteip":"::ffff:10.0.0.1","requester":"svc:x"}`, "source.address=::ffff:10.0.0.1; source.ip=10.0.0.1; client.user.id=svc:x"},
		{`{"remoteip":"1.2.3.4.5","bucket":"b"}`, "remoteip=1.2.3.4.5; source.address=1.2.3.4.5; source.ip="},
		{`{"remoteip":"-","bucket":"b","operation":"O","httpstatus":200,"aclRequired":true}`, "remoteip=; source.address=; aws.s3access.bucket=b; httpstatus=200; aclrequired=true"},
		{`{"remoteip":null,"bucket":"b","operation":"O","key":""}`, "remoteip=; key="},
		{`{"remoteip":"1.2.3.4","key":"\u00e9\ud83d"}`, "key=é\uFFFD"},
	} {
		var names, want []string
		for pair := range strings.SplitSeq(test.want, "; ") {
			name, value, _ := strings.Cut(pair, "=")
			if names = append(names, name); value != "" {
				want = append(want, pair)
			}
		}
		if got := fieldsOf(t, Config{}, test.record, names...); !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", test.record, got, want)
		}
	}
	if got := fieldsOf(t, Config{Strict: true}, `{"remoteip":"::ffff:10.0.0.1"}`, "source.ip"); got[0] != "source.ip=::ffff:10.0.0.1" {
		t.Error("strict:", got)
	}
}

// A format that is given is taken at its word.
func TestFormat(t *testing.T) {
	small := `{"bucket":"b"}`
	for _, test := range []struct {
		format        Format
		record        string
		events, deads int
	}{
		{FormatAuto, small, 0, 1},
		{FormatS3Access, small, 1, 0},
		{FormatCloudTrail, small, 0, 1},
		{FormatAuto, `{"eventSource":"s3.amazonaws.com"}`, 0, 1},
		{FormatCloudTrail, `{"eventSource":"s3.amazonaws.com"}`, 1, 0},
		{FormatS3Access, anonymous, 0, 1},
		{FormatCloudTrail, accessLine, 0, 1},
		{FormatS3Access, accessLine, 1, 0},
		{FormatCloudTrail, anonymous, 1, 0},
	} {
		s := NewDecoder(Config{}).Decode(Message{Format: test.format, Value: []byte(test.record), Timestamp: now}, &nullSink{})
		if s.Events != test.events || s.Dead != test.deads {
			t.Errorf("format %d: %+v from %s", test.format, s, test.record)
		}
	}
}
