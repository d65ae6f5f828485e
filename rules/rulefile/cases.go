package rulefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// Test is a test of one record: Panther's form, taken as it is.
type Test struct {
	Name   string
	Want   bool   // ExpectedResult: the rule matches
	Log    []byte // the record, JSON; or the line, where the file has text
	NotRun string // why the test cannot be run here; usually empty
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

// test reads one of Panther's tests. Mocks stand in for functions of a rule in Python, and decide what it answers: with
// them the test is one of that rule, not of this one.
func (d *decoder) test(n *yaml.Node) (t Test) {
	seen := d.object(n, "test", fields{
		"Name": d.readText("Name", &t.Name),
		"ExpectedResult": func(n *yaml.Node) {
			if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
				d.problem(n, 0, "ExpectedResult: want true or false, got %s", shown(n))
				return
			}
			t.Want = n.Value[0] == 't' || n.Value[0] == 'T'
		},
		"Log":     d.readLog(&t.Log),
		"LogType": d.readText("LogType", new(string)),
		"Mocks": func(n *yaml.Node) {
			if len(n.Content) > 0 {
				t.NotRun = "its Mocks replace functions of a rule in Python"
			}
		},
	})
	d.require(n, "test", seen, "Name", "ExpectedResult", "Log")
	return t
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
