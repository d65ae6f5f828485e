package kql

import (
	"errors"
	"strings"
	"testing"

	"firstseen/schemas"
)

// each is a schemas.Sink that takes events only.
type each struct {
	testing.TB
	event func(*schemas.Event)
}

func (s each) Event(e *schemas.Event) { s.event(e) }
func (s each) Dead(d schemas.DeadLetter) {
	s.Fatalf("dead letter: %s %s: %s", d.Reason, d.Detail, d.Value)
}

// withEvent decodes one record and calls f with it.
func withEvent(t testing.TB, layout *schemas.Layout, record string, f func(*schemas.Event)) {
	t.Helper()
	d := schemas.NewDecoder(schemas.Config{Layout: layout})
	stats := d.Decode(schemas.Message{Value: []byte(record), Timestamp: 1_800_000_000_000}, each{t, f})
	if stats.Events != 1 {
		t.Fatalf("%d events in %s", stats.Events, record)
	}
}

func mustCompile(t testing.TB, query string) (*Matcher, *schemas.Layout) {
	t.Helper()
	e := mustParse(t, query)
	layout := schemas.NewLayout(Fields(e))
	m, err := Compile(e, layout)
	if err != nil {
		t.Fatalf("Compile(%s): %v", query, err)
	}
	return m, layout
}

func matches(t testing.TB, query, record string) (ok bool) {
	t.Helper()
	m, layout := mustCompile(t, query)
	withEvent(t, layout, record, func(e *schemas.Event) { ok = m.Match(e) })
	return ok
}

const trailRecord = `{"eventVersion":"1.11","userIdentity":{"type":"AWSAccount","principalId":"","accountId":"anonymous",` +
	`"sessionContext":{"attributes":{"creationDate":"2026-03-05T09:00:00+01:00"}}},` +
	`"eventTime":"2026-03-05T10:20:30Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1",` +
	`"sourceIPAddress":"203.0.113.7","userAgent":"[Mozilla/5.0 \"x\"]","requestParameters":{"bucketName":"acme-logs",` +
	`"key":"a b/c*.txt","maxKeys":1000,"ratio":2.5,"depth":"1000","tags":["red","green"],` +
	`"rules":[{"id":"r1","on":[{"k":"a","v":"1"},{"k":"b"}]},{"id":"r2","on":[{"k":"a","v":"2"}]},{"id":"r3"}],` + `"ok":false},"responseElements":null,` +
	`"requestID":"RQ1","eventID":"11111111-2222-3333-4444-555555555555","readOnly":true,"resources":[` +
	`{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::acme-logs/a b/c*.txt"},` +
	`{"accountId":"111122223333","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::acme-logs"}],` +
	`"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"111122223333","eventCategory":"Data"}`

const accessLine = `79a59df900b949e5 awsexamplebucket1 [06/Feb/2026:00:00:38 +0000] 2001:db8::7 - 3E57427F3EXAMPLE ` +
	`REST.GET.OBJECT photos/2026/puppy.jpg "GET /awsexamplebucket1/photos/2026/puppy.jpg HTTP/1.1" 200 - 113 1130 70 10 "-" "curl/8.0" - ` +
	`s9lzHYrFp76ZVxRc= SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader awsexamplebucket1.s3.amazonaws.com TLSv1.2 - -`

