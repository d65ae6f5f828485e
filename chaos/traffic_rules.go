package main

import (
	"os"
	"path/filepath"
	"time"

	"firstseen/traffic"
)

// The rules of a run, beside the two that are built in.
const (
	cappedRule  = "chaos.capped"  // the rule about new addresses with a shorter history, so that much is swept, and a cap
	crossedRule = "chaos.crossed" // the allowlist with windows that cross source partitions: by operation, not by bucket
)

// What the answer depends on in them.
const (
	history       = 7 * 24 * time.Hour // of the built-in rule
	cappedHistory = 3 * 24 * time.Hour
	period        = time.Hour // of a window
)

const cappedText = `id: chaos.capped
name: New address, capped
version: 1
description: A request without credentials from an address that made none in three days.
dataset: aws.cloudtrail
query: >-
  event.provider: "s3.amazonaws.com" and event.action: ("GetObject" or "PutObject" or "ListObjects" or "DeleteObject" or "ListBucket")
  and event.outcome: "success" and aws.cloudtrail.user_identity.type: ("AWSAccount" or "Unknown")
  and cloud.account.id: ("anonymous" or "ANONYMOUS_PRINCIPAL")
new_terms:
  fields: [source.address]
  history: 3d
max_alerts: {count: 20, per: 6h}
severity: low
`

const crossedText = `id: chaos.crossed
name: Address outside the networks, by operation
version: 1
description: A request from an address that is in none of the networks.
dataset: aws.s3access
allowlist: {field: remoteip, networks: [10.0.0.0/8]}
dedup: {by: [operation], period: 60m}
severity: low
`

// workerRules writes the rule files of a run and returns the key rules of its workers' configuration.
func workerRules(dir string) (map[string]any, error) {
	folder := filepath.Join(dir, "rules")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"capped.yaml": cappedText, "crossed.yaml": crossedText} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return map[string]any{"paths": []string{folder}, "set": []string{traffic.NewTermsRule + ".max_alerts=off"}}, nil
}

// sweepSpeed is how many times as fast the sweep clock of the workers runs: well below the speed of event time, so that
// nothing is swept that can still be asked for, even if a partition is not read for minutes.
func sweepSpeed(timers string) int64 {
	if timers == "short" {
		return speed / 3
	}
	return speed / 10
}
