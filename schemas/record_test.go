package schemas

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fieldsOf decodes one record and returns the named fields, as name=value.
func fieldsOf(t *testing.T, cfg Config, record string, names ...string) []string {
	t.Helper()
	var got []string
	cfg.Layout = NewLayout(names)
	s := NewDecoder(cfg).Decode(Message{Value: []byte(record), Timestamp: now}, eventFunc(func(e *Event) {
		for _, name := range names {
			slot, ok := cfg.Layout.Slot(name)
			if !ok {
				t.Errorf("%s has no slot", name)
			}
			if v := e.Values(slot); len(v) > 0 {
				got = append(got, name+"="+render(v))
			}
		}
	}))
	if s.Events != 1 {
		t.Fatalf("%+v from %s", s, record)
	}
	return got
}

type eventFunc func(*Event)

func (f eventFunc) Event(e *Event)  { f(e) }
func (f eventFunc) Dead(DeadLetter) {}

// What a CloudTrail record becomes in ECS, row by row; a name without a value is absent.
func TestCloudTrailToECS(t *testing.T) {
	record := func(members string) string {
		return `{"eventVersion":"1.11","eventTime":"2026-03-10T12:10:14Z","eventSource":"s3.amazonaws.com","eventName":"GetObject",` + members + `}`
	}
	const mfa = "aws.cloudtrail.console_login.additional_eventdata.mfa_used"
	user := func(members string) string { return record(`"userIdentity":{` + members + `}`) }
	for _, test := range []struct {
		record string
		want   string
	}{
		{record(`"eventID":"b0ab3ce6"`), "@timestamp=2026-03-10T12:10:14.000Z; event.id=b0ab3ce6; event.provider=s3.amazonaws.com; event.action=GetObject; event.outcome=success"},
		{record(`"eventID":""`), "event.id=; event.outcome=success"},
		{record(`"errorCode":"AccessDenied","errorMessage":"Access Denied"`), "event.outcome=failure; aws.cloudtrail.error_code=AccessDenied; aws.cloudtrail.error_message=Access Denied"},
		{record(`"errorCode":"x"`), "event.outcome=failure"},
		{record(`"errorMessage":"x"`), "event.outcome=failure"},
		{record(`"errorCode":"","errorMessage":null`), "event.outcome=success"},
		{record(`"eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"}`), "event.action=ConsoleLogin; event.outcome=failure; aws.cloudtrail.response_elements={ConsoleLogin=Failure}"},
		{record(`"responseElements":{"ConsoleLogin":"Failure"}`), "event.outcome=success"},
		{record(`"eventName":"ConsoleLogin","additionalEventData":{"MFAUsed":"Yes"}`), mfa + "=true"},
		{record(`"eventName":"ConsoleLogin","additionalEventData":{"MFAUsed":"No"}`), mfa + "=false"},
		{record(`"eventName":"ConsoleLogin","additionalEventData":{"MFAUsed":"Maybe"}`), mfa + "="},
		{record(`"additionalEventData":{"MFAUsed":"Yes"}`), mfa + "="},
		{record(`"sessionCredentialFromConsole":"true"`), "aws.cloudtrail.session_credential_from_console=true"},
		{record(`"sourceIPAddress":"203.0.113.7"`), "source.address=203.0.113.7; source.ip=203.0.113.7"},
		{record(`"sourceIPAddress":"2001:DB8:0::1"`), "source.address=2001:DB8:0::1; source.ip=2001:db8::1"},
		{record(`"sourceIPAddress":"::ffff:203.0.113.7"`), "source.address=::ffff:203.0.113.7; source.ip=203.0.113.7"},
		{record(`"sourceIPAddress":"fe80::1%eth0"`), "source.address=fe80::1%eth0; source.ip=fe80::1"},
		{record(`"sourceIPAddress":"AWS Internal"`), "source.address=AWS Internal; source.ip="},
		{record(`"sourceIPAddress":"delivery.logs.amazonaws.com"`), "source.address=delivery.logs.amazonaws.com; source.ip="},
		{record(`"sourceIPAddress":"81.2.69.142, 192.168.10.10"`), "source.address=81.2.69.142, 192.168.10.10; source.ip="},
		{record(`"sourceIPAddress":""`), "source.address=; source.ip=; aws.cloudtrail.request_parameters="},
		{user(`"type":"AWSAccount","principalId":"","accountId":"anonymous"`), "aws.cloudtrail.user_identity.type=AWSAccount; cloud.account.id=anonymous; user.id=; user.name="},
		{user(`"type":"IAMUser","principalId":"AIDA","arn":"arn:u","accountId":"1","userName":"alice"`), "user.id=AIDA; user.name=alice; aws.cloudtrail.user_identity.type=IAMUser; aws.cloudtrail.user_identity.arn=arn:u"},
		{user(`"type":"AssumedRole","userName":"x","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA","arn":"arn:r","accountId":"1","userName":"app"}}`), "user.name=app; aws.cloudtrail.user_identity.type=AssumedRole; aws.cloudtrail.user_identity.session_context.session_issuer.user_name=app; aws.cloudtrail.user_identity.session_context.session_issuer.principal_id=AROA"},
		{record(`"awsRegion":"us-east-1","userAgent":"[curl]"`), "cloud.region=us-east-1; user_agent.original=[curl]"},
		{record(`"recipientAccountId":"1","requestID":"R","eventType":"AwsApiCall","managementEvent":false,"readOnly":true,"eventCategory":"Data"`), "aws.cloudtrail.recipient_account_id=1; aws.cloudtrail.request_id=R; aws.cloudtrail.event_type=AwsApiCall; aws.cloudtrail.management_event=false; aws.cloudtrail.read_only=true; aws.cloudtrail.event_category=Data"},
		{record(`"tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"C","clientProvidedHostHeader":"h"}`), "tls.version=TLSv1.3; tls.cipher=C; tls.client.server_name=h"},
		{record(`"requestParameters":{"bucketName":"b","empty":"","none":null,"key":"k"}`), "aws.cloudtrail.request_parameters={bucketName=b, key=k}; aws.cloudtrail.flattened.request_parameters.bucketName=b"},
		{record(`"requestParameters":{"a":"","b":{"c":[null,""]}}`), "source.address=; source.ip=; aws.cloudtrail.request_parameters="},
		{record(`"requestParameters":{"n":1.50,"b":true,"l":[1,{"x":"y"},[],"\u00e9"]}`), "aws.cloudtrail.request_parameters={n=1.50, b=true, l=[1, {x=y}, é]}"},
		{record(`"requestParameters":{"Host":{"a.b":{"c":["x","y"]}}}`), "aws.cloudtrail.request_parameters={Host={a.b={c=[x, y]}}}; aws.cloudtrail.flattened.request_parameters.Host.a.b.c=x|y"},
		{record(`"resources":[{"ARN":"a1","type":"t1"},{"ARN":"a2","accountId":"2"}]`), "aws.cloudtrail.resources.arn=a1|a2; aws.cloudtrail.resources.type=t1; aws.cloudtrail.resources.account_id=2"},
		{record(`"x":1`), "event.module=aws; event.dataset=aws.cloudtrail; data_stream.dataset=aws.cloudtrail; event.kind=event; cloud.provider=aws"},
		{record(`"eventName":"a","eventName":"b"`), "event.action=b"},
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
}

// What a record does not have is absent, whatever the record before had.
func TestNothingIsLeftOver(t *testing.T) {
	layout := NewLayout([]string{"user.*", "aws.cloudtrail.request_parameters"})
	d := NewDecoder(Config{Layout: layout})
	wild, _ := layout.Slot("user.*")
	var got []string
	for _, record := range []string{
		`{"eventName":"A","eventTime":"x","userIdentity":{"userName":"alice","principalId":"P"},"requestParameters":{"a":"b"},"eventID":"E"}`,
		`{"eventName":"B","eventTime":"x"}`,
		`{"remoteip":"1.2.3.4","requestid":"R","operation":"O","key":"K"}`,
		`{"remoteip":"1.2.3.5","requestid":"S"}`,
		`{"remoteip":"1.2.3.6"}`,
	} {
		d.Decode(Message{Value: []byte(record), Timestamp: now}, eventFunc(func(e *Event) {
			evidence := Evidence(e.AppendEvidence(nil))
			got = append(got, strings.Join([]string{render(e.Values(wild)), render(e.Values(Slot(fRequestText))), string(e.ID()),
				string(evidence.Get("event.action")), string(evidence.Get("aws.cloudtrail.request_parameters")), string(evidence.Get("remoteip"))}, " "))
		}))
	}
	check(t, got, "P|alice {a=b} E A {a=b} ", "- -  B  ", "- - R:O:K O  1.2.3.4", "- - S::   1.2.3.5", "- -    1.2.3.6")
}

// A dot in a flattened name is a level or part of a key; a star is any characters; the name of a whole object is any of
// its values.
func TestFlattened(t *testing.T) {
	const root = "aws.cloudtrail.flattened.request_parameters"
	record := `{"eventName":"A","eventTime":"x","requestParameters":{"a.b":"1","a":{"b":"2","c":[{"d":"3"},{"d":4}]},"":"5","e":""},"responseElements":{"a":"6"}}`
	for name, want := range map[string]string{
		root + ".a.b":                         "1|2",
		root + ".a.c.d":                       "3|4",
		root + ".a.*":                         "1|2|3|4",
		root + ".*":                           "1|2|3|4|5",
		root:                                  "1|2|3|4|5",
		"aws.cloudtrail.flattened.*.a":        "6",
		"aws.cloudtrail.flattened.response_*": "6",
		root + ".e":                           "",
		root + ".z.*":                         "",
		"aws.*.action":                        "",
		"event.act*":                          "A",
		"*":                                   "",
	} {
		got := fieldsOf(t, Config{}, record, name)
		if name == "*" {
			if len(got) != 1 || !strings.Contains(got[0], "|6") || !strings.Contains(got[0], "aws.cloudtrail|") {
				t.Errorf("* is %s", got)
			}
			continue
		}
		if want != "" {
			want = name + "=" + want
		}
		if strings.Join(got, "") != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestElements(t *testing.T) {
	layout := NewLayout(nil)
	record := `{"eventName":"A","eventTime":"x","resources":[{"type":"t"},{"ARN":"a","type":"u"}]}`
	NewDecoder(Config{Layout: layout}).Decode(Message{Value: []byte(record), Timestamp: now}, eventFunc(func(e *Event) {
		arn, _ := layout.Slot("aws.cloudtrail.resources.arn")
		kind, _ := layout.Slot("aws.cloudtrail.resources.type")
		if got := fmt.Sprint(e.Values(arn)[0].Elem, e.Values(kind)[0].Elem, e.Values(kind)[1].Elem); got != "1 0 1" {
			t.Error(got)
		}
	}))
}

func TestIdentity(t *testing.T) {
	for record, want := range map[string]string{
		anonymous:  "b0ab3ce6-d364-4990-bb52-e3f52a6c6ee1",
		accessLine: "3E57427F3EXAMPLE:REST.GET.OBJECT:2026/03/10/access.log",
		`{"remoteip":"1.2.3.4","requestid":"R","operation":"O"}`: "R:O:",
		pantherJSON:                         "",
		`{"eventName":"A","eventTime":"x"}`: "",
	} {
		NewDecoder(Config{}).Decode(Message{Value: []byte(record), Timestamp: now}, eventFunc(func(e *Event) {
			if got := string(e.ID()); got != want || (e.ID() == nil) != (want == "") {
				t.Errorf("%s is %q, want %q", record, got, want)
			}
		}))
	}
}
