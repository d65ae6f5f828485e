package rulefile

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Panther is what is read of one of Panther's metadata files: whose tests it has, and the tests. The rule itself is in
// Python, and is not run.
type Panther struct {
	File     string
	Kind     string   // AnalysisType: rule, policy, datamodel, ...
	RuleID   string   // the rule that the tests are of; empty where the file has no tests that can be run
	LogTypes []string // Panther's names
	Tests    []Test
	Ignored  []Problem // what of the tests is not looked at
	place    Problem
}

// IDPlace is where the file says its RuleID.
func (p *Panther) IDPlace() Problem { return p.place }

// ReadPanther reads a metadata file as it is. It is told by its keys: ok is false for any other file, also for one whose
// YAML is broken. The error is an Errors.
func ReadPanther(name string, text []byte) (p *Panther, ok bool, err error) {
	root, problem := parseYAML(name, text)
	if problem != nil || root.Kind != yaml.MappingNode || has(root, "id") || !has(root, "AnalysisType") && !has(root, "RuleID") && !has(root, "Tests") {
		return nil, false, nil
	}
	d := &decoder{file: newSource(name, string(text))}
	if problems := plainNodes(d.file, root); len(problems) > 0 {
		return nil, true, problems
	}
	p = &Panther{File: name, Kind: "rule", place: Problem{File: name, Line: root.Line, Col: root.Column}}
	keys := map[string]*yaml.Node{}
	for key, value := range pairs(root) {
		keys[key.Value] = value
	}
	if n := keys["AnalysisType"]; n != nil {
		d.text(n, "AnalysisType", &p.Kind)
	}
	if n := keys["Tests"]; n != nil && !isNull(n) {
		if p.Kind == "rule" {
			d.pantherTests(p, keys)
		} else {
			line, col := d.file.at(n, 0)
			p.Ignored = append(p.Ignored, Problem{File: name, Line: line, Col: col, Message: "the tests of a " + clip(p.Kind) + " are not run, only those of a rule"})
		}
	}
	if len(d.problems) > 0 {
		return nil, true, d.problems.Sorted()
	}
	return p, true, nil
}

func (d *decoder) pantherTests(p *Panther, keys map[string]*yaml.Node) {
	if n := keys["RuleID"]; n == nil {
		d.problems = append(d.problems, Problem{File: p.File, Line: p.place.Line, Col: p.place.Col, Message: `"RuleID" is missing: it says which rule the tests are of`})
	} else if d.text(n, "RuleID", &p.RuleID) {
		p.place.Line, p.place.Col = d.file.at(n, 0)
	}
	if n := keys["LogTypes"]; n != nil {
		d.readTexts("LogTypes", &p.LogTypes)(n)
	}
	d.list(keys["Tests"], "Tests", func(item *yaml.Node) {
		p.Tests = append(p.Tests, d.test(d.ignore(item, p)))
	})
}

// pantherKeys are those of a test that mean something here. What else Panther's tools look at, now or later, is no
// mistake in its own files, but is not looked at here.
var pantherKeys = []string{"Name", "ExpectedResult", "Log", "LogType", "Mocks"}

// ignore returns the test without the keys that are not looked at, and notes them.
func (d *decoder) ignore(n *yaml.Node, p *Panther) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return n
	}
	kept := *n
	kept.Content = nil
	for key, value := range pairs(n) {
		if slices.Contains(pantherKeys, key.Value) {
			kept.Content = append(kept.Content, key, value)
			continue
		}
		line, col := d.file.at(key, 0)
		p.Ignored = append(p.Ignored, Problem{File: p.File, Line: line, Col: col, Message: "Tests: " + clip(strings.ToValidUTF8(key.Value, "?")) + " is not compared"})
	}
	return &kept
}
