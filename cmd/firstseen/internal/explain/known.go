package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/scan"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor"
	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// Where the event is on its way, as far as is known.
const (
	onTheWay = "not_read" // or not processed by the stages behind ingest
	wasRead  = "read"
	taught   = "learned" // read, but before the offset from which on alerts are made
	nowhere  = "unknown"
)

// outcome is what comes of a match with one combination of terms, or in one group.
type outcome struct {
	Decision string       `json:"decision"`
	Answer   string       `json:"answer"`
	Fields   []string     `json:"fields,omitempty"`
	Terms    []string     `json:"terms,omitempty"`
	Group    string       `json:"group,omitempty"` // of a rule without terms
	History  string       `json:"history,omitempty"`
	Since    string       `json:"history_start,omitempty"` // since when terms of the rule have been recorded
	Seen     *seenView    `json:"seen,omitempty"`          // what is known of the terms now
	Window   *windowView  `json:"window,omitempty"`        // the group's current one
	ID       string       `json:"alert_id"`                // that an alert about this event has
	Alerts   []alertFound `json:"alerts,omitempty"`        // of this event, or of a window that it is in

	rule, event string
	time        int64
	history     int64
	policy      wire.Policy
	state       string // key
	partition   int32  // of the state
	group       []byte // key of the finding
	term        *wire.Term
	window      *wire.Window
	since       stage.Since
	force       processor.Force // when the event was written
	forceSince  int64           // see processor.Lookup.InForce
}

type seenView struct {
	First     string `json:"first_seen"`
	Last      string `json:"last_seen"`
	Count     int64  `json:"count"`
	Partition int32  `json:"partition"`
	Newer     bool   `json:"newer,omitempty"` // than the event: it is what is known now, not what was known then
}

type windowView struct {
	Start   string `json:"start"`
	End     string `json:"end"`
	Count   int64  `json:"count"`
	Event   string `json:"event"` // that opened it
	AlertID string `json:"alert_id"`
}

type alertFound struct {
	ID       string `json:"id"`
	Topic    string `json:"topic"`
	Place    string `json:"place"`
	Status   string `json:"status"`
	Reason   string `json:"suppressed,omitempty"` // why it is in the suppressed topic
	Previous string `json:"previous_seen,omitempty"`
	Ruleset  string `json:"ruleset,omitempty"`
	Sentence string `json:"reason,omitempty"`
	Start    string `json:"window_start,omitempty"`
	End      string `json:"window_end,omitempty"`
	own      bool   // of this event, not of the window it is in
}

// knowledge is what can be found out about the event beyond itself.
type knowledge struct {
	*inquiry
	picked   *picked
	outcomes []outcome
	position string
	note     string
	complete bool // the topics of alerts reach back to the event: an alert that is not there was not made
}

// topic is the source topic of the record; empty: it is from a file.
func (k *knowledge) topic() string {
	if k.record == nil {
		return ""
	}
	return k.record.Topic
}

// look finds out what comes of the event, and what is known about that.
func (k *knowledge) look(ctx context.Context, v *view) error {
	k.position = nowhere
	v.Store.From = "not known: no broker was asked; give -c FILE for what the workers have seen, or --state DIR"
	if k.picked.found {
		if err := k.follow(); err != nil {
			return err
		}
	}
	if k.lookup == nil {
		return nil
	}
	var err error
	if k.State != "" {
		err = k.lookDir(v)
	} else {
		err = k.lookBroker(ctx, v)
	}
	if err != nil {
		return err
	}
	v.Message.State, v.Message.Note = k.position, k.note
	return k.lookState(ctx)
}

// follow gives the record to the stage that a worker gives it to, and takes what comes out.
func (k *knowledge) follow() (err error) {
	m := k.picked.message
	m.Value, m.Broken = k.picked.raw, ""
	in := stage.NewIngest(k.set, stage.IngestConfig{Decoder: schemas.Config{Bounds: k.bounds, ValidateAll: true, Strict: k.set.Strict()}, Dead: func(*schemas.Message, schemas.DeadLetter) {}})
	in.Message(m)
	flushed := in.Flush(func(out stage.Output) {
		var o outcome
		var match wire.Match
		if out.To == stage.Candidates {
			var c wire.Candidate
			err = errors.Join(err, wire.DecodeCandidate(out.Value, &c))
			o = outcome{Terms: c.Terms, rule: c.Rule, history: c.History, policy: c.Policy, group: []byte(c.Group)}
			match = c.First
			o.state = string(stage.TermKey(nil, c.State, c.Terms))
			if c.Policy.CapCount > 0 {
				o.group = []byte(c.Rule)
			}
		} else {
			var f wire.Finding
			err = errors.Join(err, wire.DecodeFinding(out.Value, &f))
			if err != nil || len(f.Entries) == 0 {
				return
			}
			o = outcome{Group: f.Group, rule: f.Rule, policy: f.Policy, group: out.Key}
			match = f.Entries[0].Match
			o.state = string(stage.WindowKey(nil, f.State, f.Group))
		}
		if k.Rule != "" && o.rule != k.Rule {
			return
		}
		match.Origin.Index = k.picked.index
		const prefix = 1 + len(wire.StateID{}) // of a state key
		o.time, o.event = match.Time, alert.EventID(&match)
		o.ID = alert.ID("alert", o.rule, o.state[prefix:], o.event).String()
		if k.lookup != nil && k.State == "" {
			o.partition = k.lookup.Partition(out.Key)
		}
		k.outcomes = append(k.outcomes, o)
	})
	return errors.Join(err, flushed)
}

