package proof

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/schemas/alert"
)

// Alert is an alert that must have been made, exactly once.
type Alert struct {
	Rule       string
	EventID    string // of the record that made it, the first of its window
	Key        string // the term, or the bucket; empty: not compared
	Count      int    // matches that it stands for in the end; of an overflow alert, the alerts that were suppressed
	Closed     bool   // that count must have been reported, in an update of the alert; one over 1 may have been in any case
	Overflow   bool   // it says that the rule reached its cap
	Suppressed bool   // it must be in the suppressed topic
}

func (a *Alert) name() string {
	if a.Overflow {
		return alert.Overflow + " " + a.Rule + " " + a.EventID
	}
	return a.Rule + " " + a.EventID
}

// Alerts compares the alerts that were seen with those that had to come.
type Alerts struct {
	want map[string]*wanted // by name
	seen map[string]string  // documents, by alert id, status and count, with where they are
	ids  map[string]*wanted // those that were seen, by alert id
	sums map[string]int     // matches reported, by rule
	diff Differences
}

// wanted is an alert and what was seen of it.
type wanted struct {
	Alert
	at       string // where it was first seen; empty: nowhere
	reported int    // the highest count in an update
}

// NewAlerts returns a comparison that expects nothing.
func NewAlerts() *Alerts {
	return &Alerts{want: map[string]*wanted{}, seen: map[string]string{}, ids: map[string]*wanted{}, sums: map[string]int{}}
}

// Expect adds an alert that must be there.
func (a *Alerts) Expect(w Alert) { a.want[w.name()] = &wanted{Alert: w} }

// document is what is compared of an alert.
type document struct {
	Rule struct{ ID string }
	AWS  struct {
		S3Access struct{ Bucket string }
	}
	Firstseen struct {
		Alert struct {
			ID, Status string
			Count      int
		}
		Suppressed struct{ Count int } // of an overflow alert
		Origin     struct {
			EventID string `json:"event_id"`
		}
		NewTerms struct{ Values []string } `json:"new_terms"`
	}
}

func (d *document) key() string {
	if d.Firstseen.NewTerms.Values != nil {
		return strings.Join(d.Firstseen.NewTerms.Values, " ")
	}
	return d.AWS.S3Access.Bucket
}

// Saw takes a record of the alerts topic, or, with suppressed, of the other one. Records of one partition come in their
// order, the alerts topic comes first.
func (a *Alerts) Saw(r *kgo.Record, suppressed bool) {
	var doc document
	at := Difference{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	if err := json.Unmarshal(r.Value, &doc); err != nil {
		at.Kind = Wrong
		a.diff.add(at, "it cannot be read: %v", err)
		return
	}
	at.Rule, at.EventID, at.Key = doc.Rule.ID, doc.Firstseen.Origin.EventID, doc.key()
	id, status, count := doc.Firstseen.Alert.ID, doc.Firstseen.Alert.Status, doc.Firstseen.Alert.Count
	place := fmt.Sprintf("%s/%d offset %d", r.Topic, r.Partition, r.Offset)
	same := fmt.Sprint(id, " ", status, " ", count)
	if first, again := a.seen[same]; again {
		at.Kind = Duplicate
		a.diff.add(at, "%s with count %d, first at %s", status, count, first)
		return
	}
	a.seen[same] = place
	at.Kind = Wrong
	switch status {
	case alert.Open, alert.Overflow:
		w := a.want[(&Alert{Rule: at.Rule, EventID: at.EventID, Overflow: status == alert.Overflow}).name()]
		a.open(w, at, id, place, suppressed)
	case alert.Closed:
		if w := a.ids[id]; w != nil && w.Overflow {
			count = doc.Firstseen.Suppressed.Count
		}
		a.closed(at, id, count, suppressed)
	default:
		a.diff.add(at, "status %q", status)
	}
}

// open takes the alert itself.
func (a *Alerts) open(w *wanted, at Difference, id, place string, suppressed bool) {
	switch {
	case w == nil:
		a.diff.add(at, "nothing makes an alert of this")
		return
	case w.Key != "" && w.Key != at.Key:
		a.diff.add(at, "it should be about %q", w.Key)
		return
	case w.at != "":
		at.Kind = Duplicate
		a.diff.add(at, "open, first at %s", w.at)
		return
	}
	w.at, a.ids[id] = place, w
	if !w.Overflow {
		a.sums[w.Rule]++
	}
	if suppressed != w.Suppressed {
		a.diff.add(at, "suppressed: %v, it should be %v", suppressed, w.Suppressed)
	}
}

// closed takes an update of an alert with the count of its window so far.
func (a *Alerts) closed(at Difference, id string, count int, suppressed bool) {
	w := a.ids[id]
	switch {
	case w == nil:
		a.diff.add(at, "an update with count %d of an alert that was not made", count)
		return
	case suppressed:
		a.diff.add(at, "a suppressed update")
		return
	case count > w.Count || count < 2:
		at.Kind = Count
		a.diff.add(at, "count %d, it can be 2 to %d", count, w.Count)
		return
	}
	if !w.Overflow {
		a.sums[w.Rule] += max(0, count-max(1, w.reported))
	}
	w.reported = max(w.reported, count)
}

// Differences says what was not as expected, when everything was seen.
func (a *Alerts) Differences() Differences {
	all := a.diff
	for _, w := range a.want {
		d := Difference{Rule: w.Rule, EventID: w.EventID, Key: w.Key}
		switch {
		case w.at == "":
			d.Kind = Missing
			all.add(d, "nowhere")
		case w.Closed && w.Count > 1 && w.reported != w.Count:
			d.Kind = Count
			all.add(d, "closed with count %d, not %d; the alert is at %s", w.reported, w.Count, w.at)
		}
	}
	return all
}

// Made is how many of the alerts that had to come were seen.
func (a *Alerts) Made() int { return len(a.ids) }

// Expected is how many had to come.
func (a *Alerts) Expected() int { return len(a.want) }

// Reported is the count that an alert and its updates have come to: 0 of one that was not seen, 1 of one without update.
func (a *Alerts) Reported(of Alert) int {
	w := a.want[of.name()]
	if w == nil || w.at == "" {
		return 0
	}
	return max(1, w.reported)
}

// Matches is how many matches the alerts of a rule stand for.
func (a *Alerts) Matches(rule string) int { return a.sums[rule] }
