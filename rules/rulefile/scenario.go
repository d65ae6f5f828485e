package rulefile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// ScenarioStart is when the first day of a scenario begins, 2026-01-01 in Unix milliseconds.
const ScenarioStart = 1_767_225_600_000

// Scenario is a test of several records in order, with the alerts that must come of them and no others.
type Scenario struct {
	Name          string
	Events        []ScenarioEvent
	Alerts        []ScenarioAlert
	LearningUntil int64 // what the rule finds before it is held back, Unix milliseconds; 0: the rule is not learning
}

// ScenarioEvent is a record that arrives at a time.
type ScenarioEvent struct {
	Name string // what alerts may call it; may be empty
	Time int64  // Unix milliseconds: stands for Kafka's timestamp, and so for the event time of a record without one
	Log  []byte // as in Test
}

// ScenarioAlert is an alert that is expected, in its place among the others.
type ScenarioAlert struct {
	Event      int      // which event makes it, from 1; 0: any
	Kind       string   // open, overflow; closed only where the scenario lists one
	Title      string   // empty: any; so are the others
	Severity   string   // info, low, medium, high or critical
	Reason     string   // a part of event.reason
	Group      string   // the values that the rule groups by, joined by ", "
	Terms      []string // in the order of new_terms.fields
	Count      int64
	Suppressed string // why it went to the suppressed topic: cap, shadow or learning; empty: it did not
}

// scenario reads a scenario. Its log is what the logs of its events have unless they say otherwise.
func (d *decoder) scenario(n *yaml.Node) (s Scenario) {
	var log *yaml.Node
	var events, alerts []*yaml.Node
	collect := func(name string, to *[]*yaml.Node) read {
		return func(n *yaml.Node) { d.list(n, name, func(item *yaml.Node) { *to = append(*to, item) }) }
	}
	seen := d.object(n, "scenario", fields{
		"name":           d.readText("name", &s.Name),
		"learning_until": d.readTime("learning_until", &s.LearningUntil),
		"log":            func(n *yaml.Node) { log = n },
		"events":         collect("events", &events),
		"alerts":         collect("alerts", &alerts),
	})
	d.require(n, "scenario", seen, "name", "events", "alerts") // alerts: [] says that there must be none
	clock := int64(ScenarioStart)
	var names []string
	var logs []*yaml.Node
	for _, item := range events {
		e, own := d.scenarioEvent(item, log, clock)
		if e.Name != "" && slices.Contains(names, e.Name) {
			d.problem(item, 0, "event: the name %q is there twice", clip(e.Name))
		}
		clock, names, logs = e.Time, append(names, e.Name), append(logs, own)
		s.Events = append(s.Events, e)
	}
	d.sharedTime(log, logs, s.Events)
	for _, item := range alerts {
		s.Alerts = append(s.Alerts, d.scenarioAlert(item, names))
	}
	return s
}

// scenarioEvent reads an event, and returns its own log too. It comes at a time, or some time after the one before it,
// or at the same time.
func (d *decoder) scenarioEvent(n, base *yaml.Node, before int64) (e ScenarioEvent, own *yaml.Node) {
	after := int64(0)
	e.Time = before
	seen := d.object(n, "event", fields{
		"name": d.readText("name", &e.Name),
		"at":   d.readTime("at", &e.Time),
		"after": func(n *yaml.Node) {
			d.readDuration("after", &after)(n)
			e.Time = before + after
		},
		"log": func(n *yaml.Node) { own = n },
	})
	log := own
	switch {
	case seen == nil:
	case seen["at"] != nil && seen["after"] != nil:
		d.problem(n, 0, `event: want either "at" or "after"`)
	case own == nil && base == nil:
		d.problem(n, 0, `event: "log" is missing, here and in the scenario`)
	case own == nil:
		log = base
	case base != nil && own.Kind == yaml.MappingNode && base.Kind == yaml.MappingNode:
		log = clone(base)
		merge(log, clone(own))
	}
	if log != nil {
		d.readLog(&e.Log)(log)
	}
	return e, own
}

