package rulefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"
)

// Test is a test of one record: Panther's form, taken as it is.
type Test struct {
	Name string
	Want bool   // ExpectedResult: the rule matches
	Log  []byte // the record, JSON; or the line, where the file has text
}

// Scenario is a test of several records in order, with the alerts that must come of them and no others.
type Scenario struct {
	Name   string
	Events []ScenarioEvent
	Alerts []ScenarioAlert
}

// ScenarioEvent is a record that arrives at a time.
type ScenarioEvent struct {
	Time int64  // Unix milliseconds: stands for Kafka's timestamp, and so for the event time of a record without one
	Log  []byte // as in Test
}

// ScenarioAlert is an alert that is expected.
type ScenarioAlert struct {
	Event int      // which event makes it, from 1
	Kind  string   // open, overflow; closed only where the scenario lists it
	Title string   // empty: any
	Terms []string // none: any
	Count int64    // 0: any
}

// tests reads both kinds. An entry with Panther's capital letters is one of Panther's.
func (d *decoder) tests(n *yaml.Node) (tests []Test, scenarios []Scenario) {
	d.list(n, "tests", func(item *yaml.Node) {
		for key := range pairs(item) {
			if key.Value == "Name" || key.Value == "Log" || key.Value == "ExpectedResult" {
				tests = append(tests, d.test(item))
				return
			}
		}
		scenarios = append(scenarios, d.scenario(item))
	})
	return tests, scenarios
}

func (d *decoder) test(n *yaml.Node) (t Test) {
	seen := d.object(n, "test", fields{
		"Name": d.readText("Name", &t.Name),
		"ExpectedResult": func(n *yaml.Node) {
			if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
				d.problem(n, 0, "ExpectedResult: want true or false, got %s", shown(n))
			}
			t.Want = n.Value[0] == 't' || n.Value[0] == 'T'
		},
		"Log": d.readLog(&t.Log),
	})
	d.require(n, "test", seen, "Name", "ExpectedResult", "Log")
	return t
}

// scenario reads a scenario. Its log is what the logs of its events have unless they say otherwise.
func (d *decoder) scenario(n *yaml.Node) (s Scenario) {
	var log *yaml.Node
	var events []*yaml.Node
	seen := d.object(n, "scenario", fields{
		"name":   d.readText("name", &s.Name),
		"log":    func(n *yaml.Node) { log = n },
		"events": func(n *yaml.Node) { d.list(n, "events", func(item *yaml.Node) { events = append(events, item) }) },
		"alerts": func(n *yaml.Node) {
			d.list(n, "alerts", func(item *yaml.Node) { s.Alerts = append(s.Alerts, d.scenarioAlert(item)) })
		},
	})
	d.require(n, "scenario", seen, "name", "events", "alerts") // alerts: [] says that there must be none
	now := int64(0)
	for _, e := range events {
		s.Events = append(s.Events, d.scenarioEvent(e, log, now))
		now = s.Events[len(s.Events)-1].Time
	}
	for _, a := range s.Alerts {
		if a.Event > len(s.Events) {
			d.problem(seen["alerts"], 0, "alerts: there is no event %d", a.Event)
		}
	}
	return s
}

// scenarioEvent reads an event. Its time is given, or how long it comes after the one before it.
func (d *decoder) scenarioEvent(n, base *yaml.Node, before int64) (e ScenarioEvent) {
	after, log := int64(0), base
	seen := d.object(n, "event", fields{
		"at": func(n *yaml.Node) {
			at, err := time.Parse(time.RFC3339, n.Value)
			if n.Kind != yaml.ScalarNode || err != nil {
				d.problem(n, 0, "at: want a time like 2026-01-31T12:00:00Z, got %s", shown(n))
			}
			e.Time = at.UnixMilli()
		},
		"after": func(n *yaml.Node) {
			d.readDuration("after", &after)(n)
			e.Time = before + after
		},
		"log": func(n *yaml.Node) { log = n },
	})
	switch {
	case seen == nil:
	case (seen["at"] == nil) == (seen["after"] == nil):
		d.problem(n, 0, `event: want either "at" or "after"`)
	case seen["after"] != nil && before == 0:
		d.problem(seen["after"], 0, `event: the first one needs a time "at"`)
	case log == nil:
		d.problem(n, 0, `event: "log" is missing, here and in the scenario`)
	}
	if log != nil && base != nil && log != base && log.Kind == yaml.MappingNode && base.Kind == yaml.MappingNode {
		both := clone(base)
		merge(both, clone(log))
		log = both
	}
	if log != nil {
		d.readLog(&e.Log)(log)
	}
	return e
}

func (d *decoder) scenarioAlert(n *yaml.Node) ScenarioAlert {
	a, event := ScenarioAlert{Kind: "open"}, int64(0)
	seen := d.object(n, "alert", fields{
		"event": d.readNumber("event", &event, 1, 1_000_000),
		"kind":  d.readOne("kind", &a.Kind, "open", "closed", "overflow"),
		"title": d.readText("title", &a.Title),
		"terms": d.readTexts("terms", &a.Terms),
		"count": d.readNumber("count", &a.Count, 1, 1_000_000_000),
	})
	d.require(n, "alert", seen, "event")
	a.Event = int(event)
	return a
}

// readLog takes a record as keys and values, or a line as text.
func (d *decoder) readLog(to *[]byte) read {
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			var line string
			if d.text(n, "Log", &line) {
				*to = []byte(line)
			}
			return
		}
		var b bytes.Buffer
		d.json(&b, n)
		*to = b.Bytes()
	}
}

// json writes a node as the JSON it stands for.
func (d *decoder) json(b *bytes.Buffer, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		seen := make(map[string]bool)
		b.WriteByte('{')
		for key, value := range pairs(n) {
			if key.Kind != yaml.ScalarNode || seen[key.Value] {
				d.problem(key, 0, "Log: the key %s is there twice, or no word", shown(key))
			}
			if len(seen) > 0 {
				b.WriteByte(',')
			}
			seen[key.Value] = true
			writeString(b, key.Value)
			b.WriteByte(':')
			d.json(b, value)
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			d.json(b, item)
		}
		b.WriteByte(']')
	default:
		writeScalar(b, n)
	}
}

func writeScalar(b *bytes.Buffer, n *yaml.Node) {
	switch n.ShortTag() {
	case "!!null":
		b.WriteString("null")
	case "!!bool":
		fmt.Fprintf(b, "%v", n.Value[0] == 't' || n.Value[0] == 'T')
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			b.WriteString(n.Value)
		} else if v, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
			b.WriteString(strconv.FormatInt(v, 10))
		} else {
			writeString(b, n.Value)
		}
	default: // a time too is text in JSON
		writeString(b, n.Value)
	}
}

func writeString(b *bytes.Buffer, s string) {
	text, _ := json.Marshal(s) // text always marshals
	b.Write(text)
}