// lookDir says what a directory is.
func (k *knowledge) lookDir(v *view) error {
	infos, err := k.lookup.Ranges()
	if err != nil {
		return err
	}
	v.Store.From = fmt.Sprintf("state directory %s, %s", k.State, show.Plural(int64(len(infos)), "range"))
	for _, info := range infos {
		if info.Position.ChangelogID == scan.ChangelogID {
			v.Store.From, v.Store.Since = fmt.Sprintf("state directory %s of scan", k.State), show.Time(info.Position.InputTimestamp)
			for i := range k.outcomes {
				k.outcomes[i].since = stage.Since{Start: info.Position.InputTimestamp, HoldUntil: wire.NoTime}
			}
			return nil
		}
	}
	for i := range k.outcomes {
		k.outcomes[i].since = stage.Since{Start: wire.NoTime, HoldUntil: wire.NoTime}
	}
	return nil
}

// lookBroker finds out how far the workers have come, and what they wrote about the event.
func (k *knowledge) lookBroker(ctx context.Context, v *view) error {
	v.Store.From = "what the workers of " + k.cfg.App + " have committed, read " + show.Time(time.Now().UnixMilli())
	v.Store.Unlike = !k.lookup.HasRuleset(k.set.Hash())
	for i := range k.outcomes {
		o := &k.outcomes[i]
		r := k.set.Rule(o.rule)
		if r.HasTerms() {
			o.since = k.lookup.History(r, k.topic())
		}
		if k.record != nil {
			o.force, o.forceSince = k.lookup.InForce(r, k.record.Timestamp.UnixMilli())
		}
	}
	if err := k.locate(ctx); err != nil {
		return err
	}
	if err := k.findAlerts(ctx); err != nil {
		return err
	}
	return k.findDeadLetter(ctx, v)
}

// locate says how far the workers have come with the event. What the stages behind ingest have still to do is asked for
// in the order of the flow, and before what they have written.
func (k *knowledge) locate(ctx context.Context) error {
	if k.record == nil {
		return nil
	}
	r := k.record
	next, err := k.lookup.Committed(ctx, processor.StageIngest, r.Topic, r.Partition)
	if err != nil {
		return err
	}
	place := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
	if next <= r.Offset {
		k.position, k.note = onTheWay, fmt.Sprintf("group %s.ingest is at offset %d of %s", k.cfg.App, max(next, 0), place)
		if next < 0 {
			k.note = fmt.Sprintf("group %s.ingest has not read %s", k.cfg.App, place)
		}
		return nil
	}
	learned, err := k.lookup.Learned(ctx, r.Topic, r.Partition, r.Offset)
	if err != nil {
		return err
	}
	k.position = wasRead
	if learned {
		k.position, k.note = taught, "it was there before the deployment began to make alerts"
	}
	type input struct {
		stage     processor.Stage
		partition int32
	}
	alone := func(o *outcome) bool { return o.Terms != nil && o.policy.Period <= 0 && o.policy.CapCount <= 0 } // detect decides
	asked := map[input]bool{}
	for _, s := range []processor.Stage{processor.StageDetect, processor.StageGroup} {
		for _, o := range k.outcomes {
			in := input{s, o.partition}
			if s == processor.StageGroup {
				in.partition = k.lookup.Partition(o.group)
			}
			if asked[in] || s == processor.StageDetect && o.Terms == nil || s == processor.StageGroup && alone(&o) {
				continue
			}
			asked[in] = true
			waiting, at, err := k.lookup.Waiting(ctx, s, k.lookup.InputTopic(s), in.partition)
			if err != nil {
				return err
			}
			if waiting {
				k.position, k.note = onTheWay, fmt.Sprintf("it was read, but stage %s is at offset %d of %s/%d", s, at, k.lookup.InputTopic(s), in.partition)
				return nil
			}
		}
	}
	return nil
}

// slack is how far the clocks of producers and workers may differ, in milliseconds.
const slack = 3_600_000

