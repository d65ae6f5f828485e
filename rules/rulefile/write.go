package rulefile

import (
	"bytes"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// written is a rule in the order in which a rule file is read best. The keys are those of the decoder.
type written struct {
	ID          string  `yaml:"id"`
	Name        string  `yaml:"name"`
	Version     string  `yaml:"version"`
	Description string  `yaml:"description,omitempty"`
	Origin      *Origin `yaml:"origin,omitempty"`

	Dataset   string            `yaml:"dataset"`
	Query     string            `yaml:"query,omitempty"`
	Except    string            `yaml:"except,omitempty"`
	Allowlist *writtenAllowlist `yaml:"allowlist,omitempty"`
	NewTerms  *writtenTerms     `yaml:"new_terms,omitempty"`
	Dedup     *writtenDedup     `yaml:"dedup,omitempty"`
	Threshold int64             `yaml:"threshold"`
	MaxAlerts *writtenCap       `yaml:"max_alerts,omitempty"`
	Mode      string            `yaml:"mode"`

	Title             string   `yaml:"title"`
	Severity          string   `yaml:"severity"`
	RiskScore         int64    `yaml:"risk_score"`
	Threat            []Threat `yaml:"threat,omitempty"`
	Tags              []string `yaml:"tags,omitempty"`
	References        []string `yaml:"references,omitempty"`
	Runbook           string   `yaml:"runbook,omitempty"`
	FalsePositives    []string `yaml:"false_positives,omitempty"`
	SummaryAttributes []string `yaml:"summary_attributes,omitempty,flow"`
	AlertContext      string   `yaml:"alert_context,omitempty"`
}

type writtenAllowlist struct {
	Field    string   `yaml:"field"`
	Networks []string `yaml:"networks"`
}

type writtenTerms struct {
	Fields  []string `yaml:"fields,flow"`
	History string   `yaml:"history"`
}

type writtenDedup struct {
	By     any    `yaml:"by,flow"` // title, or fields
	Period string `yaml:"period"`
}

type writtenCap struct {
	Count int64  `yaml:"count"`
	Per   string `yaml:"per"`
}

// YAML writes the rule as a rule file that reads as the same rule: with defaults, the strict block and overrides applied,
// the queries in canonical form, the networks of its files in place, and without tests.
func (r *Rule) YAML() ([]byte, error) {
	w := written{
		ID: r.ID, Name: r.Name, Version: r.Version, Description: r.Description, Origin: r.Origin, Dataset: r.Dataset, Query: r.Query,
		Except: r.Except, Threshold: r.Threshold, Mode: r.Mode, Title: r.Title, Severity: r.Severity, RiskScore: r.RiskScore,
		Threat: r.Threat, Tags: r.Tags, References: r.References, Runbook: r.Runbook, FalsePositives: r.FalsePositives,
		SummaryAttributes: r.SummaryAttributes, AlertContext: r.AlertContext,
	}
	if a := r.Allowlist; a != nil {
		w.Allowlist = &writtenAllowlist{Field: a.Field, Networks: []string{}}
		for _, e := range a.Networks {
			w.Allowlist.Networks = append(w.Allowlist.Networks, e.String())
		}
	}
	if t := r.NewTerms; t != nil {
		w.NewTerms = &writtenTerms{t.Fields, FormatDuration(t.History)}
	}
	if d := r.Dedup; d != nil {
		w.Dedup = &writtenDedup{By: "title", Period: FormatDuration(d.Period)}
		if len(d.By) > 0 {
			w.Dedup.By = d.By
		}
	}
	if m := r.MaxAlerts; m != nil {
		w.MaxAlerts = &writtenCap{m.Count, FormatDuration(m.Per)}
	}
	var b bytes.Buffer
	d, err := yaml.NewDumper(&b, yaml.WithIndent(2), yaml.WithCompactSeqIndent(false), yaml.WithLineWidth(120))
	if err != nil {
		return nil, err
	}
	if err := d.Dump(&w); err != nil {
		return nil, err
	}
	return b.Bytes(), d.Close()
}

// FormatDuration writes milliseconds as ParseDuration reads them: 90s, 15m, 12h or 7d.
func FormatDuration(ms int64) string {
	for _, unit := range "dhm" {
		if n := units[byte(unit)]; ms%n == 0 {
			return strconv.FormatInt(ms/n, 10) + string(unit)
		}
	}
	return strconv.FormatInt(ms/1000, 10) + "s"
}
