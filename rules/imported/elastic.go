package imported

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"firstseen/schemas"
)

// elasticFile is a file of Elastic's detection-rules repository as far as it is carried. See elastic_keys.go for the
// other keys.
type elasticFile struct {
	Metadata struct {
		Maturity    string `toml:"maturity"`
		UpdatedDate string `toml:"updated_date"`
	} `toml:"metadata"`
	Rule elasticRule `toml:"rule"`
}

type elasticRule struct {
	RuleID        string          `toml:"rule_id"`
	Name          string          `toml:"name"`
	Description   string          `toml:"description"`
	Author        []string        `toml:"author"`
	License       string          `toml:"license"`
	Type          string          `toml:"type"`
	Language      string          `toml:"language"`
	Index         []string        `toml:"index"`
	Query         string          `toml:"query"`
	From          string          `toml:"from"`
	Interval      string          `toml:"interval"`
	MaxSignals    int64           `toml:"max_signals"`
	Enabled       *bool           `toml:"enabled"`
	BuildingBlock string          `toml:"building_block_type"`
	Severity      string          `toml:"severity"`
	RiskScore     *int64          `toml:"risk_score"`
	Tags          []string        `toml:"tags"`
	References    []string        `toml:"references"`
	FalsePositive []string        `toml:"false_positives"`
	Note          string          `toml:"note"`
	Setup         string          `toml:"setup"`
	NewTerms      *elasticTerms   `toml:"new_terms"`
	Threshold     *elasticCount   `toml:"threshold"`
	Suppression   *elasticGroup   `toml:"alert_suppression"`
	Threat        []elasticThreat `toml:"threat"`
}

type elasticTerms struct {
	Field   string   `toml:"field"` // new_terms_fields
	Value   []string `toml:"value"`
	History []struct {
		Field string `toml:"field"` // history_window_start
		Value string `toml:"value"`
	} `toml:"history_window_start"`
}

type elasticCount struct {
	Field       any   `toml:"field"` // a name or a list of them
	Value       int64 `toml:"value"`
	Cardinality []struct {
		Field string `toml:"field"`
		Value int64  `toml:"value"`
	} `toml:"cardinality"`
}

type elasticGroup struct {
	GroupBy  []string `toml:"group_by"`
	Duration *struct {
		Value int64  `toml:"value"`
		Unit  string `toml:"unit"`
	} `toml:"duration"`
	Missing string `toml:"missing_fields_strategy"`
}

type elasticThreat struct {
	Framework string `toml:"framework"`
	Tactic    attack `toml:"tactic"`
	Technique []struct {
		attack
		Sub []attack `toml:"subtechnique"`
	} `toml:"technique"`
}

// Elastic carries one rule of Elastic's detection-rules format, TOML with the tables metadata and rule, of the types
// query, new_terms and threshold in the Kibana Query Language on CloudTrail. name is the file's, for messages.
// The error is a Problems. The rule's id is the UUID it has there, so that it stays when the rule is renamed.
//
// Source: the reference of Elastic's detection API, https://www.elastic.co/docs/api/doc/kibana/group/endpoint-security-detections-api.
func Elastic(name string, text []byte) (*Rule, error) {
	t := &translation{name: name}
	var f elasticFile
	meta, err := toml.Decode(string(text), &f)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		t.name = fmt.Sprintf("%s:%d:%d", name, syntax.Position.Line, syntax.Position.Col)
		t.refuse("", "TOML: "+syntax.Message)
		return nil, t.problems
	case err != nil:
		field, reason := "", err.Error()
		if m := typeError.FindStringSubmatch(reason); m != nil {
			t.name, field, reason = name+":"+m[1], m[2], m[3]
		}
		t.refuse(field, "TOML: "+reason)
		return nil, t.problems
	case !meta.IsDefined("rule"):
		t.refuse("rule", "there is no such table: this is no rule of Elastic's")
		return nil, t.problems
	}
	e := &elastic{translation: t, rule: &f.Rule}
	if !e.scope() { // of another kind, or of other data: the rest would be noise
		return nil, t.problems
	}
	e.keys(meta, text)
	e.about(f.Metadata.UpdatedDate)
	e.query()
	e.alerts()
	e.threats()
	switch {
	case f.Metadata.Maturity == "deprecated":
		e.note("metadata.maturity", "its authors have withdrawn it (deprecated)")
	case f.Rule.BuildingBlock != "":
		e.note("rule.building_block_type", "its alerts are shown to nobody there; mode shadow sends them to the suppressed topic")
		e.out().Mode = "shadow"
	}
	if f.Rule.Enabled != nil && !*f.Rule.Enabled {
		e.out().Mode = "off"
	}
	return t.finish("From "+base(name)+", a detection rule in Elastic's format, by firstseen import elastic.", map[string]string{
		"query": "rule.query", "new_terms.fields": "rule.new_terms.value", "dedup.by": "rule.threshold.field", "id": "rule.rule_id",
		"threat": "rule.threat", "severity": "rule.severity", "risk_score": "rule.risk_score", "max_alerts.count": "rule.max_signals",
	})
}

