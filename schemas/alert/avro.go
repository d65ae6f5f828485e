package alert

import (
	_ "embed" // alert.avsc
	"fmt"
	"strings"
	"unicode/utf8"

	"firstseen/schemas/wire"
)

//go:embed alert.avsc
var avsc string

var codec = func() *wire.Codec[Record] {
	c, err := wire.NewCodec[Record](avsc)
	if err != nil {
		panic(fmt.Errorf("alert.avsc: %w", err))
	}
	return c
}()

// Record is the alert as alert.avsc has it: flat, so that it becomes a table row as it is.
type Record struct {
	ID               string         `avro:"id"`
	Status           string         `avro:"status"`
	Time             int64          `avro:"time"`
	Created          int64          `avro:"created"`
	Title            string         `avro:"title"`
	Reason           string         `avro:"reason"`
	Severity         string         `avro:"severity"`
	RiskScore        int32          `avro:"risk_score"`
	RuleID           string         `avro:"rule_id"`
	RuleName         string         `avro:"rule_name"`
	RuleVersion      string         `avro:"rule_version"`
	RuleCategory     string         `avro:"rule_category"`
	Ruleset          []byte         `avro:"ruleset"`
	Tags             []string       `avro:"tags"`
	Tactics          []string       `avro:"tactics"`
	Techniques       []string       `avro:"techniques"`
	Count            int64          `avro:"count"`
	FirstSeen        int64          `avro:"first_seen"`
	LastSeen         int64          `avro:"last_seen"`
	Dataset          string         `avro:"dataset"`
	Provider         string         `avro:"provider"`
	Action           string         `avro:"action"`
	Outcome          string         `avro:"outcome"`
	SourceAddress    string         `avro:"source_address"`
	SourceIP         string         `avro:"source_ip"`
	Bucket           string         `avro:"bucket"`
	ObjectKey        string         `avro:"object_key"`
	Caller           string         `avro:"caller"`
	CallerType       string         `avro:"caller_type"`
	UserAgent        string         `avro:"user_agent"`
	CloudAccountID   string         `avro:"cloud_account_id"`
	CloudRegion      string         `avro:"cloud_region"`
	EventID          string         `avro:"event_id"`
	Topic            string         `avro:"topic"`
	Partition        int32          `avro:"partition"`
	Offset           int64          `avro:"offset"`
	Index            int32          `avro:"index"`
	File             string         `avro:"file"`
	Line             int64          `avro:"line"`
	TermFields       []string       `avro:"term_fields"`
	TermValues       []string       `avro:"term_values"`
	PreviousSeen     int64          `avro:"previous_seen"`
	History          int64          `avro:"history"`
	HistoryStart     int64          `avro:"history_start"`
	HistoryComplete  bool           `avro:"history_complete"`
	NetworksVersion  string         `avro:"networks_version"`
	GroupBy          []string       `avro:"group_by"`
	GroupKey         string         `avro:"group_key"`
	WindowStart      int64          `avro:"window_start"`
	WindowEnd        int64          `avro:"window_end"`
	Threshold        int64          `avro:"threshold"`
	ThresholdReached int64          `avro:"threshold_reached"`
	Summary          []wire.Counter `avro:"summary"`
	Suppressed       int64          `avro:"suppressed"`
	SuppressedTopic  string         `avro:"suppressed_topic"`
	MissingTopic     string         `avro:"missing_topic"`
	MissingPartition int32          `avro:"missing_partition"`
	MissingFirst     int64          `avro:"missing_first"`
	MissingNext      int64          `avro:"missing_next"`
	Flags            []string       `avro:"flags"`
}

// Schema returns the Avro schema of AppendAvro as JSON, to be registered.
func Schema() string { return codec.Schema() }

// AppendAvro appends the alert as the bare body of an Avro record of Schema. Whoever sends it puts the frame before it:
// Confluent's is a zero byte and the four bytes of the id that the registry gave the schema.
func (a *Alert) AppendAvro(dst []byte) ([]byte, error) {
	rec := a.Record()
	return codec.AppendBody(dst, &rec)
}

// DecodeAvro reads what AppendAvro wrote, strictly: see wire.Codec.
func DecodeAvro(src []byte, rec *Record) error { return codec.DecodeBody(src, rec) }

