// Package imported turns other people's rules into rule files: Elastic's detection rules (TOML) and the metadata and
// tests of Panther's (YAML). It is pure: the text of one rule in, the text of one rule file and what was lost on the way
// out.
//
// What a rule means is carried whole or not at all. A key that would change which events match, or when they make an
// alert, and that has no counterpart here is a Problem that names it, and there is no file. What is only shown or only
// schedules the other product is left out; where somebody may miss it, a note says so, also at the head of the file.
package imported

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"firstseen/rules/rulefile"
)

// Problem is why a rule cannot be carried, or what of it was left out.
type Problem struct {
	File   string // as given
	Field  string // in the other format, like rule.threshold.cardinality; empty: the file as a whole
	Reason string
}

// String is "file: field: reason".
func (p Problem) String() string {
	var parts []string
	for _, s := range []string{p.File, p.Field, p.Reason} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Problems is everything that keeps a rule from being carried.
type Problems []Problem

// Error has one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Rule is a rule that has been carried.
type Rule struct {
	ID    string
	Text  []byte    // of the rule file, which firstseen reads without an error
	Notes []Problem // what was left out or changed, in the order of the file
}

// file is a rule file in the order in which a person reads it.
type file struct {
	ID          string `yaml:"id"`
	Name        string `yaml:"name"`
	Version     string `yaml:"version,omitempty"`
	Description string `yaml:"description,omitempty"`
	Origin      origin `yaml:"origin,omitempty"`

	Dataset   string     `yaml:"dataset"`
	Query     string     `yaml:"query,omitempty"`
	Except    string     `yaml:"except,omitempty"`
	Allowlist *yaml.Node `yaml:"allowlist,omitempty"`
	NewTerms  *newTerms  `yaml:"new_terms,omitempty"`
	Dedup     *dedup     `yaml:"dedup,omitempty"`
	Threshold int64      `yaml:"threshold,omitempty"`
	MaxAlerts *maxAlerts `yaml:"max_alerts,omitempty"`
	Mode      string     `yaml:"mode,omitempty"`

	Title             string      `yaml:"title,omitempty"`
	Severity          string      `yaml:"severity"`
	RiskScore         *int64      `yaml:"risk_score,omitempty"`
	Threat            []threat    `yaml:"threat,omitempty"`
	Tags              []string    `yaml:"tags,omitempty"`
	References        []string    `yaml:"references,omitempty"`
	Runbook           string      `yaml:"runbook,omitempty"`
	FalsePositives    []string    `yaml:"false_positives,omitempty"`
	SummaryAttributes []string    `yaml:"summary_attributes,omitempty"`
	AlertContext      string      `yaml:"alert_context,omitempty"`
	Tests             []yaml.Node `yaml:"tests,omitempty"`
}

type origin struct {
	Authors []string `yaml:"authors,omitempty"`
	License string   `yaml:"license,omitempty"`
	Notes   string   `yaml:"notes,omitempty"`
}

type newTerms struct {
	Fields  []string `yaml:"fields"`
	History string   `yaml:"history"`
}

type dedup struct {
	By     any    `yaml:"by"` // "title", or field names
	Period string `yaml:"period"`
}

type maxAlerts struct {
	Count int64  `yaml:"count"`
	Per   string `yaml:"per"`
}

type threat struct {
	Framework  string   `yaml:"framework,omitempty"`
	Tactic     attack   `yaml:"tactic"`
	Techniques []attack `yaml:"techniques,omitempty"`
}

type attack struct {
	ID        string `yaml:"id" toml:"id"`
	Name      string `yaml:"name" toml:"name"`
	Reference string `yaml:"reference,omitempty" toml:"reference"`
}

// translation is the rule file as it comes to be, and what was found on the way.
type translation struct {
	name     string // of the file that is read
	rule     file
	notes    []Problem
	problems Problems
}

func (t *translation) refuse(field, reason string) {
	t.problems = append(t.problems, Problem{File: t.name, Field: field, Reason: reason})
}

func (t *translation) note(field, reason string) {
	t.notes = append(t.notes, Problem{File: t.name, Field: field, Reason: reason})
}

// finish writes the file and reads it as firstseen will, so that what comes out is a rule. fields says what the keys of
// a rule file are called in the other format.
func (t *translation) finish(head string, fields map[string]string) (*Rule, error) {
	if len(t.problems) > 0 {
		return nil, t.problems
	}
	body, err := yaml.Dump(&t.rule, yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, err
	}
	text := "# " + head + "\n"
	for _, n := range t.notes {
		text += "# " + strings.ReplaceAll(Problem{Field: n.Field, Reason: n.Reason}.String(), "\n", " ") + "\n"
	}
	text += "\n" + string(body)
	opened, err := rulefile.Open("", []byte(text))
	if err == nil {
		_, err = opened.Rule(rulefile.Options{ReadFile: os.ReadFile})
	}
	var found rulefile.Errors
	if errors.As(err, &found) {
		for _, p := range found {
			p.Line, p.Col = 0, 0 // of a file that nobody has
			key, reason, _ := strings.Cut(p.String(), ": ")
			t.refuse(cmp.Or(fields[key], key), reason)
		}
		return nil, t.problems
	}
	return &Rule{ID: t.rule.ID, Text: []byte(text), Notes: t.notes}, err
}

// tidy takes the white space off the ends of a text and of its lines, so that YAML can show it as it is.
func tidy(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		rest := strings.TrimLeft(line, "\t ")
		lines[i] = strings.TrimRight(strings.ReplaceAll(line[:len(line)-len(rest)], "\t", "    ")+rest, " \t")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// tidyAll is tidy for a list; what is empty is left out.
func tidyAll(texts []string) (out []string) {
	for _, text := range texts {
		out = append(out, tidy(text))
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}