// typeError is how the TOML reader says that a value is of another type than a field.
var typeError = regexp.MustCompile(`^toml: line (\d+) \(last key "([^"]*)"\): (.*)$`)

// elastic is the translation of one rule.
type elastic struct {
	*translation
	rule *elasticRule
}

func (e *elastic) out() *file { return &e.translation.rule }

var elasticTypes = []string{"query", "new_terms", "threshold"}

// indexes are the patterns that may hold CloudTrail among other data; then the query says that it means CloudTrail.
var indexes = []string{"filebeat-*", "logs-*", "logs-aws*", "logs-aws.*", "*"}

// scope says whether the rule is of a kind that can be carried at all.
func (e *elastic) scope() bool {
	r := e.rule
	if !slices.Contains(elasticTypes, r.Type) {
		e.refuse("rule.type", fmt.Sprintf("%q cannot be carried, only %s", r.Type, strings.Join(elasticTypes, ", ")))
	}
	if r.Language != "" && r.Language != "kuery" {
		e.refuse("rule.language", fmt.Sprintf("%q cannot be carried, only kuery, the Kibana Query Language", r.Language))
	}
	named := strings.Contains(r.Query, schemas.CloudTrail.String())
	for _, index := range r.Index {
		if strings.Contains(index, schemas.CloudTrail.String()) {
			named = true
		} else if !slices.Contains(indexes, index) {
			e.refuse("rule.index", fmt.Sprintf("%q holds other data than CloudTrail", index))
		}
	}
	if !named {
		e.refuse("rule.index", "neither the index nor the query says that the rule is about CloudTrail (aws.cloudtrail)")
	}
	return len(e.problems) == 0
}

// about carries what alerts say about the rule. Its version is the day of its last change: the files have no other.
func (e *elastic) about(updated string) {
	r, out := e.rule, e.out()
	out.ID, out.Name, out.Description = r.RuleID, tidy(r.Name), tidy(r.Description)
	out.Version = strings.ReplaceAll(updated, "/", "-")
	out.Origin = origin{Authors: tidyAll(r.Author), License: tidy(r.License)}
	out.Dataset = schemas.CloudTrail.String()
	out.Severity, out.RiskScore = r.Severity, r.RiskScore
	out.Tags, out.References, out.FalsePositives = tidyAll(r.Tags), tidyAll(r.References), tidyAll(r.FalsePositive)
	out.Runbook = strings.Join(tidyAll([]string{r.Note, r.Setup}), "\n\n")
	for field, value := range map[string]string{"rule.rule_id": out.ID, "rule.name": out.Name, "rule.severity": out.Severity} {
		if value == "" {
			e.refuse(field, "is missing")
		}
	}
}

