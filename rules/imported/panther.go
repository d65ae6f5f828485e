package imported

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"firstseen/schemas"
)

// panther is the translation of one rule.
type panther struct {
	*translation
	dataset schemas.Dataset
	python  string // file of the rule's logic
}

// pantherKeys are the keys of a rule's YAML and what becomes of them. A nil function leaves the key out: it says where
// alerts go, or how the rule is shown.
// Source: https://docs.panther.com/detections/rules/python#python-rule-specification-reference.
var pantherKeys = map[string]func(*panther, *yaml.Node){
	"RuleID":      func(p *panther, n *yaml.Node) { p.rule.ID = p.text("RuleID", n) },
	"DisplayName": func(p *panther, n *yaml.Node) { p.rule.Name = p.text("DisplayName", n) },
	"Description": func(p *panther, n *yaml.Node) { p.rule.Description = p.text("Description", n) },
	"Runbook":     func(p *panther, n *yaml.Node) { p.rule.Runbook = p.text("Runbook", n) },
	"Severity":    func(p *panther, n *yaml.Node) { p.rule.Severity = strings.ToLower(p.text("Severity", n)) },
	"Filename":    func(p *panther, n *yaml.Node) { p.python = p.text("Filename", n) },
	"Tags":        func(p *panther, n *yaml.Node) { p.rule.Tags = append(p.texts("Tags", n), p.rule.Tags...) },
	"Reference": func(p *panther, n *yaml.Node) {
		if link := p.text("Reference", n); link != "" {
			p.rule.References = []string{link}
		}
	},
	"Threshold": func(p *panther, n *yaml.Node) { p.rule.Threshold = p.number("Threshold", n) },
	"DedupPeriodMinutes": func(p *panther, n *yaml.Node) {
		p.rule.Dedup.Period = strconv.FormatInt(p.number("DedupPeriodMinutes", n), 10) + "m"
	},
	"Enabled": func(p *panther, n *yaml.Node) {
		if n.Value == "false" {
			p.rule.Mode = "off"
		}
	},
	"CreateAlert": func(p *panther, n *yaml.Node) {
		if n.Value == "false" && p.rule.Mode == "" {
			p.rule.Mode = "shadow"
		}
	},
	"Reports":           (*panther).reports,
	"SummaryAttributes": (*panther).summary,
	"Tests":             (*panther).tests,
	"AnalysisType":      nil, "LogTypes": nil, // looked at before
	"Status": nil, "OutputIds": nil, "CreatedBy": nil, "CreatedAt": nil, "LastModified": nil, "BasePath": nil,
}

var pantherLogs = map[string]schemas.Dataset{"AWS.CloudTrail": schemas.CloudTrail, "AWS.S3ServerAccess": schemas.S3Access}

// Panther carries the metadata and the tests of one rule of Panther's, the YAML file beside its Python. name is the
// file's, for messages. The error is a Problems.
//
// The Python is not run. A rule that firstseen has among its own, by the same id, gets its logic from there. Any other is
// written with a query that matches nothing, and off, for somebody to write the logic; its tests say what it has to do.
func Panther(name string, text []byte) (*Rule, error) {
	t := &translation{name: name}
	var root yaml.Node
	if err := yaml.Load(text, &root); err != nil {
		t.refuse("", "YAML: "+strings.TrimPrefix(err.Error(), "yaml: "))
		return nil, t.problems
	}
	p := &panther{translation: t, python: strings.TrimSuffix(base(name), filepath.Ext(name)) + ".py"}
	top := &root
	if top.Kind == yaml.DocumentNode {
		top = top.Content[0]
	}
	if !p.scope(top) {
		return nil, t.problems
	}
	t.rule.Dataset = p.dataset.String()
	t.rule.Dedup = &dedup{By: "title", Period: "60m"} // Panther's default
	if p.dataset == schemas.S3Access {
		t.rule.AlertContext = "panther"
	}
	for key, value := range members(top) {
		carry, known := pantherKeys[key]
		switch {
		case !known:
			p.refuse(key, "what this key means cannot be carried")
		case carry != nil:
			carry(p, value)
		}
	}
	if t.rule.Name == "" {
		t.rule.Name = t.rule.ID
	}
	p.logic()
	return t.finish("From "+base(name)+", the metadata and tests of a rule of Panther's, by firstseen import panther.", map[string]string{
		"id": "RuleID", "name": "DisplayName", "severity": "Severity", "dedup.period": "DedupPeriodMinutes", "threshold": "Threshold",
		"tests": "Tests", "threat": "Reports.MITRE ATT&CK", "tactic.id": "Reports.MITRE ATT&CK", "technique.id": "Reports.MITRE ATT&CK",
	})
}