// findAlerts looks for the alerts about the event, and about the windows it may be in, in both topics.
func (k *knowledge) findAlerts(ctx context.Context) error {
	k.complete = true
	since := k.picked.time
	if k.record != nil && k.picked.message.Timestamp > 0 {
		since = k.picked.message.Timestamp
	}
	for i := range k.outcomes {
		o := &k.outcomes[i]
		key, from := []byte(nil), since-slack-o.policy.Period*1000
		if o.Terms != nil {
			key = []byte(o.ID)
		}
		for _, topic := range []processor.Written{processor.WrittenAlerts, processor.WrittenSuppressed} {
			complete, err := k.lookup.Since(ctx, topic, from, key, func(r *kgo.Record) {
				if found, ok := o.found(r, string(topic)); ok {
					o.Alerts = append(o.Alerts, found)
				}
			})
			if err != nil {
				return err
			}
			k.complete = k.complete && complete
		}
	}
	return nil
}

// found tells whether a document is about the event, or about a window of its group that has room for it.
func (o *outcome) found(r *kgo.Record, topic string) (alertFound, bool) {
	f := alertFound{ID: string(r.Key), Topic: r.Topic, Place: fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset), own: string(r.Key) == o.ID}
	var rule string
	for _, h := range r.Headers {
		switch h.Key {
		case "firstseen-rule":
			rule = string(h.Value)
		case "firstseen-suppressed":
			f.Reason = string(h.Value)
		}
	}
	if !f.own && (o.Terms != nil || rule != o.rule) {
		return f, false
	}
	var doc struct {
		Event     struct{ Reason string }
		Firstseen struct {
			Alert    struct{ Status string }
			NewTerms struct {
				PreviousSeen string `json:"previous_seen"`
			} `json:"new_terms"`
			Group struct {
				Key   string
				Start string `json:"window_start"`
				End   string `json:"window_end"`
			}
			Ruleset struct{ SHA256 string }
		}
	}
	if err := json.Unmarshal(r.Value, &doc); err != nil {
		return f, f.own // of another format
	}
	d := &doc.Firstseen
	f.Status, f.Previous, f.Ruleset, f.Sentence, f.Start, f.End = d.Alert.Status, d.NewTerms.PreviousSeen, d.Ruleset.SHA256, doc.Event.Reason, d.Group.Start, d.Group.End
	if f.own {
		return f, true
	}
	start, err1 := time.Parse(time.RFC3339, d.Group.Start)
	end, err2 := time.Parse(time.RFC3339, d.Group.End)
	t := rules.Second(o.time)
	return f, err1 == nil && err2 == nil && d.Alert.Status != alert.Overflow && sameGroup(o, d.Group.Key) && t >= start.Unix() && t <= end.Unix()
}

// sameGroup compares the key of a group with that of a document, which is shortened and has no rule in it.
func sameGroup(o *outcome, key string) bool {
	values := shownGroup(o.rule, o.Group)
	return values == key || len([]rune(key)) >= alert.MaxText && len(values) > len(key) && values[:len(key)] == key
}

// findDeadLetter looks for the record in the topic of dead letters.
func (k *knowledge) findDeadLetter(ctx context.Context, v *view) error {
	if k.record == nil || k.position == onTheWay {
		return nil
	}
	want := map[string]string{"dlq-topic": k.record.Topic, "dlq-partition": strconv.Itoa(int(k.record.Partition)),
		"dlq-offset": strconv.FormatInt(k.record.Offset, 10)}
	_, err := k.lookup.Since(ctx, processor.WrittenDeadLetters, k.record.Timestamp.UnixMilli()-slack, nil, func(r *kgo.Record) {
		same, dead, index := 0, deadView{}, ""
		for _, h := range r.Headers {
			switch h.Key {
			case "dlq-reason":
				dead.Reason = schemas.Reason(h.Value)
			case "dlq-detail":
				dead.Detail = string(h.Value)
			case "dlq-index":
				index = string(h.Value)
			}
			if value, ok := want[h.Key]; ok && value == string(h.Value) {
				same++
			}
		}
		if same == len(want) && (index == "-1" || index == strconv.Itoa(int(k.picked.index))) {
			v.Dead, v.Store.Dead = &dead, fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
		}
	})
	return err
}

// lookState asks for the terms and windows.
func (k *knowledge) lookState(ctx context.Context) error {
	terms, windows := map[string]int32{}, map[string]int32{}
	for _, o := range k.outcomes {
		if o.Terms != nil {
			terms[o.state] = o.partition
		} else {
			windows[o.state] = o.partition
		}
	}
	known, err := k.lookup.Values(ctx, processor.StageDetect, terms)
	if err != nil {
		return err
	}
	open, err := k.lookup.Values(ctx, processor.StageGroup, windows)
	if err != nil {
		return err
	}
	for i := range k.outcomes {
		o := &k.outcomes[i]
		if value, ok := known[o.state]; ok && o.Terms != nil {
			o.term = new(wire.Term)
			if err := wire.DecodeTerm(value, o.term); err != nil {
				return fmt.Errorf("what is known of %s: %w", show.List(o.Terms), err)
			}
		}
		if value, ok := open[o.state]; ok && o.Terms == nil {
			o.window = new(wire.Window)
			if err := wire.DecodeWindow(value, o.window); err != nil {
				return fmt.Errorf("the window of %s: %w", o.rule, err)
			}
		}
	}
	return nil
}
