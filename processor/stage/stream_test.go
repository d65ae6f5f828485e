package stage

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"pgregory.net/rapid"

	"firstseen/rules/allowlist"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// streamRules are rules of every kind, on both datasets. Nearly all have words that the filter can look for.
func streamRules() []*rulefile.Rule {
	trail := func(id, query string, change func(*rulefile.Rule)) *rulefile.Rule {
		r := &rulefile.Rule{
			ID: id, Name: id, Version: "1", Dataset: "aws.cloudtrail", Query: query, Threshold: 1, Mode: rulefile.Active,
			Title: "{event.action} of {source.address}", Severity: "low", SummaryAttributes: []string{"event.action", "user_agent.original"},
		}
		change(r)
		return r
	}
	access := func(id, query string, change func(*rulefile.Rule)) *rulefile.Rule {
		r := trail(id, query, change)
		r.Dataset, r.Title, r.SummaryAttributes = "aws.s3access", "Access to {bucket}", []string{"key", "remoteip"}
		return r
	}
	terms := func(fields ...string) func(*rulefile.Rule) {
		return func(r *rulefile.Rule) { r.NewTerms = &rulefile.NewTerms{Fields: fields, History: 60_000} }
	}
	windows := func(threshold int64, by ...string) func(*rulefile.Rule) {
		return func(r *rulefile.Rule) {
			r.Dedup, r.Threshold = &rulefile.Dedup{By: by, Period: 30_000}, threshold
		}
	}
	const flat = "aws.cloudtrail.flattened.request_parameters."
	return []*rulefile.Rule{
		trail("anonymous", `event.provider: "s3.amazonaws.com" and event.action: ("GetObject" or "PutObject") and cloud.account.id: "anonymous"`, terms("source.address")),
		trail("anonymous-capped", `cloud.account.id: "anonymous"`, func(r *rulefile.Rule) {
			terms("source.address", flat+"bucketName")(r)
			r.MaxAlerts = &rulefile.MaxAlerts{Count: 2, Per: 60_000}
		}),
		trail("kali", `user_agent.original: *kali*`, func(*rulefile.Rule) {}),
		trail("denied", `event.action: "GetObject" and aws.cloudtrail.error_code: "AccessDenied"`, windows(3, "source.address")),
		trail("secret", flat+`key: (*/secret or "größe/x")`, windows(1, flat+"bucketName")),
		trail("resources", `aws.cloudtrail.resources.arn: *payroll*`, terms("aws.cloudtrail.resources.arn")),
		trail("network", `event.action: "PutObject"`, func(r *rulefile.Rule) { // an error where the address is none
			r.Allowlist = &rulefile.Allowlist{Field: "source.address", Networks: []allowlist.Entry{}}
		}),
		access("bucket", `aws.s3access.operation: "REST.GET.OBJECT"`, windows(1, "bucket")),
		access("object", `bucket: "payroll"`, windows(2, "key", "remoteip")),
		access("requester", `aws.s3access.requester: *`, terms("remoteip")),
	}
}

// drawStreamSet draws some of the rules.
func drawStreamSet(t *rapid.T) []*rulefile.Rule {
	all := rapid.Permutation(streamRules()).Draw(t, "rules")
	return all[:rapid.IntRange(1, len(all)).Draw(t, "number of rules")]
}

