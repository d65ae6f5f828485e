package traffic

import "time"

// The parameters of the built-in rules.
const (
	history = 7 * 24 * time.Hour
	period  = time.Hour
)

// Model tells what the two built-in rules make of records. It is written to be read, not to be fast, and shares nothing
// with the product but the meaning of the rules: event time decides, the order of the calls is the order of arrival.
//
// Records of different keys do not affect each other, so the answer holds for every interleaving that keeps the order
// within a route; with one exception: it knows no cap on alerts, which counts over all addresses. Switch the cap off,
// or stay below 100 new addresses in five minutes.
type Model struct {
	Alerts  []*Alert           // in the order in which they are made
	Terms   map[string]*Term   // by source address
	Windows map[string]*Window // by bucket: the current window
}

// Alert is an alert that must be made.
type Alert struct {
	Rule    string
	Key     string    // source address or bucket
	EventID string    // of the record that made it
	Time    time.Time // likewise
	Count   int       // matches it stands for in the end, in a closed update: 1 for new terms, the whole window for the allowlist
}

// Term is what must be known of a source address.
type Term struct {
	First, Last time.Time // of the record that came first; the highest
	Count       int
}

// Window is a dedup window.
type Window struct {
	Start, Last time.Time // of the match that opened it; the highest
	Alert       *Alert
}

// NewModel returns a model that has seen nothing.
func NewModel() *Model {
	return &Model{Terms: make(map[string]*Term), Windows: make(map[string]*Window)}
}

// Add lets a record arrive.
func (m *Model) Add(r *Record) {
	switch r.Rule {
	case NewTermsRule:
		t := m.Terms[r.Key]
		if t == nil {
			t = &Term{First: r.Time, Last: r.Time}
			m.Terms[r.Key] = t
			m.alert(r)
		} else if r.Time.Sub(t.Last) > history {
			m.alert(r)
		}
		t.Count++
		if r.Time.After(t.Last) {
			t.Last = r.Time
		}
	case AllowlistRule:
		w := m.Windows[r.Key]
		if w == nil || r.Time.Sub(w.Start) > period {
			w = &Window{Start: r.Time, Last: r.Time, Alert: m.alert(r)}
			m.Windows[r.Key] = w
			return
		}
		w.Alert.Count++
		if r.Time.After(w.Last) {
			w.Last = r.Time
		}
	}
}

func (m *Model) alert(r *Record) *Alert {
	a := &Alert{Rule: r.Rule, Key: r.Key, EventID: r.EventID, Time: r.Time, Count: 1}
	m.Alerts = append(m.Alerts, a)
	return a
}
