package stage

import (
	"fmt"
	"strings"
	"testing"

	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// cloudTrail is a record as S3 data events are, 1.6 KB. %s is the account: a caller without credentials is "anonymous".
const cloudTrail = `{"eventVersion":"1.11","userIdentity":{"type":"AWSAccount","principalId":"AIDAEXAMPLE","accountId":"%s"},` +
	`"eventTime":"2024-03-01T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-central-1",` +
	`"sourceIPAddress":"203.0.113.7","userAgent":"[Boto3/1.28.15 md/Botocore#1.31.15 ua/2.0 os/linux#5.10.186 md/arch#x86_64 lang/python#3.9.17]",` +
	`"requestParameters":{"bucketName":"acme-logs","Host":"acme-logs.s3.eu-central-1.amazonaws.com","key":"2024/03/01/part-00000-of-00128.parquet"},` +
	`"responseElements":null,"additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,` +
	`"AuthenticationMethod":"AuthHeader","x-amz-id-2":"PADDING","bytesTransferredOut":45123},"requestID":"4B2QXAMPLE0KX9Z1",` +
	`"eventID":"6f3c2e1a-1f5b-4f0e-9d8c-0a1b2c3d4e5f","readOnly":true,"resources":[{"type":"AWS::S3::Object",` +
	`"ARN":"arn:aws:s3:::acme-logs/2024/03/01/part-00000-of-00128.parquet"},{"accountId":"111122223333","type":"AWS::S3::Bucket",` +
	`"ARN":"arn:aws:s3:::acme-logs"}],"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"111122223333",` +
	`"sharedEventID":"PADDING","eventCategory":"Data","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256",` +
	`"clientProvidedHostHeader":"acme-logs.s3.eu-central-1.amazonaws.com"}}`

const accessLog = `79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be acme-logs [01/Mar/2024:10:00:00 +0000] %s ` +
	`arn:aws:iam::111122223333:user/reader 3E57427F3EXAMPLE REST.GET.OBJECT 2024/03/01/part-%05d.parquet "GET /acme-logs/2024/03/01/part.parquet HTTP/1.1" ` +
	`200 - 45123 45123 70 10 "-" "Boto3/1.28.15 md/Botocore#1.31.15 ua/2.0 os/linux#5.10.186" - s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234= ` +
	`SigV4 TLS_AES_128_GCM_SHA256 AuthHeader acme-logs.s3.eu-central-1.amazonaws.com TLSv1.3 - -`

func builtin(b *testing.B) *rules.Set {
	set, _, err := rules.Load(rules.LoadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return set
}

// One operation is one record; a transaction has 10,000.
func BenchmarkIngest(b *testing.B) {
	var lines []string
	for i := range 500 {
		lines = append(lines, fmt.Sprintf(accessLog, "203.0.113.7", i))
	}
	pad := func(account string) string {
		return strings.ReplaceAll(fmt.Sprintf(cloudTrail, account), "PADDING", strings.Repeat("x", 120))
	}
	for name, texts := range map[string][]string{
		"cloudtrail-other": {pad("444455556666")}, "cloudtrail-match": {pad("anonymous")},
		"s3access-other": {fmt.Sprintf(accessLog, "10.0.0.1", 1)}, "s3access-match": lines,
	} {
		b.Run(name, func(b *testing.B) {
			dead := 0
			in := NewIngest(builtin(b), IngestConfig{Dead: func(*schemas.Message, schemas.DeadLetter) { dead++ }})
			var values [][]byte
			size := 0
			for _, text := range texts {
				values = append(values, []byte(text))
				size += len(text)
			}
			b.SetBytes(int64(size / len(texts)))
			b.ReportAllocs()
			var bytes, records int
			for i := 0; b.Loop(); i++ {
				in.Message(schemas.Message{Value: values[i%len(values)], Topic: "t", Offset: int64(i), Timestamp: 1_709_290_000_000})
				if i%10_000 == 9_999 {
					if err := in.Flush(func(out Output) { bytes += len(out.Value); records++ }); err != nil {
						b.Fatal(err)
					}
				}
			}
			if dead > 0 {
				b.Fatal("dead letters")
			}
			b.ReportMetric(float64(bytes)/float64(b.N), "out-B/op")
		})
	}
}

func BenchmarkDetect(b *testing.B) {
	for _, addresses := range []int{100, 1 << 20} {
		b.Run(fmt.Sprint(addresses, "-terms"), func(b *testing.B) {
			var values [][]byte
			for i := range min(addresses, 50_000) {
				value, err := wire.AppendCandidate(nil, &wire.Candidate{
					Ruleset: make([]byte, 32), Rule: "aws-s3-unauthenticated-bucket-access-by-rare-source", Terms: []string{fmt.Sprint("203.0.113.", i)},
					Group: "aws-s3-unauthenticated-bucket-access-by-rare-source", History: 7 * 86_400_000, Count: 3, Policy: wire.Policy{Threshold: 1, CapCount: 100, CapPer: 300},
					First: wire.Match{Time: 1_709_290_000_000, EventID: "6f3c2e1a-1f5b-4f0e-9d8c-0a1b2c3d4e5f", Evidence: make([]byte, 800)},
				})
				if err != nil {
					b.Fatal(err)
				}
				values = append(values, value)
			}
			d, view := NewDetect(GroupConfig{}), NewOverlay(memory{})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := d.Record(view, 0, nil, values[i%len(values)], 0, texts); err != nil {
					b.Fatal(err)
				}
				if i%10_000 == 9_999 {
					if err := d.Flush(func(Output) {}); err != nil {
						b.Fatal(err)
					}
					view.Reset()
				}
			}
		})
	}
}

func BenchmarkGroup(b *testing.B) {
	for _, entries := range []int{1, 100} {
		b.Run(fmt.Sprint(entries, "-entries"), func(b *testing.B) {
			var values [][]byte
			for g := range 1000 {
				f := &wire.Finding{Ruleset: make([]byte, 32), Rule: "rule", Group: fmt.Sprint("bucket-", g), Policy: wire.Policy{Period: 3600, Threshold: 1}}
				for i := range entries {
					f.Entries = append(f.Entries, wire.Entry{
						Match:    wire.Match{Time: 1_709_290_000_000 + int64(i)*1000, EventID: "id", Evidence: make([]byte, 800)},
						Counters: []wire.Counter{{Attribute: "key", Value: fmt.Sprint(i), Count: 1}, {Attribute: "remoteip", Value: "203.0.113.7", Count: 1}},
					})
				}
				value, err := wire.AppendFinding(nil, f)
				if err != nil {
					b.Fatal(err)
				}
				values = append(values, value)
			}
			g, view := NewGroup(GroupConfig{}), NewOverlay(nil)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := g.Record(view, 0, nil, values[i%len(values)], 1_709_290_000_000, texts); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGroupAlerts has windows open and close: one operation is a record of 25 matches in one or more entries, later
// than the window of its group, so it makes an alert and an update.
func BenchmarkGroupAlerts(b *testing.B) {
	set := builtin(b)
	lookup := func(_ []byte, id string) (*alert.Rule, error) { return set.Rule(id).Info(), nil }
	const now = 1_712_000_000_000
	for _, entries := range []int{1, 5, 25} {
		b.Run(fmt.Sprint(entries, "-entries"), func(b *testing.B) {
			in := NewIngest(set, IngestConfig{Dead: func(*schemas.Message, schemas.DeadLetter) { b.Fatal("dead letter") }})
			var values [][]byte
			for day := range 28 {
				for i := range 25 * 100 {
					line := fmt.Sprintf(accessLog, fmt.Sprint("203.0.113.", i%7), i)
					line = strings.Replace(line, "01/Mar/2024:10:00:00", fmt.Sprintf("%02d/Mar/2024:10:00:%02d", 1+day, i/100*entries/25), 1)
					line = strings.ReplaceAll(line, "acme-logs", fmt.Sprint("acme-", i%100))
					in.Message(schemas.Message{Value: []byte(line), Topic: "t", Offset: int64(i), Timestamp: now})
				}
				if err := in.Flush(func(out Output) { values = append(values, out.Value) }); err != nil {
					b.Fatal(err)
				}
			}
			var g *Group
			var view *Overlay
			size := 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(values) == 0 {
					g, view = NewGroup(GroupConfig{}), NewOverlay(nil)
				}
				outputs, err := g.Record(view, 0, nil, values[i%len(values)], now, lookup)
				if err != nil {
					b.Fatal(err)
				}
				for _, out := range outputs {
					size += len(out.Value)
				}
			}
			b.ReportMetric(float64(size)/float64(b.N), "out-B/op")
		})
	}
}