// drawEvent draws a record of either dataset, or something that is none.
func drawEvent(t *rapid.T, id int) string {
	pick := func(list ...string) string { return rapid.SampledFrom(list).Draw(t, "value") }
	quote := func(s string) string {
		b, _ := json.Marshal(s)
		switch rapid.IntRange(0, 11).Draw(t, "writer") {
		case 0:
			return strings.ReplaceAll(string(b), "/", `\/`)
		case 1:
			return strings.ReplaceAll(string(b), "e", `\u0065`)
		}
		return string(b)
	}
	at := time.Unix(epoch+rapid.Int64Range(0, 200).Draw(t, "second"), 0).UTC()
	source := pick("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:DB8:0::1", "::ffff:192.0.2.1", "10.0.0.256", "config.amazonaws.com", "")
	bucket, key := pick("logs", "payroll"), pick("a", "b/secret", "größe/x", `q"x`, strings.Repeat("long/", 300))
	switch rapid.IntRange(0, 9).Draw(t, "record") {
	case 0, 1, 2, 3, 4:
		members := []string{
			`"eventVersion":"1.11"`, `"eventTime":"` + at.Format(time.RFC3339) + `"`, `"eventName":` + quote(pick("GetObject", "PutObject", "Get")),
			`"eventSource":` + quote(pick("s3.amazonaws.com", "sts.amazonaws.com")), `"sourceIPAddress":` + quote(source), fmt.Sprintf(`"eventID":"e%d"`, id),
			`"userIdentity":{"type":"AWSAccount","accountId":` + quote(pick("anonymous", "111122223333")) + `}`, `"userAgent":` + quote(pick("kali/2024", "aws-cli")),
			`"requestParameters":{"bucketName":` + quote(bucket) + `,"key":[` + quote(key) + `,{"deep":[1,null,"}{"]}]}`,
			`"resources":[{"ARN":` + quote("arn:aws:s3:::"+bucket+"/"+key) + `},{"ARN":` + quote("arn:aws:s3:::payroll") + `,"accountId":"111122223333"}]`,
			pick(`"errorCode":"AccessDenied"`, `"errorCode":""`, `"errorMessage":null`, `"readOnly":true`, `"managementEvent":false`),
		}
		members = append(members[:1:1], rapid.SliceOfNDistinct(rapid.SampledFrom(members[1:]), 6, 10, rapid.ID).Draw(t, "members")...)
		return "{" + strings.Join(members, pick(",", ",", ",", ",\n ")) + "}"
	case 5, 6:
		line := fmt.Sprintf(accessLog, source, id)
		line = strings.Replace(line, "01/Mar/2024:10:00:00", at.Format("02/Jan/2006:15:04:05"), 1)
		return strings.Replace(strings.Replace(line, " acme-logs ", " "+bucket+" ", 1), "3E57427F3EXAMPLE", fmt.Sprint("R", id), 1)
	case 7:
		return string(request{at.Unix() - epoch, bucket, key, source}.message(id).Value)
	}
	return pick(`{"unknown":1}`, `{"eventVersion":"1.07","insightDetails":{}}`, "null", "", "no log line at all", `{"eventName":"GetObject","eventSource":`, `["x",12]`,
		`{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"x"}]}`, `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"logs"}`)
}

// drawValue draws a message: records in envelopes, now and then damaged.
func drawValue(t *rapid.T, id int) []byte {
	var records []string
	for i := range rapid.SampledFrom([]int{1, 1, 1, 2, 5}).Draw(t, "records") {
		records = append(records, drawEvent(t, 10*id+i))
	}
	text := strings.Join(records, "\n")
	quote := func() string { b, _ := json.Marshal(text); return string(b) }
	for range rapid.SampledFrom([]int{0, 0, 1, 1, 2}).Draw(t, "envelopes") {
		switch rapid.IntRange(0, 9).Draw(t, "envelope") {
		case 0:
			text = `{"Records":[` + strings.Join(strings.Split(text, "\n"), ",") + `]}`
		case 1:
			text = "[" + text + ",\n" + text + "]"
		case 2:
			text = `{"eventVersion":"1","detail-type":"AWS API Call via CloudTrail","detail":` + text + `}`
		case 3:
			text = `{"` + rapid.SampledFrom([]string{"message", "log"}).Draw(t, "shipper") + `":` + quote() + `}`
		case 4:
			text = `{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":` + quote() + `},{"message":` + quote() + `}]}`
		case 5:
			text = `{"schema":{"type":"bytes"},"payload":"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"}`
		case 6:
			text = quote()
		case 7:
			text = "2024-03-01T10:00:00.000Z host " + text
		case 8:
			text = "\xef\xbb\xbf" + text + text
		case 9:
			text = squeezed(text)
		}
	}
	if len(text) > 0 && rapid.IntRange(0, 4).Draw(t, "damaged") == 0 {
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		switch rapid.IntRange(0, 3).Draw(t, "damage") {
		case 0:
			text = text[:at]
		case 1:
			text = text[at:]
		case 2:
			text = text[:at] + rapid.SampledFrom([]string{`"`, "}", "{", "]", "\\", "\n", "\xff", ",", "{\"eventVersion\":\"1\","}).Draw(t, "put in") + text[at:]
		case 3:
			text = text[:at] + text[min(len(text), at+rapid.IntRange(1, 30).Draw(t, "left out")):]
		}
	}
	return []byte(text)
}

func squeezed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

// drawStream draws the messages of a topic.
func drawStream(t *rapid.T) (messages []schemas.Message) {
	for i := range rapid.IntRange(1, 25).Draw(t, "messages") {
		messages = append(messages, streamMessage(drawValue(t, i), i))
	}
	return messages
}

func streamMessage(value []byte, i int) schemas.Message {
	return schemas.Message{Value: value, Topic: "logs", Offset: int64(i), Timestamp: (epoch + 1000) * 1000}
}