// Record returns the alert as a flat record. Texts are at most 1024 bytes, title and reason 1024 characters, lists 16
// long and the summary 48, which keeps the encoding far below MaxBytes.
func (a *Alert) Record() Record {
	r, e := a.rule(), a.event()
	rec := Record{
		ID: a.ID.String(), Status: a.Kind, Time: since1970(a.Time), Created: since1970(a.created()),
		Title: valid(a.title()), Reason: valid(a.Reason()), Severity: short(r.Severity), RiskScore: int32(r.riskScore()),
		RuleID: short(r.ID), RuleName: short(r.Name), RuleVersion: short(r.Version), RuleCategory: short(r.Category),
		Ruleset: a.Ruleset[:min(len(a.Ruleset), 32)], Tags: shorts(r.Tags),
		Count: a.Count, FirstSeen: since1970(a.FirstSeen), LastSeen: since1970(a.LastSeen), Dataset: short(r.Dataset),
		Suppressed: a.Suppressed, SuppressedTopic: short(a.SuppressedTopic), NetworksVersion: short(r.NetworksVersion),
		Flags: a.flags().Names(),
	}
	for _, t := range r.Threat[:min(len(r.Threat), 16)] {
		rec.Tactics = append(rec.Tactics, short(t.TacticID))
		for _, q := range t.Techniques[:min(len(t.Techniques), 16-min(16, len(rec.Techniques)))] {
			rec.Techniques = append(rec.Techniques, short(q.ID))
		}
	}
	for _, c := range a.Summary[:min(len(a.Summary), 48)] {
		c.Attribute, c.Value = cutBytes(valid(c.Attribute), 256), cutBytes(valid(c.Value), 256)
		rec.Summary = append(rec.Summary, c)
	}
	if a.Match != nil {
		rec.setEvent(e)
		rec.setOrigin(a.Match)
	}
	if n := a.NewTerms; n != nil {
		rec.TermFields, rec.TermValues, rec.History = shorts(r.Fields), shorts(n.Values), n.History
		rec.PreviousSeen, rec.HistoryStart = since1970(n.PreviousSeen), since1970(n.HistoryStart)
		rec.HistoryComplete = n.Complete(a.eventTime())
	}
	if g := a.Group; g != nil {
		rec.GroupBy, rec.GroupKey, rec.Threshold = shorts(g.By), short(g.Key), max(1, g.Threshold)
		rec.WindowStart, rec.WindowEnd = since1970(g.Start), since1970(g.End)
		rec.ThresholdReached = since1970(g.ReachedAt)
	}
	if m := a.Missing; m != nil {
		rec.MissingTopic, rec.MissingPartition = short(m.Topic), m.Partition
		rec.MissingFirst, rec.MissingNext = m.First, m.Next
	}
	return rec
}

func (rec *Record) setEvent(e *event) {
	bucket, key := e.object()
	rec.Provider = short(or(e.get("event.provider"), "s3.amazonaws.com"))
	rec.Action = short(e.first("event.action", "aws.s3access.operation"))
	rec.Outcome = short(or(e.get("event.outcome"), "unknown"))
	rec.SourceAddress, rec.SourceIP = short(e.address()), short(e.first("source.ip", "client.ip"))
	rec.Bucket, rec.ObjectKey = short(bucket), short(key)
	rec.Caller = short(e.first("aws.cloudtrail.user_identity.arn", "user.id", "aws.s3access.requester"))
	rec.CallerType = short(e.get("aws.cloudtrail.user_identity.type"))
	rec.UserAgent = short(e.get("user_agent.original"))
	rec.CloudAccountID = short(e.first("aws.cloudtrail.recipient_account_id", "aws.s3access.bucket_owner"))
	rec.CloudRegion = short(e.region())
}

func (rec *Record) setOrigin(m *wire.Match) {
	o := &m.Origin
	rec.EventID, rec.Topic, rec.File = short(EventID(m)), short(o.Topic), short(o.File)
	rec.Partition, rec.Offset, rec.Index, rec.Line = o.Partition, o.Offset, o.Index, o.Line
}

// since1970 returns a time, 0 for one that is not known.
func since1970(ms int64) int64 { return max(ms, 0) }

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func short(s string) string { return cutBytes(valid(cut(s, MaxText)), 1024) }

func shorts(list []string) []string {
	out := make([]string, 0, min(len(list), 16))
	for _, s := range list[:min(len(list), 16)] {
		out = append(out, short(s))
	}
	return out
}

// cutBytes cuts a string of valid UTF-8 at most bytes, between characters.
func cutBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
