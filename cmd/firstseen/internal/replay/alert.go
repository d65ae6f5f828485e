package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"firstseen/schemas/alert"
)

// comparedAlert is what replay compares of an alert, read from the document of any format, and what it shows.
type comparedAlert struct {
	ID         string   `json:"id"`
	Rule       string   `json:"rule"`
	Time       string   `json:"time,omitempty"` // of the event that decided, RFC 3339
	Title      string   `json:"title"`
	Reason     string   `json:"reason,omitempty"`
	Source     string   `json:"source,omitempty"`
	Terms      []string `json:"terms,omitempty"` // of a rule with new terms
	Group      string   `json:"group,omitempty"` // of a rule with a dedup window
	Origin     origin   `json:"origin"`
	Suppressed string   `json:"suppressed,omitempty"` // why it went to the suppressed topic: cap, shadow, learning

	kind    string // alert.Open, Closed, Overflow or Gap; empty: the document does not say
	at      int64  // start of its window, or its time; Unix milliseconds
	end     int64  // of its window, Unix milliseconds; 0: it has none
	reached int64  // event time of the match that reached the threshold, Unix milliseconds; 0: no matter of a threshold
	outside bool   // of the range: it is no difference, but may explain one
}

// goes says that the alert went out, or would have but for its rule's cap: which alerts of many are over a cap is a
// matter of their order. The others are suppressed for a reason of their own. No alert, nil, does not go out.
func (a *comparedAlert) goes() bool { return a != nil && (a.Suppressed == "" || a.Suppressed == "cap") }

// heldWhy is the reason for which the alert is suppressed; empty if there is none, or no alert.
func (a *comparedAlert) heldWhy() string {
	if a == nil {
		return ""
	}
	return a.Suppressed
}

// about is what two alerts of one rule have in common if they are about the same, though of different events: the group,
// or the terms. Empty: it has neither.
func (a *comparedAlert) about() string {
	switch {
	case a.end != 0:
		return a.Rule + "\x00group\x00" + a.Group
	case len(a.Terms) > 0:
		return a.Rule + "\x00terms\x00" + strings.Join(a.Terms, "\x00")
	}
	return ""
}

// origin is where the event that an alert shows was read. Panther's documents do not say.
type origin struct {
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	File      string `json:"file,omitempty"`
	Line      int64  `json:"line,omitempty"`
	Index     int32  `json:"index"`
}

// known says whether the document told.
func (o origin) known() bool { return o.Topic != "" || o.File != "" }

// String is topic/partition:offset or file:line, and which record of it unless it is the first.
func (o origin) String() string {
	s := fmt.Sprintf("%s:%d", o.File, o.Line)
	switch {
	case o.Topic != "":
		s = fmt.Sprintf("%s/%d:%d", o.Topic, o.Partition, o.Offset)
	case o.File == "":
		return "?"
	}
	if o.Index > 0 {
		s += fmt.Sprintf("[%d]", o.Index)
	}
	return s
}

// ownFacts is the block that documents in JSON have under firstseen.
type ownFacts struct {
	Alert struct{ ID, Status string }
	Group struct {
		Key              string
		WindowStart      string `json:"window_start"`
		WindowEnd        string `json:"window_end"`
		ThresholdReached string `json:"threshold_reached"`
	}
	NewTerms   struct{ Values []string } `json:"new_terms"`
	Origin     origin
	Suppressed struct{ Count int64 }
}

// alertDocument has the fields of ECS, OCSF and Panther that are looked at.
type alertDocument struct {
	Timestamp string `json:"@timestamp"`
	Message   string
	Rule      struct{ ID string }
	Event     struct{ Reason string }
	Source    struct{ Address string }
	Firstseen ownFacts

	Unmapped    struct{ Firstseen ownFacts }
	FindingInfo struct {
		Title    string
		Analytic struct{ UID string }
	} `json:"finding_info"`
	Metadata struct {
		OriginalTime string `json:"original_time"`
	}

	AlertID      string `json:"alertId"`
	ID           string `json:"id"`
	Title        string
	AlertContext struct {
		Reason          string
		SourceIPAddress string `json:"sourceIPAddress"`
	} `json:"alertContext"`
}

// readAlert reads a document that this program wrote, of any format; header has the Kafka headers, none of them for a
// line of a file.
func readAlert(value []byte, header func(string) string) (a *comparedAlert, err error) {
	if alert.Format(header("firstseen-format")) == alert.Avro {
		a, err = readAvroAlert(value)
	} else {
		a, err = readJSONAlert(value)
	}
	if err != nil {
		return nil, err
	}
	if kind, ok := strings.CutPrefix(header("ce_type"), "firstseen.alert."); ok && a.kind != alert.Overflow {
		a.kind = kind
	}
	if rule := header("firstseen-rule"); rule != "" {
		a.Rule = rule
	}
	if a.Time == "" {
		a.Time = header("ce_time")
	}
	a.Suppressed = header("firstseen-suppressed")
	if a.at == 0 {
		a.at = millis(a.Time)
	}
	return a, nil
}

func readJSONAlert(value []byte) (*comparedAlert, error) {
	var d alertDocument
	if err := json.Unmarshal(value, &d); err != nil {
		return nil, err
	}
	own := &d.Firstseen
	a := &comparedAlert{Rule: d.Rule.ID, Time: d.Timestamp, Title: d.Message, Reason: d.Event.Reason, Source: d.Source.Address}
	switch {
	case d.Unmapped.Firstseen.Alert.ID != "":
		own = &d.Unmapped.Firstseen
		a.Rule, a.Time, a.Title, a.Reason = d.FindingInfo.Analytic.UID, d.Metadata.OriginalTime, d.FindingInfo.Title, d.Message
	case d.AlertID != "":
		own.Alert.ID = d.AlertID
		a.Rule, a.Title, a.Reason, a.Source = d.ID, d.Title, d.AlertContext.Reason, d.AlertContext.SourceIPAddress
	case own.Alert.ID == "":
		return nil, fmt.Errorf("this is no alert of ours: %.80s", bytes.TrimSpace(value))
	}
	a.ID, a.kind, a.Origin = own.Alert.ID, own.Alert.Status, own.Origin
	a.Terms, a.Group = own.NewTerms.Values, own.Group.Key
	if own.Suppressed.Count > 0 { // also the closed update of an overflow alert
		a.kind = alert.Overflow
	}
	a.at, a.end, a.reached = millis(own.Group.WindowStart), millis(own.Group.WindowEnd), millis(own.Group.ThresholdReached)
	return a, nil
}

func readAvroAlert(value []byte) (*comparedAlert, error) {
	var r alert.Record
	if err := alert.DecodeAvro(value, &r); err != nil {
		return nil, err
	}
	if r.Suppressed > 0 {
		r.Status = alert.Overflow
	}
	return &comparedAlert{
		ID: r.ID, Rule: r.RuleID, Time: time.UnixMilli(r.Time).UTC().Format("2006-01-02T15:04:05.000Z"), Title: r.Title, Reason: r.Reason,
		Source: r.SourceAddress, Terms: r.TermValues, Group: r.GroupKey, kind: r.Status,
		Origin: origin{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, File: r.File, Line: r.Line, Index: r.Index},
		at:     r.WindowStart, end: r.WindowEnd, reached: r.ThresholdReached,
	}, nil
}

// millis is a time of a document in Unix milliseconds, 0 if there is none.
func millis(text string) int64 {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0
	}
	return t.UnixMilli()
}
