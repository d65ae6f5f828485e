// Package rulefile reads rule files: one YAML file says what a rule looks for, what its alerts say, and how it is
// tested. Reading is strict. An unknown key, a wrong type, a duration without a unit, a network with host bits, a query
// that does not parse or names an unknown field: each is a Problem at its line and column, and all of a file are found
// at once.
//
// What a rule means is decided in package rules; here it is only text that has been checked.
package rulefile

import "firstseen/rules/allowlist"

// Rule is the content of a rule file after the strict block, overrides and defaults have been applied. Its JSON form is
// canonical: files that mean the same give the same bytes. Durations are milliseconds.
type Rule struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`

	Dataset   string     `json:"dataset"`          // aws.cloudtrail or aws.s3access
	Query     string     `json:"query,omitempty"`  // Kibana Query Language; empty: every event of the dataset
	Except    string     `json:"except,omitempty"` // what the query matches and the rule is not about; empty: nothing
	Allowlist *Allowlist `json:"allowlist,omitempty"`
	NewTerms  *NewTerms  `json:"new_terms,omitempty"`

	Dedup     *Dedup     `json:"dedup,omitempty"`
	Threshold int64      `json:"threshold"`
	MaxAlerts *MaxAlerts `json:"max_alerts,omitempty"`
	Mode      string     `json:"mode"` // active, shadow or off

	Title             string   `json:"title"` // a template, see ParseTemplate
	Severity          string   `json:"severity"`
	RiskScore         int64    `json:"risk_score"`
	Threat            []Threat `json:"threat,omitempty"`
	Tags              []string `json:"tags,omitempty"`
	References        []string `json:"references,omitempty"`
	Runbook           string   `json:"runbook,omitempty"`
	FalsePositives    []string `json:"false_positives,omitempty"`
	SummaryAttributes []string `json:"summary_attributes,omitempty"`
	AlertContext      string   `json:"alert_context,omitempty"` // "panther": its context names are in the alert too
	Origin            *Origin  `json:"origin,omitempty"`

	Tests     []Test     `json:"-"`
	Scenarios []Scenario `json:"-"`
}

// Allowlist makes a rule match only where the field is outside all networks.
type Allowlist struct {
	Field    string            `json:"field"`
	Networks []allowlist.Entry `json:"networks"` // of the rule and of its files, see allowlist.Normal
	Written  []allowlist.Entry `json:"-"`        // the same as somebody wrote them, with place, owner and comment
}

// NewTerms makes a rule fire only for values that were not seen within the history.
type NewTerms struct {
	Fields  []string `json:"fields"` // 1 to 3
	History int64    `json:"history"`
}

// Dedup groups matches: those of a window that begins with a group's first match make one alert.
type Dedup struct {
	By     []string `json:"by,omitempty"` // fields; none: by title
	Period int64    `json:"period"`
}

// MaxAlerts is the cap on a rule's alerts.
type MaxAlerts struct {
	Count int64 `json:"count"`
	Per   int64 `json:"per"`
}

// Threat is a tactic of a framework, MITRE ATT&CK unless the rule says another, and techniques of it.
type Threat struct {
	Framework  string   `json:"framework" yaml:"framework"`
	Tactic     Attack   `json:"tactic" yaml:"tactic"`
	Techniques []Attack `json:"techniques,omitempty" yaml:"techniques,omitempty"`
}

// Attack is a tactic or a technique.
type Attack struct {
	ID        string `json:"id" yaml:"id"`
	Name      string `json:"name" yaml:"name"`
	Reference string `json:"reference" yaml:"reference"`
}

// Origin credits who the idea of a rule is from.
type Origin struct {
	Authors []string `json:"authors,omitempty" yaml:"authors,omitempty"`
	License string   `json:"license,omitempty" yaml:"license,omitempty"`
	URL     string   `json:"url,omitempty" yaml:"url,omitempty"`
	Notes   string   `json:"notes,omitempty" yaml:"notes,omitempty"`
}

// Severities and the risk score each has unless the rule says otherwise.
var riskScores = map[string]int64{"info": 21, "low": 21, "medium": 47, "high": 73, "critical": 99}

// Modes of a rule.
const (
	Active = "active"
	Shadow = "shadow" // everything but the alert, which goes to the suppressed topic
	Off    = "off"    // not evaluated
)
