package schemas

import (
	"bytes"
	"fmt"
	"testing"
)

// Records as AWS writes them: 1.6 KB of CloudTrail, 500 bytes of access log.
const (
	assumedRole = `{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROA5JRZEXAMPLE:i-0f0e9ba2b8a1c7d11","arn":"arn:aws:sts::218007301253:assumed-role/app-server-role/i-0f0e9ba2b8a1c7d11","accountId":"218007301253","accessKeyId":"ASIA5JRZEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA5JRZEXAMPLE","arn":"arn:aws:iam::218007301253:role/app-server-role","accountId":"218007301253","userName":"app-server-role"},"attributes":{"creationDate":"2026-03-10T11:44:15Z","mfaAuthenticated":"false"},"ec2RoleDelivery":"2.0"}},"eventTime":"2026-03-10T12:10:14Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"us-east-1","sourceIPAddress":"10.20.30.40","userAgent":"[aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#amd64 api/s3#1.58.2]","requestParameters":{"bucketName":"acme-app-assets","Host":"acme-app-assets.s3.us-east-1.amazonaws.com","key":"static/2026/03/10/bundle-7f3a9c.js","x-id":"GetObject"},"responseElements":null,"additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234=","bytesTransferredOut":48211},"requestID":"3E57427F3EXAMPLE","eventID":"b0ab3ce6-d364-4990-bb52-e3f52a6c6ee1","readOnly":true,"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::acme-app-assets/static/2026/03/10/bundle-7f3a9c.js"},{"accountId":"218007301253","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::acme-app-assets"}],"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"218007301253","eventCategory":"Data","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"acme-app-assets.s3.us-east-1.amazonaws.com"}}`
	anonymous   = `{"eventVersion":"1.11","userIdentity":{"type":"AWSAccount","principalId":"","accountId":"anonymous"},"eventTime":"2026-03-10T12:10:14Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.7","userAgent":"[Boto3/1.17.40 Python/3.6.12 Linux/3.10.0-1160.6.1.el7.x86_64 Botocore/1.20.112]","requestParameters":{"bucketName":"acme-logs","Host":"acme-logs.s3.us-east-1.amazonaws.com","key":"2026/03/10/access.log"},"responseElements":null,"additionalEventData":{"CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"x-amz-id-2":"s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234=","bytesTransferredOut":48211},"requestID":"3E57427F3EXAMPLE","eventID":"b0ab3ce6-d364-4990-bb52-e3f52a6c6ee1","readOnly":true,"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::acme-logs/2026/03/10/access.log"},{"accountId":"218007301253","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::acme-logs"}],"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"218007301253","sharedEventID":"0cf7f3ac-33b3-4a25-9ab5-9ca5e5bf01d7","vpcEndpointId":"vpce-0a1b2c3d","eventCategory":"Data","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"acme-logs.s3.us-east-1.amazonaws.com"}}`
	accessLine  = `79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be acme-logs [06/Feb/2026:00:00:38 +0000] 203.0.113.7 - 3E57427F3EXAMPLE REST.GET.OBJECT 2026/03/10/access.log "GET /acme-logs/2026/03/10/access.log?versionId=null HTTP/1.1" 200 - 113 48211 7 6 "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/98.0.4758.102 Safari/537.36" - s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234= - TLS_AES_128_GCM_SHA256 - acme-logs.s3.us-east-1.amazonaws.com TLSv1.3 - -`
)

// elasticFilter is what the built-in rule on anonymous access needs literally.
var elasticFilter = map[Dataset]*Filter{CloudTrail: {Alternatives: []Alternative{{
	Field:   fAction,
	Values:  []string{"GetObject", "PutObject", "ListObjects", "DeleteObject", "ListBucket"},
	Clauses: [][]string{{"s3.amazonaws.com"}, {"AWSAccount", "Unknown"}, {"anonymous", "ANONYMOUS_PRINCIPAL"}},
}}}}

type nullSink struct{}

func (*nullSink) Event(*Event)    {}
func (*nullSink) Dead(DeadLetter) {}

// What the worker does for every record of a topic costs no allocation.
func TestAllocations(t *testing.T) {
	d := NewDecoder(Config{Layout: NewLayout([]string{"aws.cloudtrail.flattened.request_parameters.bucketName"}), Filters: elasticFilter})
	sink := &nullSink{}
	for name, value := range map[string]string{
		"filtered": assumedRole, "candidate": anonymous, "access line": accessLine, "Panther JSON": pantherJSON,
		"file": `{"Records":[` + assumedRole + "," + anonymous + "," + assumedRole + `]}`, "in a string": `{"message":` + quote(anonymous) + `}`,
	} {
		m := Message{Value: []byte(value), Timestamp: now}
		if n := testing.AllocsPerRun(100, func() { d.Decode(m, sink) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	records := func(record string, n int) string {
		return `{"Records":[` + string(bytes.Repeat([]byte(record+","), n-1)) + record + `]}`
	}
	management := string(bytes.ReplaceAll([]byte(assumedRole), []byte("s3.amazonaws.com"), []byte("ec2.amazonaws.com")))
	for _, bench := range []struct {
		name, value string
		records     int
	}{
		{"filtered", assumedRole, 1},
		{"filtered_other_service", management, 1},
		{"filtered_in_records", records(assumedRole, 100), 100},
		{"candidate", anonymous, 1},
		{"candidate_in_records", records(anonymous, 100), 100},
		{"access_line", accessLine, 1},
		{"access_lines", string(bytes.Repeat([]byte(accessLine+"\n"), 100)), 100},
	} {
		b.Run(bench.name, func(b *testing.B) {
			d := NewDecoder(Config{Layout: NewLayout([]string{"aws.cloudtrail.flattened.request_parameters.bucketName"}), Filters: elasticFilter})
			sink := &nullSink{}
			m := Message{Value: []byte(bench.value), Timestamp: 1773144614000 + 60_000}
			if s := d.Decode(m, sink); s.Dead > 0 || s.Records != bench.records {
				b.Fatal(fmt.Sprint(s))
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.value)))
			n := 0
			for b.Loop() {
				d.Decode(m, sink)
				n += bench.records
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
		})
	}
}
