package wire

import "bytes"

// One record of each kind, with every field set: what the golden files hold.
var (
	sampleRuleset = bytes.Repeat([]byte{0xAB}, 32)
	samplePolicy  = Policy{Period: 3600, Threshold: 1, CapCount: 100, CapPer: 300, Shadow: true}
	sampleMatch   = Match{
		Time: 1732300000123, EventID: "7f2a9e0c-7f5b-4f39-9f21-1d1c2b3a4d5e", Flags: 5,
		Origin:   Origin{Topic: "cloudtrail", Partition: 7, Offset: 1 << 40, Index: 3, File: "trail.json.gz", Line: 12},
		Title:    "S3 bucket read without credentials from 203.0.113.7",
		Evidence: bytes.Repeat([]byte("\x01\x0e203.0.113.7 ok"), 40),
	}
	sampleCounters = []Counter{{"bucket", "acme-logs", 12, 0}, {"key", "backup/2024/db.sql.gz", 3, 1}}
	sampleEntry    = Entry{
		Match: sampleMatch, Terms: []string{"203.0.113.7", "acme-logs"}, PreviousSeen: NoTime,
		History: 604800000, HistoryStart: 1731700000000, Folded: 4, Counters: sampleCounters,
	}
	sampleCandidate = Candidate{
		Ruleset: sampleRuleset, Rule: "aws-s3-unauthenticated-bucket-access-by-rare-source",
		State: StateID{1, 2, 3, 4, 5, 6, 7, 8}, Terms: []string{"203.0.113.7"}, Group: "group", Policy: samplePolicy,
		History: 604800000, HistoryStart: 1731700000000, Count: 17, Last: 1732300009999, First: sampleMatch,
		Counters: sampleCounters, Learn: true, HoldUntil: 1732904800000,
	}
	sampleFinding = Finding{
		Ruleset: sampleRuleset, Rule: "AWS.S3.ServerAccess.IPWhitelist", State: StateID{8, 7, 6, 5, 4, 3, 2, 1},
		Group: "group", Policy: samplePolicy, Entries: []Entry{sampleEntry, {Match: Match{Time: -1}, Folded: 1}}, Held: true,
	}
	sampleTerm   = Term{FirstSeen: 1731700000000, LastSeen: 1732300000123, SweepAt: 1732999999999, Count: 42}
	sampleWindow = Window{
		Start: 1732300000, Ruleset: sampleRuleset, Rule: "AWS.S3.ServerAccess.IPWhitelist", Group: "group",
		Policy: samplePolicy, First: sampleEntry, Count: 9, Reported: 1, ReachedAt: 1732300000123,
		LastSeen: 1732300500000, JoinedAt: 1732300600000, Closed: true, Counters: sampleCounters, SweepAt: 77,
	}
	sampleCap = Cap{
		Start: 1732300000, Ruleset: sampleRuleset, Rule: "rule", Policy: samplePolicy, First: sampleEntry, Alerts: 100,
		Suppressed: 23, Reported: 1, LastSeen: 1732300500000, JoinedAt: 1732300600000, Closed: true, SweepAt: 78,
	}
	sampleOffset = Offset{
		InputTopicID: [16]byte{0: 0xA0, 15: 0x0F}, InputNext: 123456789, SweepClock: 5, InputTimestamp: 1732300600000,
	}
)