func TestWhatMatches(t *testing.T) {
	const (
		params  = "aws.cloudtrail.flattened.request_parameters."
		session = "aws.cloudtrail.user_identity.session_context."
	)
	for _, c := range []struct {
		record, query string
		want          bool
	}{
		// Keyword: the whole value, byte for byte.
		{trailRecord, `event.action: GetObject`, true},
		{trailRecord, `event.action: getobject`, false},
		{trailRecord, `event.action: Get`, false},
		{trailRecord, `event.action: "GetObject "`, false},
		{trailRecord, params + `key: a b/c\*.txt`, true},
		{trailRecord, params + `key: "a b/c*.txt"`, true},
		{trailRecord, params + `key: "a b/*"`, false},
		{trailRecord, `user_agent.original: "[Mozilla/5.0 \"x\"]"`, true},
		{trailRecord, `not event.action: GetObject`, false},
		{trailRecord, `user.name: x`, false},
		{trailRecord, `not user.name: x`, true},

		// Wildcards fit the whole value.
		{trailRecord, `event.action: Get*`, true},
		{trailRecord, `event.action: *Object`, true},
		{trailRecord, `event.action: G*t*O*t`, true},
		{trailRecord, `event.action: GetObject*`, true},
		{trailRecord, `event.action: GetObjec*tt`, false},
		{trailRecord, `event.action: *etObj`, false},
		{trailRecord, `event.action: g*`, false},
		{trailRecord, params + `key: a*b/c\**`, true},
		{trailRecord, `event.action: GetObj*Object`, false},
		{trailRecord, `event.action: *t*t`, true},
		{trailRecord, `event.action: *t*t*t`, false},

		// Exists.
		{trailRecord, `event.action: *`, true},
		{trailRecord, `user.id: *`, false},
		{trailRecord, `not user.id: *`, true},
		{trailRecord, `@timestamp: *`, true},
		{trailRecord, ``, true},

		// Several values: one is enough, and and may be satisfied by two.
		{trailRecord, params + `tags: green`, true},
		{trailRecord, params + `tags: (red and green)`, true},
		{trailRecord, params + `tags: (red and not green)`, false},
		{trailRecord, params + `tags: (blue or red)`, true},
		{trailRecord, `event.action: (a or b or c or d or e or f or g or h or i or GetObject)`, true},
		{trailRecord, `event.action: (a or b or c or d or e or f or g or h or i or j or k)`, false},
		{trailRecord, `event.action: (a or b or Get*)`, true},

		// Addresses.
		{trailRecord, `source.ip: 203.0.113.7`, true},
		{trailRecord, `source.ip: "::ffff:203.0.113.7"`, true},
		{trailRecord, `source.ip: 203.0.113.0/24`, true},
		{trailRecord, `source.ip: 203.0.113.8/29`, false},
		{trailRecord, `source.ip: (10.0.0.0/8 or 203.0.113.0/29 or "2001:db8::/32")`, true},
		{trailRecord, `source.ip: (203.0.113.0/30 or 203.0.113.0/24)`, true},
		{trailRecord, `source.ip: "::ffff:203.0.113.0/120"`, true},
		{trailRecord, `source.ip >= 203.0.113.0 and source.ip < 203.0.113.8`, true},
		{trailRecord, `source.ip > 203.0.113.7`, false},
		{trailRecord, `source.address: 203.0.113.0/24`, false},
		{accessLine, `source.ip: "2001:0DB8:0:0::7"`, true},
		{accessLine, `source.ip: "2001:db8::/32"`, true},
		{accessLine, `source.ip: 0.0.0.0/0`, false},
		{accessLine, `remoteip: ("10.0.0.0/8" or "2001:db8::/64")`, true},

		// Numbers.
		{accessLine, `http.response.status_code: 200`, true},
		{accessLine, `httpstatus: 200.0`, true},
		{accessLine, `httpstatus: 2*`, true},
		{accessLine, `httpstatus: (404 or 500)`, false},
		{accessLine, `httpstatus >= 200 and httpstatus < 201`, true},
		{accessLine, `httpstatus > 200 or httpstatus < 200`, false},
		{accessLine, `aws.s3access.bytes_sent > 99`, true},
		{accessLine, `objectsize <= 1130 and not objectsize < 1130`, true},

		// Ranges of keyword fields: numbers with numbers, else text.
		{trailRecord, params + `maxKeys > 99`, true},
		{trailRecord, params + `maxKeys < 99`, false},
		{trailRecord, params + `ratio >= 2.5`, true},
		{trailRecord, params + `depth > 99`, false},
		{trailRecord, params + `maxKeys: 1000`, true},
		{trailRecord, params + `maxKeys: 1000.0`, false},
		{trailRecord, `event.action >= GetA and event.action < GetP`, true},

		// Booleans.
		{trailRecord, `aws.cloudtrail.read_only: true`, true},
		{trailRecord, `aws.cloudtrail.management_event: (true)`, false},
		{trailRecord, params + `ok: false`, true},

		// Dates: a part is all of its time.
		{trailRecord, `@timestamp: 2026`, true},
		{trailRecord, `@timestamp: "2026-03"`, true},
		{trailRecord, `@timestamp: "2026-03-05T10:20:30Z"`, true},
		{trailRecord, `@timestamp: "2026-03-05T11:20:30+01:00"`, true},
		{trailRecord, `@timestamp: "2026-03-05T10:20:29Z"`, false},
		{trailRecord, `@timestamp: "2026-03-05T10:20:29.999Z"`, false},
		{trailRecord, `@timestamp: "2026-03-05T10:20:30.001Z"`, false},
		{trailRecord, `@timestamp: (2025 or "2026-03-05T10")`, true},
		{trailRecord, `@timestamp > "2026-03"`, false},
		{trailRecord, `@timestamp >= "2026-03" and @timestamp <= "2026-03-05"`, true},
		{trailRecord, `@timestamp < "2026-03-05T10:20"`, false},
		{trailRecord, `@timestamp: 1772706030000`, true},
		{trailRecord, session + `creation_date < "2026-03-05T08:00:00.001Z"`, true},
		{trailRecord, session + `creation_date: (2025 or "2026-03-05T09")`, false},

		// Field names with wildcards, and values without a field.
		{trailRecord, params + `*: green`, true},
		{trailRecord, `aws.cloudtrail.*.tags: green`, true},
		{trailRecord, `user.*: *`, false},
		{trailRecord, `anonymous`, true},
		{trailRecord, `Anonymous`, false},
		{trailRecord, `*mous`, true},
		{trailRecord, `source.*: 203.0.113.0/24`, true},
		{trailRecord, `not nobody and not source.*: 203.0.112.0/24`, true},

		// Nested: one element has to satisfy all of it.
		{trailRecord, `aws.cloudtrail.resources.type: "AWS::S3::Object" and aws.cloudtrail.resources.account_id: *`, true},
		{trailRecord, `aws.cloudtrail.resources:{ type: "AWS::S3::Object" and account_id: * }`, false},
		{trailRecord, `aws.cloudtrail.resources:{ type: "AWS::S3::Bucket" and arn: *acme-logs }`, true},
		{trailRecord, `aws.cloudtrail.resources:{ not type: "AWS::S3::Object" }`, true},
		{trailRecord, `aws.cloudtrail.resources:{ not account_id: * }`, true},
		{trailRecord, `aws.cloudtrail.resources:{ not type: * }`, false},
		{accessLine, `aws.cloudtrail.resources:{ not type: * }`, false},
		{accessLine, `not aws.cloudtrail.resources:{ type: * }`, true},
		{trailRecord, params + `rules:{ id: r2 and on:{ k: a and v: 2 } }`, true},
		{trailRecord, strings.TrimSuffix(params, ".") + `:{ *: r2 and *: green }`, true}, // elements are told apart by index
		{trailRecord, params + `rules:{ id: r1 and on:{ k: a and v: 2 } }`, false},
		{trailRecord, params + `rules:{ id: r1 and on:{ not v: 2 } }`, true},
		{trailRecord, params + `rules:{ id: r3 and on:{ not v: 2 } }`, false},
		{trailRecord, params + `rules:{ id: r3 and not on:{ v: 2 } }`, true},

		// Panther's names are the same fields.
		{accessLine, `bucket: awsexamplebucket1 and aws.s3access.bucket: awsexamplebucket1`, true},
		{accessLine, `operation: REST.GET.* and not requester: *`, true},
		{trailRecord, `bucket: *`, false},
	} {
		if got := matches(t, c.query, c.record); got != c.want {
			t.Errorf("%s: %v, want %v\n%s", c.query, got, c.want, c.record)
		}
	}
}

