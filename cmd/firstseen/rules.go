package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/rules"
	"firstseen/rules/builtin"
	"firstseen/rules/rulefile"
)

type rulesCmd struct {
	List rulesListCmd `cmd:"" help:"The rules that are loaded, and the presets that could be."`
	Show rulesShowCmd `cmd:"" help:"A rule as it is loaded, with its defaults and what the configuration changes."`
	New  rulesNewCmd  `cmd:"" help:"Write a rule file to begin with, and its tests."`
}

type rulesListCmd struct {
	deployment.RuleFlags `embed:""`
	JSON                 bool `name:"json" help:"Print one JSON document."`
}

// ruleLine is a rule in a list.
type ruleLine struct {
	ID       string `json:"id"`
	Mode     string `json:"mode"` // active, shadow or off; available: a preset that nobody has named
	Dataset  string `json:"dataset"`
	Kind     string `json:"kind"` // new-terms, allowlist, threshold or query
	Severity string `json:"severity"`
	Title    string `json:"title"` // a template
	File     string `json:"file"`
	Preset   bool   `json:"preset"`
}

// available is the mode of a preset that is not loaded.
const available = "available"

// kindOf is what makes the rule fire.
func kindOf(t *rulefile.Rule) string {
	switch {
	case t.NewTerms != nil:
		return "new-terms"
	case t.Allowlist != nil:
		return "allowlist"
	case t.Threshold > 1:
		return "threshold"
	}
	return "query"
}

func newRuleLine(r *rules.Rule) ruleLine {
	t := r.Text()
	return ruleLine{ID: t.ID, Mode: t.Mode, Dataset: t.Dataset, Kind: kindOf(t), Severity: t.Severity, Title: t.Title, File: r.File(),
		Preset: strings.HasPrefix(r.File(), "builtin/presets/")}
}

// Run lists the rules by id, loaded ones first.
func (c *rulesListCmd) Run(a *cli.App) error {
	set, err := c.Load(a.Stderr)
	if err != nil {
		return err
	}
	lines := []ruleLine{}
	var others []string
	for _, r := range set.Rules() {
		lines = append(lines, newRuleLine(r))
	}
	for _, name := range builtin.Presets() {
		if set.Rule(name) == nil {
			others = append(others, name)
		}
	}
	presets, _, err := rules.Load(rules.LoadOptions{Presets: others, NoBuiltin: true, Strict: c.Strict})
	if err != nil {
		return err
	}
	for _, r := range presets.Rules() {
		line := newRuleLine(r)
		line.Mode = available
		lines = append(lines, line)
	}
	if c.JSON {
		enc := json.NewEncoder(a.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Ruleset string     `json:"ruleset"` // as alerts name it
			Rules   []ruleLine `json:"rules"`
		}{fmt.Sprintf("%x", set.Hash()), lines})
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tMODE\tDATASET\tKIND\tSEVERITY\tFILE\tTITLE")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.Mode, l.Dataset, l.Kind, l.Severity, l.File, l.Title)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "%s loaded, ruleset %x\n", show.Plural(int64(len(set.Rules())), "rule"), set.Hash())
	if len(others) > 0 {
		fmt.Fprintf(a.Stderr, "%s available: name them in rules.presets or with --preset\n", show.Plural(int64(len(others)), "preset"))
	}
	return nil
}

type rulesShowCmd struct {
	deployment.RuleFlags `embed:""`
	Schema               bool   `help:"Print the JSON Schema of rule files instead, for editors."`
	ID                   string `arg:"" optional:"" name:"id" help:"The rule; a preset need not be named otherwise."`
}

// Run prints the rule as a rule file, and in comments where it is from.
func (c *rulesShowCmd) Run(a *cli.App) error {
	if c.Schema {
		_, err := a.Stdout.Write(rules.Schema)
		return err
	}
	if c.ID == "" {
		return cli.Usage(errors.New("which rule? firstseen rules list shows them; --schema prints the JSON Schema"))
	}
	if slices.Contains(builtin.Presets(), c.ID) {
		c.Preset = append(c.Preset, c.ID)
	}
	o, err := c.Options()
	if err != nil {
		return err
	}
	set, _, err := rules.Load(o)
	if err != nil {
		return cli.Usage(err)
	}
	r := set.Rule(c.ID)
	if r == nil {
		var ids []string
		for _, r := range set.Rules() {
			ids = append(ids, r.ID())
		}
		return cli.Usage(rules.Errors{{Message: fmt.Sprintf("no rule %q is loaded", c.ID), Suggestion: rulefile.Nearest(c.ID, append(ids, builtin.Presets()...))}})
	}
	return writeRule(a.Stdout, r, o)
}

func writeRule(w io.Writer, r *rules.Rule, o rules.LoadOptions) error {
	text, err := r.Text().YAML()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "# %s, %s\n", r.File(), map[bool]string{true: "with its strict block", false: "as it is loaded, without its tests"}[o.Strict])
	for _, changed := range overridden(r.ID(), o) {
		fmt.Fprintf(w, "# changed by %s\n", changed)
	}
	fmt.Fprintf(w, "# state %x: what has been seen is kept as long as this is the same, whatever else changes\n", r.State())
	if v := r.Info().NetworksVersion; v != "" {
		fmt.Fprintf(w, "# networks %s: the version of the allowlist that alerts name\n", v)
	}
	_, err = fmt.Fprintf(w, "\n%s", text)
	return err
}

// overridden lists what changes parameters of a rule, in the order in which it is applied.
func overridden(id string, o rules.LoadOptions) (list []string) {
	for _, key := range slices.Sorted(maps.Keys(o.Overrides[id])) {
		list = append(list, "the configuration, rules.overrides: "+key)
	}
	for _, set := range o.Set {
		if strings.HasPrefix(set, id+".") {
			list = append(list, "--set "+set)
		}
	}
	return list
}
