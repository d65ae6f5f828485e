package clitest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Now is a time after those of all logs here, for a scan.
const Now = "--now=2026-01-31T12:00:00Z"

// Rule is a rule file that lint has nothing to say about.
const Rule = `id: acme.r1
name: Reads
version: 1
dataset: aws.s3access
query: 'bucket: "acme-logs"'
dedup: {period: 60m}
title: Read of {bucket}
severity: low
tests:
  - {Name: yes, ExpectedResult: true, Log: {bucket: acme-logs}}
`

// PayrollRule is a rule file whose last key is tests, so that more tests can be added.
const PayrollRule = `id: Acme.Payroll
name: Reads of the payroll
dataset: aws.s3access
query: 'bucket: payroll and not (operation: REST.HEAD.OBJECT or requester: backup)'
dedup: {period: 1h}
title: "{remoteip} reads"
severity: low
tests:
  - {Name: own, ExpectedResult: true, Log: {remoteip: 192.0.2.1, bucket: payroll}}
`

// The built-in rules that AnonymousRead and AccessLine match.
const (
	NewTermsRule = "aws-s3-unauthenticated-bucket-access-by-rare-source"
	IPListRule   = "AWS.S3.ServerAccess.IPWhitelist"
)

// AnonymousRead is a CloudTrail record of a read without credentials.
func AnonymousRead(id, address, at string) string {
	return fmt.Sprintf(`{"eventVersion":"1.10","eventTime":%q,"eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1",`+
		`"userIdentity":{"type":"AWSAccount","principalId":"","accountId":"anonymous"},"sourceIPAddress":%q,"eventID":%q,`+
		`"requestParameters":{"bucketName":"acme-logs","key":"x"}}`, at, address, id)
}

// Anonymous is a record that the new-terms rule matches, on a line.
func Anonymous(address string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"AWSAccount","principalId":"","accountId":"anonymous"},`+
		`"eventTime":"2026-01-31T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-central-1",`+
		`"sourceIPAddress":%q,"requestParameters":{"bucketName":"acme-logs","key":"k"},"eventID":"id-%[1]s"}`+"\n", address)
}

// AccessLine is a line that the allowlist rule matches if the address is not in 10.0.0.0/8.
func AccessLine(address, at, agent string) string {
	return fmt.Sprintf(`79a59df900b949e5 acme-logs [%s] %s - 3E57427F33A59F07 REST.GET.OBJECT k "GET /k HTTP/1.1" 200 - 1 1 7 6 "-" "%s" - `+
		`host= - TLS_AES_128_GCM_SHA256 - acme-logs.s3.amazonaws.com TLSv1.3 - -`+"\n", at, address, agent)
}

// Alert is what the tests look at in an ECS alert.
type Alert struct {
	Timestamp string `json:"@timestamp"`
	Rule      struct{ ID string }
	Event     struct{ ID string }
	Source    struct{ Address, IP string }
	Firstseen struct {
		Alert struct {
			Status string
			Count  int
		}
		Origin struct {
			File    string
			Line    int
			EventID string `json:"event_id"`
		}
		NewTerms struct {
			HistoryStart    string `json:"history_start"`
			HistoryComplete bool   `json:"history_complete"`
		} `json:"new_terms"`
		Flags []string
	}
}

// Alerts reads ECS alerts, one a line.
func Alerts(t *testing.T, jsonLines string) (list []Alert) {
	t.Helper()
	for line := range strings.Lines(jsonLines) {
		var d Alert
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		list = append(list, d)
	}
	return list
}