// scope says whether the file is a rule on logs that firstseen reads.
func (p *panther) scope(top *yaml.Node) bool {
	if top.Kind != yaml.MappingNode {
		p.refuse("", "no keys and values: this is no rule of Panther's")
		return false
	}
	var logs []string
	kind, id := "rule", false
	for key, value := range members(top) {
		switch key {
		case "AnalysisType":
			kind = value.Value
		case "LogTypes":
			logs = p.texts(key, value)
		case "RuleID":
			id = true
		}
	}
	switch {
	case kind != "rule":
		p.refuse("AnalysisType", fmt.Sprintf("%q cannot be carried, only rule", kind))
	case !id:
		p.refuse("RuleID", "is missing: this is no rule of Panther's")
	case len(logs) != 1 || pantherLogs[logs[0]] == 0:
		p.refuse("LogTypes", fmt.Sprintf("%s cannot be carried, only one of AWS.CloudTrail and AWS.S3ServerAccess", strings.Join(logs, ", ")))
	default:
		p.dataset = pantherLogs[logs[0]]
	}
	return len(p.problems) == 0
}

var tactics = map[string]string{
	"TA0043": "Reconnaissance", "TA0042": "Resource Development", "TA0001": "Initial Access", "TA0002": "Execution",
	"TA0003": "Persistence", "TA0004": "Privilege Escalation", "TA0005": "Defense Evasion", "TA0006": "Credential Access",
	"TA0007": "Discovery", "TA0008": "Lateral Movement", "TA0009": "Collection", "TA0011": "Command and Control",
	"TA0010": "Exfiltration", "TA0040": "Impact",
}

var mitre = regexp.MustCompile(`^(TA\d{4})(?::(T\d{4}(?:\.\d{3})?))?$`)

// reports carries MITRE's entries, like TA0009:T1530, as threats, and those of other frameworks as tags. Techniques are
// called by their number, since their names are not there.
func (p *panther) reports(n *yaml.Node) {
	for framework, list := range members(n) {
		for _, entry := range p.texts("Reports."+framework, list) {
			if framework != "MITRE ATT&CK" {
				p.rule.Tags = append(p.rule.Tags, framework+": "+entry)
				continue
			}
			m := mitre.FindStringSubmatch(entry)
			if m == nil {
				p.refuse("Reports.MITRE ATT&CK", fmt.Sprintf("%q is not like TA0009:T1530", entry))
				continue
			}
			i := slices.IndexFunc(p.rule.Threat, func(t threat) bool { return t.Tactic.ID == m[1] })
			if i < 0 {
				i = len(p.rule.Threat)
				name := tactics[m[1]]
				if name == "" {
					name = m[1]
				}
				p.rule.Threat = append(p.rule.Threat, threat{Tactic: attack{ID: m[1], Name: name}})
			}
			if m[2] != "" {
				p.rule.Threat[i].Techniques = append(p.rule.Threat[i].Techniques, attack{ID: m[2], Name: m[2]})
			}
		}
	}
}

// tests carries the tests as they are. One that replaces functions of the Python cannot hold for anything else.
func (p *panther) tests(n *yaml.Node) {
	var out []string
	for _, test := range n.Content {
		name := ""
		var kept []*yaml.Node
		whole := true
		for i := 0; i+1 < len(test.Content); i += 2 {
			switch key := test.Content[i].Value; key {
			case "Name":
				name = test.Content[i+1].Value
				kept = append(kept, test.Content[i:i+2]...)
			case "ExpectedResult", "Log":
				kept = append(kept, test.Content[i:i+2]...)
			case "LogType", "ResourceType", "RuleOutputs":
			default: // Mocks
				whole = false
			}
		}
		if !whole {
			out = append(out, strconv.Quote(name))
			continue
		}
		test.Content = kept
		p.rule.Tests = append(p.rule.Tests, *test)
	}
	if len(out) > 0 {
		p.note("Tests.Mocks", "left out, as it replaces parts of the Python: "+strings.Join(out, ", "))
	}
}

func (p *panther) text(field string, n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		p.refuse(field, "want a text")
	}
	return tidy(n.Value)
}

func (p *panther) texts(field string, n *yaml.Node) (out []string) {
	if n.Kind != yaml.SequenceNode {
		p.refuse(field, "want a list of texts")
		return nil
	}
	for _, item := range n.Content {
		out = append(out, p.text(field, item))
	}
	return out
}

func (p *panther) number(field string, n *yaml.Node) int64 {
	number, err := strconv.ParseInt(n.Value, 10, 32)
	if err != nil {
		p.refuse(field, fmt.Sprintf("%q is no number", n.Value))
	}
	return number
}

// members yields the keys and values of a mapping.
func members(n *yaml.Node) func(yield func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}
