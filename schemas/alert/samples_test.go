package alert

import (
	"bytes"
	"encoding/binary"
	"testing"

	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// evidence makes evidence of names and values.
func evidence(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var out []byte
	for i := 0; i < len(pairs); i += 2 {
		f, ok := schemas.Known(pairs[i])
		if !ok {
			t.Fatalf("%s is no known field", pairs[i])
		}
		out = binary.AppendUvarint(out, uint64(f))
		out = binary.AppendUvarint(out, uint64(len(pairs[i+1])))
		out = append(out, pairs[i+1]...)
	}
	return out
}

func eventOf(t testing.TB, pairs ...string) *event {
	return (&Alert{Match: &wire.Match{Evidence: evidence(t, pairs...)}}).event()
}

const (
	minute = int64(60_000)
	day    = 24 * 60 * minute
	noon   = int64(1_795_348_800_000) // 2026-11-22T12:00:00Z
)

var (
	rareSource = &Rule{
		ID:   "aws-s3-unauthenticated-bucket-access-by-rare-source",
		Name: "S3 bucket read without credentials by a new address", Version: "2", Category: "new_terms",
		Description: "A caller without credentials used a bucket, from an address that was not seen before.",
		Severity:    "medium", RiskScore: 47, Tags: []string{"Domain: Cloud", "Data Source: AWS"},
		References: []string{"https://hackingthe.cloud/aws/"}, Dataset: "aws.cloudtrail", Fields: []string{"source.address"},
		Threat: []Threat{
			{"MITRE ATT&CK", "TA0009", "Collection", "https://attack.mitre.org/tactics/TA0009/", []Technique{
				{"T1530", "Data from Cloud Storage", "https://attack.mitre.org/techniques/T1530/"}}},
			{"MITRE ATT&CK", "TA0007", "Discovery", "https://attack.mitre.org/tactics/TA0007/", []Technique{
				{"T1619", "Cloud Storage Object Discovery", "https://attack.mitre.org/techniques/T1619/"},
				{"T1078.004", "Cloud Accounts", "https://attack.mitre.org/techniques/T1078/004/"}}},
		},
	}
	allowlist = &Rule{
		ID: "AWS.S3.ServerAccess.IPWhitelist", Name: "AWS S3 Access IP Allowlist", Version: "1", Category: "allowlist",
		Description: "Access to a bucket from an address outside the allowlist.", Severity: "medium",
		Tags: []string{"AWS", "Configuration Required"}, References: []string{"https://aws.amazon.com/"},
		Runbook: "Find out whether the access was meant to be possible.", Dataset: "aws.s3access", NetworksVersion: "9f86d081",
		SummaryAttributes: []string{"bucket", "key", "remoteip"}, Panther: true,
		Threat: []Threat{{"MITRE ATT&CK", "TA0009", "Collection", "", []Technique{{"T1530", "Data from Cloud Storage", ""}}}},
	}
	denied = &Rule{
		ID: "many-denied-reads", Name: "Many denied reads", Version: "3", Category: "query", Severity: "high",
		Dataset: "aws.cloudtrail", GroupBy: []string{"source.address"},
	}
)

// sample is an alert of each kind, as a stage makes it.
type sample struct {
	name  string
	alert *Alert
}

func samples(t testing.TB) []sample {
	ruleset := bytes.Repeat([]byte{0xAB, 0xCD}, 16)
	scanner := &wire.Match{
		Time: noon, EventID: "0b5e9d4e-6d3c-4b2f-9a55-a4f8a6d1f0c7", Title: "Bucket acme-logs read without credentials",
		Origin: wire.Origin{Topic: "cloudtrail", Partition: 3, Offset: 41223, Index: 7},
		Evidence: evidence(t,
			"event.provider", "s3.amazonaws.com", "event.action", "GetObject", "event.outcome", "success",
			"event.id", "0b5e9d4e-6d3c-4b2f-9a55-a4f8a6d1f0c7",
			"cloud.region", "eu-west-1", "cloud.account.id", "anonymous", "source.address", "203.0.113.7",
			"source.ip", "203.0.113.7", "user_agent.original", "[Boto3/1.34 \x1b[31mred\x1b[0m]",
			"aws.cloudtrail.read_only", "true", "aws.cloudtrail.recipient_account_id", "123456789012",
			"aws.cloudtrail.request_id", "4Z9PZ", "aws.cloudtrail.user_identity.type", "AWSAccount",
			"aws.cloudtrail.request_parameters", "{bucketName=acme-logs, key=backup/db.sql.gz}",
			"aws.cloudtrail.resources.arn", "arn:aws:s3:::acme-logs/backup/db.sql.gz",
			"aws.cloudtrail.resources.arn", "arn:aws:s3:::acme-logs",
			"aws.cloudtrail.resources.type", "AWS::S3::Object", "aws.cloudtrail.resources.type", "AWS::S3::Bucket"),
	}
	visitor := &wire.Match{
		Time: noon, EventID: "79A5:REST.GET.OBJECT:photos/a.jpg", Title: "Non-Approved IP access to S3 Bucket [my-test-bucket]",
		Flags: int32(schemas.TimeUnverified), Origin: wire.Origin{File: "access.log.gz", Line: 12},
		Evidence: evidence(t,
			"event.action", "REST.GET.OBJECT", "event.outcome", "success", "source.address", "11.0.0.1", "source.ip", "11.0.0.1",
			"client.address", "11.0.0.1", "client.ip", "11.0.0.1", "client.user.id", "arn:aws:iam::123456789012:user/ci",
			"user_agent.original", "curl/8.5", "http.response.status_code", "206", "http.response.body.bytes", "4096",
			"aws.s3access.bucket_owner", "79a59df900b949e5", "aws.s3access.bucket", "my-test-bucket",
			"aws.s3access.remote_ip", "11.0.0.1", "aws.s3access.requester", "arn:aws:iam::123456789012:user/ci",
			"aws.s3access.request_id", "79A5", "aws.s3access.operation", "REST.GET.OBJECT", "aws.s3access.key", "photos/a.jpg",
			"aws.s3access.http_status", "206", "aws.s3access.host_header", "my-test-bucket.s3.eu-west-1.amazonaws.com"),
	}
	window := &Group{By: []string{"title"}, Key: "my-test-bucket", Start: noon, End: noon + 60*minute, Threshold: 1}
	opened := &Alert{Kind: Open, Rule: allowlist, Ruleset: ruleset, Title: visitor.Title, Match: visitor,
		ID: ID("alert", allowlist.ID, "my-test-bucket", visitor.EventID), Time: noon, Count: 1, FirstSeen: noon, LastSeen: noon, Group: window}
	closed := *opened
	closed.Kind, closed.Count, closed.LastSeen, closed.Created = Closed, 17, noon+31*minute, noon+75*minute
	closed.Summary = []wire.Counter{{Attribute: "bucket", Value: "my-test-bucket", Count: 17},
		{Attribute: "key", Value: "photos/a.jpg", Count: 9, Error: 1}, {Attribute: "key", Value: "photos/b.jpg", Count: 8}}
	fresh := &Alert{Kind: Open, Rule: rareSource, Ruleset: ruleset, Title: scanner.Title, Match: scanner,
		ID: ID("alert", rareSource.ID, "203.0.113.7", scanner.EventID), Time: noon, Count: 1, FirstSeen: noon, LastSeen: noon,
		Created:  noon + 1234,
		NewTerms: &NewTerms{[]string{"203.0.113.7"}, wire.NoTime, 7 * day, noon - 30*day}}
	again := *fresh
	again.NewTerms = &NewTerms{[]string{"203.0.113.7"}, noon - 9*day, 7 * day, noon - 3*day}
	overflow := *fresh
	overflow.Kind, overflow.ID = Overflow, ID("overflow", rareSource.ID, "", scanner.EventID)
	overflow.Title, overflow.NewTerms, overflow.Suppressed, overflow.SuppressedTopic = "", nil, 1, "fs.suppressed"
	many := &Alert{Kind: Open, Rule: denied, Ruleset: ruleset, Match: &wire.Match{
		Time: noon - minute, Origin: wire.Origin{Topic: "cloudtrail", Partition: 0, Offset: 9},
		Evidence: evidence(t, "event.action", "GetObject", "event.outcome", "failure", "source.address", "config.amazonaws.com",
			"aws.cloudtrail.error_code", "AccessDenied", "user.name", "config-role")},
		ID: ID("alert", denied.ID, "config.amazonaws.com", "cloudtrail/0/9/0"), Time: noon, Count: 5, FirstSeen: noon - minute,
		LastSeen: noon, Group: &Group{denied.GroupBy, "config.amazonaws.com", noon - minute, noon + 59*minute, 5, noon}}
	gap := &Alert{Kind: Gap, ID: ID("gap", "", "cloudtrail/3/100", ""), Time: noon, Count: 100, FirstSeen: noon, LastSeen: noon,
		Title: "100 records of cloudtrail were lost", Missing: &Missing{"cloudtrail", 3, 100, 200}}
	return []sample{
		{"new-terms", fresh}, {"new-terms-again", &again}, {"allowlist", opened}, {"closed", &closed},
		{"overflow", &overflow}, {"threshold", many}, {"gap", gap},
	}
}
