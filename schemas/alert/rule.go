package alert

import "sync/atomic"

// Rule is what an alert says about its rule. Texts are as in the rule file; empty ones are left out of the documents.
type Rule struct {
	ID, Name, Version string
	Category          string // new_terms, allowlist or query
	Description       string
	Severity          string // info, low, medium, high or critical
	RiskScore         int    // 0 to 100; 0: that of the severity
	Tags              []string
	References        []string
	FalsePositives    []string
	Runbook           string
	Threat            []Threat
	Dataset           string   // aws.cloudtrail or aws.s3access
	Fields            []string // of new terms, in the order of the values
	GroupBy           []string // what makes a group; empty: the rule does
	SummaryAttributes []string
	NetworksVersion   string // which state of the allowlist's networks
	Panther           bool   // the alert carries the names of Panther's alert context

	begun atomic.Pointer[beginning] // made for the first document; a Rule that has been shown must not change
}

// Threat is a tactic of a framework and techniques of it.
type Threat struct {
	Framework       string      `json:"framework"` // "MITRE ATT&CK"
	TacticID        string      `json:"tactic_id"`
	TacticName      string      `json:"tactic_name"`
	TacticReference string      `json:"tactic_reference,omitempty"`
	Techniques      []Technique `json:"techniques,omitempty"`
}

// Technique is a technique, or a subtechnique if its ID has a dot: T1078.004.
type Technique struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Reference string `json:"reference,omitempty"`
}

// gapRule stands in for the rule in alerts of kind Gap, which no rule makes.
var gapRule = &Rule{
	ID: "firstseen.source-gap", Name: "Records lost before they were read", Version: "1", Category: "gap",
	Description: "The retention of a source topic ended before the worker had read the records, and on_source_gap is continue.",
	Severity:    "high",
}

// riskScore returns the rule's score, or that of its severity.
func (r *Rule) riskScore() int {
	if r.RiskScore == 0 {
		return score(r.Severity)
	}
	return r.RiskScore
}

// score returns the number of a severity in ECS and in Elastic's rules.
func score(severity string) int {
	switch severity {
	case "critical":
		return 99
	case "high":
		return 73
	case "medium":
		return 47
	}
	return 21
}
