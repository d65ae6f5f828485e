package alert

import (
	"strings"
	"testing"
	"unicode/utf8"

	"firstseen/schemas/wire"
)

// TestReason: one sentence that a person understands, for what was done and for why it is an alert.
func TestReason(t *testing.T) {
	want := map[string]string{
		"new-terms":       "203.0.113.7 read bucket acme-logs without credentials; this address was not seen in the 7 days before",
		"new-terms-again": "203.0.113.7 read bucket acme-logs without credentials; this address was not seen in the 7 days before, last at 2026-11-13T12:00:00Z",
		"allowlist":       "11.0.0.1 read bucket my-test-bucket; the address is outside every allowlisted network",
		"closed":          "11.0.0.1 read bucket my-test-bucket; the address is outside every allowlisted network; 17 matches until the window closed, the last at 2026-11-22T12:31:00Z",
		"overflow":        `rule "S3 bucket read without credentials by a new address" has reached its cap on alerts: 1 alert went to topic fs.suppressed instead; the first alert of the cap's window was about 203.0.113.7`,
		"threshold":       `config.amazonaws.com tried to call GetObject; that is what rule "Many denied reads" looks for; it happened 5 times within the window from 2026-11-22T11:59:00Z`,
	}
	for _, s := range samples(t) {
		if w := want[s.name]; w != "" && s.alert.Reason() != w {
			t.Errorf("%s: %s\nwant %s", s.name, s.alert.Reason(), w)
		}
	}
}

// TestDeed: the verb of each call, and what a caller tried.
func TestDeed(t *testing.T) {
	bucket := []string{"aws.cloudtrail.resources.arn", "arn:aws:s3:::b", "source.address", "AWS Internal"}
	for _, tt := range []struct{ action, outcome, want string }{
		{"GetObject", "success", "AWS Internal read bucket b"},
		{"ListObjects", "success", "AWS Internal listed bucket b"},
		{"PutObject", "success", "AWS Internal wrote to bucket b"},
		{"DeleteObject", "failure", "AWS Internal tried to delete from bucket b"},
		{"GetBucketAcl", "success", "AWS Internal called GetBucketAcl on bucket b"},
		{"GetBucketAcl", "failure", "AWS Internal tried to call GetBucketAcl on bucket b"},
		{"REST.GET.OBJECT", "failure", "AWS Internal tried to read bucket b"},
		{"WEBSITE.GET.OBJECT", "success", "AWS Internal read bucket b"},
		{"REST.GET.BUCKET", "success", "AWS Internal listed bucket b"},
		{"BATCH.DELETE.OBJECT", "success", "AWS Internal deleted from bucket b"},
		{"REST.GET.ACL", "success", "AWS Internal called REST.GET.ACL on bucket b"},
		{"", "success", "AWS Internal made a call on bucket b"},
	} {
		e := eventOf(t, append([]string{"event.action", tt.action, "event.outcome", tt.outcome}, bucket...)...)
		if got := string(appendDeed(nil, e)); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.action, tt.outcome, got, tt.want)
		}
	}
	for want, pairs := range map[string][]string{
		"a caller without an address made a call": nil,
		"192.0.2.1 read bucket b without credentials": {"event.action", "REST.GET.OBJECT", "client.address", "192.0.2.1",
			"aws.s3access.bucket", "b"},
		"192.0.2.1 read bucket b": {"event.action", "REST.GET.OBJECT", "source.address", "192.0.2.1",
			"aws.s3access.bucket", "b", "aws.s3access.requester", "svc:logs"},
		"192.0.2.1 called GetObject without credentials": {"event.action", "GetObject", "source.address", "192.0.2.1",
			"cloud.account.id", "ANONYMOUS_PRINCIPAL"},
	} {
		if got := string(appendDeed(nil, eventOf(t, pairs...))); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestNovelty: what the history can and cannot say.
func TestNovelty(t *testing.T) {
	m := &wire.Match{Time: noon}
	for _, tt := range []struct {
		fields []string
		n      NewTerms
		want   string
	}{
		{[]string{"source.address"}, NewTerms{nil, wire.NoTime, 7 * day, noon - 7*day}, "this address was not seen in the 7 days before"},
		{[]string{"source.address"}, NewTerms{nil, wire.NoTime, 7 * day, noon - 7*day + 1000}, "this address was not seen before, with a history that begins at 2026-11-15T12:00:01Z"},
		{[]string{"source.address"}, NewTerms{nil, wire.NoTime, 7 * day, wire.NoTime}, "this address was not seen before"},
		{[]string{"user.name"}, NewTerms{nil, noon - 3*day, day, noon - 9*day}, "this user.name was not seen in the 1 day before, last at 2026-11-19T12:00:00Z"},
		{[]string{"source.address", "aws.s3access.bucket"}, NewTerms{nil, wire.NoTime, day, noon - day}, "this combination of source.address and aws.s3access.bucket was not seen in the 1 day before"},
	} {
		a := &Alert{Match: m, NewTerms: &tt.n, Time: noon + day}
		if got := string(a.appendNovelty(nil, &Rule{Fields: tt.fields})); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
}

// TestObject: AWS writes the ARNs, the caller the key; so the bucket is taken from an ARN where there is one.
func TestObject(t *testing.T) {
	const parameters = "aws.cloudtrail.request_parameters"
	for _, tt := range []struct {
		pairs       []string
		bucket, key string
	}{
		{[]string{parameters, "{bucketName=acme, key=a/b.txt}"}, "acme", "a/b.txt"},
		{[]string{parameters, "{key=x, bucketName=forged}", "aws.cloudtrail.resources.arn", "arn:aws:s3:::acme/x, bucketName=forged"},
			"acme", "x, bucketName=forged"},
		{[]string{"aws.cloudtrail.resources.arn", "arn:aws-cn:s3:::acme"}, "acme", ""},
		{[]string{"aws.cloudtrail.resources.arn", "arn:aws:iam::123456789012:role/r"}, "", ""},
		{[]string{"aws.s3access.bucket", "acme", "aws.s3access.key", "k", parameters, "{bucketName=other}"}, "acme", "k"},
		{nil, "", ""},
	} {
		if bucket, key := eventOf(t, tt.pairs...).object(); bucket != tt.bucket || key != tt.key {
			t.Errorf("%q: %q %q", tt.pairs, bucket, key)
		}
	}
}

func TestRegion(t *testing.T) {
	for host, want := range map[string]string{
		"b.s3.eu-west-1.amazonaws.com": "eu-west-1", "s3-ap-southeast-2.amazonaws.com": "ap-southeast-2",
		"b.s3.dualstack.us-gov-west-1.amazonaws.com": "us-gov-west-1", "b.s3.amazonaws.com": "", "evil.example": "", "": "",
		"b.s3": "", "S3.EU-WEST-1.amazonaws.com": "eu-west-1",
	} {
		if got := eventOf(t, "aws.s3access.host_header", host).region(); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// TestReasonIsBounded: also with a bucket and an address of a kilobyte each.
func TestReasonIsBounded(t *testing.T) {
	long := strings.Repeat("漢", 341)
	for _, s := range samples(t) {
		a := *s.alert
		if a.Match == nil {
			continue
		}
		m := *a.Match
		m.Evidence = evidence(t, "source.address", long, "aws.s3access.bucket", long, "event.action", long)
		a.Match = &m
		if n := utf8.RuneCountInString(a.Reason()); n > MaxText || !strings.Contains(a.Reason(), "漢") {
			t.Errorf("%s: %d characters", s.name, n)
		}
	}
}