// alerts carries when matches make alerts: for each event, for new terms, or for a number within a time; and at most
// so many an execution.
func (e *elastic) alerts() {
	r, out := e.rule, e.out()
	out.MaxAlerts = &maxAlerts{Count: r.MaxSignals, Per: e.duration("rule.interval", r.Interval, "5m")}
	if r.MaxSignals == 0 {
		out.MaxAlerts.Count = 100
	}
	if n := r.NewTerms; (n != nil) != (r.Type == "new_terms") {
		e.refuse("rule.new_terms", "a rule of type new_terms has it, and no other")
	} else if n != nil {
		out.NewTerms = &newTerms{Fields: n.Value}
		if len(n.History) != 1 || n.History[0].Field != "history_window_start" {
			e.refuse("rule.new_terms.history_window_start", "want one entry with this field")
		} else {
			out.NewTerms.History = e.ago("rule.new_terms.history_window_start.value", n.History[0].Value)
		}
		e.known("rule.new_terms.value", n.Value)
	}
	if n := r.Threshold; (n != nil) != (r.Type == "threshold") {
		e.refuse("rule.threshold", "a rule of type threshold has it, and no other")
	} else if n != nil {
		e.threshold(n)
	}
	if r.Suppression != nil {
		e.suppression(r.Suppression)
	}
}

// threshold carries a count within the rule's look-back time. There it is counted over the time before each execution;
// here over windows that begin with the first match of a group. An event without one of the fields is in no group there.
func (e *elastic) threshold(n *elasticCount) {
	var names []string
	switch field := n.Field.(type) {
	case string:
		names = []string{field}
	case []any:
		for _, f := range field {
			names = append(names, fmt.Sprint(f))
		}
	}
	names = slices.DeleteFunc(names, func(s string) bool { return s == "" })
	e.known("rule.threshold.field", names)
	for _, c := range n.Cardinality {
		e.refuse("rule.threshold.cardinality", fmt.Sprintf("distinct values of %q are not counted here, only matches", c.Field))
	}
	if n.Value < 1 {
		e.refuse("rule.threshold.value", "want at least 1")
	}
	from := e.rule.From
	if from == "" {
		from = "now-6m"
	}
	out := e.out()
	out.Threshold = n.Value
	out.Dedup = &dedup{By: "title", Period: e.ago("rule.from", from)}
	if len(names) > 0 {
		out.Dedup.By = names
		out.Query = "(" + out.Query + ")"
		for _, name := range names {
			out.Query += "\nand " + name + ": *"
		}
	}
}

// suppression carries one alert for each group and time. Without a time it is one an execution.
func (e *elastic) suppression(s *elasticGroup) {
	if e.rule.Type == "threshold" {
		e.refuse("rule.alert_suppression", "a threshold has groups and a time already")
		return
	}
	if s.Missing != "" && s.Missing != "suppress" {
		e.refuse("rule.alert_suppression.missing_fields_strategy", fmt.Sprintf("%q: here events without a field are a group too", s.Missing))
	}
	e.known("rule.alert_suppression.group_by", s.GroupBy)
	period := e.duration("rule.interval", e.rule.Interval, "5m")
	if d := s.Duration; d != nil {
		period = e.duration("rule.alert_suppression.duration", strconv.FormatInt(d.Value, 10)+d.Unit, "")
	}
	e.out().Dedup = &dedup{By: s.GroupBy, Period: period}
}

// threats carries the tactics with their techniques; sub-techniques stand behind their technique.
func (e *elastic) threats() {
	for _, t := range e.rule.Threat {
		out := threat{Framework: t.Framework, Tactic: t.Tactic}
		for _, q := range t.Technique {
			out.Techniques = append(append(out.Techniques, q.attack), q.Sub...)
		}
		e.out().Threat = append(e.out().Threat, out)
	}
}

var durationForm = regexp.MustCompile(`^([1-9][0-9]{0,6})([smhdw])$`)

// duration carries a time such as 5m; empty is the default.
func (e *elastic) duration(field, text, fallback string) string {
	if text == "" {
		return fallback
	}
	m := durationForm.FindStringSubmatch(text)
	if m == nil {
		e.refuse(field, fmt.Sprintf("%q is no time that can be carried: want a number and s, m, h, d or w", text))
		return ""
	}
	if n, _ := strconv.Atoi(m[1]); m[2] == "w" {
		return strconv.Itoa(7*n) + "d"
	}
	return text
}

// ago carries a time before now, such as now-7d.
func (e *elastic) ago(field, text string) string {
	before, ok := strings.CutPrefix(text, "now-")
	if !ok {
		e.refuse(field, fmt.Sprintf("%q cannot be carried: want now- and a number and s, m, h, d or w", text))
		return ""
	}
	return e.duration(field, before, "")
}