// timeKeys are what records call their time, in lower case.
var timeKeys = []string{"eventtime", "time", "request_time"}

// sharedTime refuses a time in the log that events share: it would be the event time of all of them, however many days
// the scenario lets pass in between.
func (d *decoder) sharedTime(base *yaml.Node, logs []*yaml.Node, events []ScenarioEvent) {
	if base == nil || base.Kind != yaml.MappingNode {
		return
	}
	for key, value := range pairs(base) {
		if isNull(value) || !slices.Contains(timeKeys, strings.ToLower(key.Value)) {
			continue
		}
		first := -1
		for i, own := range logs {
			if own != nil && (own.Kind != yaml.MappingNode || has(own, key.Value)) {
				continue
			}
			if first >= 0 && events[i].Time != events[first].Time {
				d.problem(key, 0, "log: %q would be the time of every event: leave it out, and each has the time it comes at", key.Value)
				return
			}
			first = i
		}
	}
}

func has(n *yaml.Node, name string) bool {
	for key := range pairs(n) {
		if key.Value == name {
			return true
		}
	}
	return false
}

// scenarioAlert reads an alert. names are those of the events, empty where one has none.
func (d *decoder) scenarioAlert(n *yaml.Node, names []string) ScenarioAlert {
	a, number := ScenarioAlert{Kind: "open"}, int64(0)
	d.object(n, "alert", fields{
		"event": func(n *yaml.Node) {
			if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
				number = int64(slices.Index(names, n.Value)) + 1
				if number == 0 || n.Value == "" {
					d.problem(n, 0, "event: no event has the name %s", shown(n)).Suggestion = Nearest(n.Value, names)
				}
				return
			}
			d.readNumber("event", &number, 1, 1_000_000)(n)
			if number > int64(len(names)) {
				d.problem(n, 0, "event: there is no event %d", number)
			}
		},
		"kind":       d.readOne("kind", &a.Kind, "open", "closed", "overflow"),
		"title":      d.readText("title", &a.Title),
		"severity":   d.readOne("severity", &a.Severity, "info", "low", "medium", "high", "critical"),
		"reason":     d.readText("reason", &a.Reason),
		"group":      d.readText("group", &a.Group),
		"terms":      d.readTexts("terms", &a.Terms),
		"count":      d.readNumber("count", &a.Count, 1, 1_000_000_000),
		"suppressed": d.readOne("suppressed", &a.Suppressed, "cap", "shadow", "learning"),
	})
	a.Event = int(number)
	return a
}

var dayForm = regexp.MustCompile(`^day ([1-9][0-9]{0,4})(?: ([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?)?$`)

// scenarioTime reads a time: RFC 3339, or a day of the scenario, from 1, and the time on it, like "day 3 12:00". The
// result is Unix milliseconds.
func scenarioTime(s string) (ms int64, ok bool) {
	m := dayForm.FindStringSubmatch(s)
	if m == nil {
		t, err := time.Parse(time.RFC3339, s)
		return t.UnixMilli(), err == nil
	}
	var v [5]int64 // what is absent is 0
	for i := range m[1:] {
		v[i+1], _ = strconv.ParseInt(m[i+1], 10, 64)
	}
	if v[2] > 23 || v[3] > 59 || v[4] > 59 {
		return 0, false
	}
	return ScenarioStart + ((v[1]-1)*86_400+v[2]*3_600+v[3]*60+v[4])*1_000, true
}

func (d *decoder) readTime(name string, to *int64) read {
	return func(n *yaml.Node) {
		at, ok := scenarioTime(n.Value)
		if n.Kind != yaml.ScalarNode || !ok {
			d.problem(n, 0, "%s: want a time like day 3 12:00 or 2026-01-31T12:00:00Z, got %s", name, shown(n))
			return
		}
		*to = at
	}
}