func TestTypesRefuseOtherLiterals(t *testing.T) {
	for _, c := range []struct {
		query      string
		offset     int
		message    string
		suggestion string
	}{
		{`event.action: x and source.ip: 10.*`, 31, "no wildcards", "10.0.0.0/8"},
		{`source.ip: 10.0.0.0/33`, 11, "no CIDR block", ""},
		{`source.ip: (10.0.0.1 or host)`, 24, "neither an IP address", ""},
		{`httpstatus: (200 or ok)`, 20, "is a number", ""},
		{`httpstatus > high`, 13, "is a number", ""},
		{`aws.cloudtrail.read_only: yes`, 26, "is a boolean", "true or false"},
		{`@timestamp > now-7d`, 13, "date arithmetic", ""},
		{`@timestamp: 2026-*`, 12, "no wildcards", "2026-01"},
		{`@timestamp: yesterday`, 12, "no date", "2026-01-31"},
	} {
		e := mustParse(t, c.query)
		_, err := Compile(e, schemas.NewLayout(Fields(e)))
		var refused *Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v, want an *Error", c.query, err)
		} else if refused.Offset != c.offset || !strings.Contains(refused.Message, c.message) || !strings.Contains(refused.Suggestion, c.suggestion) {
			t.Errorf("%s: at %d: %v; want at %d: %s (%s)", c.query, refused.Offset, refused, c.offset, c.message, c.suggestion)
		}
	}
}

func TestCompileNeedsTheFieldsInTheLayout(t *testing.T) {
	e := mustParse(t, `event.action: x and unheard.of: 1`)
	if _, err := Compile(e, schemas.NewLayout(nil)); err == nil || !strings.Contains(err.Error(), "unheard.of") {
		t.Errorf("Compile: %v, want an error about unheard.of", err)
	}
}

func TestExplain(t *testing.T) {
	m, layout := mustCompile(t, `event.action: (PutObject or Get*) and not aws.cloudtrail.resources:{ type: "AWS::S3::Bucket" }`)
	want := []Condition{
		{`event.action: "PutObject"`, 15, false},
		{`event.action: Get*`, 28, true},
		{`aws.cloudtrail.resources.type: "AWS::S3::Bucket"`, 75, true},
	}
	withEvent(t, layout, trailRecord, func(e *schemas.Event) {
		got := m.Explain(e)
		if len(got) != len(want) {
			t.Fatalf("Explain: %v", got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("condition %d: %v, want %v", i, got[i], want[i])
			}
		}
	})
}
