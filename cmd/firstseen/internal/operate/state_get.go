package operate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor"
	"firstseen/rules"
	"firstseen/rules/builtin"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

type getState struct {
	deployment.Flags `embed:""`
	Rules            []string `sep:"none" placeholder:"PATH" help:"Rule file, or directory of them, beside those of the configuration: terms of its rules are named. May be given several times."`
	Preset           []string `sep:"none" placeholder:"NAME" help:"A built-in rule that is off unless named. May be given several times."`
	State            string   `placeholder:"DIR" help:"The state directory of scan --state, or of a worker that does not run. Default: ask the brokers."`
	Rule             string   `placeholder:"ID" help:"Only this rule."`
	JSON             bool     `name:"json" help:"Print one JSON document."`
	Terms            []string `arg:"" name:"term" help:"An address, or another value of a rule's fields. Of a rule with several fields one is enough; with more only what has all of them is shown."`
}

// termView is what is remembered of the terms of one rule.
type termView struct {
	Rule      string   `json:"rule,omitempty"` // empty: of a rule that is gone, or whose fields have changed
	State     string   `json:"state"`          // state id, which stands for the rule and its fields
	Fields    []string `json:"fields,omitempty"`
	Terms     []string `json:"terms"`
	Partition int32    `json:"partition"` // of the detect stage
	First     string   `json:"first_seen"`
	Last      string   `json:"last_seen"`
	Count     int64    `json:"count"`
	New       string   `json:"new_after,omitempty"` // an event later than this finds the terms new again
}

// Run prints what is remembered of the terms, by rule. The changelog is asked, not a worker: it has what is committed.
func (c *getState) Run(a *cli.App) error {
	cfg, err := c.LoadAny()
	if err != nil {
		return err
	}
	cfg.Rules.Paths, cfg.Rules.Presets = append(cfg.Rules.Paths, c.Rules...), append(cfg.Rules.Presets, c.Preset...)
	wc, err := deployment.FromOutside(cfg, nil)
	if err != nil {
		return err
	}
	var l *processor.Lookup
	if c.State != "" {
		l, err = deployment.OpenStateDir(c.State, wc)
	} else {
		l, err = processor.OpenLookup(a.Ctx, wc)
	}
	if err != nil {
		return err
	}
	defer l.Close() // it was only read
	if err := c.checkRule(wc.Rules, l.RulesWithTerms()); err != nil {
		return cli.Usage(err)
	}
	terms := make([]string, len(c.Terms))
	for i, t := range c.Terms {
		terms[i] = t
		if address, ok := schemas.ParseIP([]byte(t), wc.Rules.Strict()); ok {
			terms[i] = address.String()
		}
	}
	known, err := l.Terms(a.Ctx, terms)
	if err != nil {
		return err
	}
	views := []termView{}
	for _, k := range known {
		if c.Rule != "" && k.Rule != c.Rule {
			continue
		}
		v := termView{k.Rule, fmt.Sprintf("%x", k.State), k.Fields, k.Terms, k.Partition, show.Time(k.Term.FirstSeen), show.Time(k.Term.LastSeen), k.Term.Count, ""}
		if k.History > 0 {
			v.New = show.Time(k.Term.LastSeen + k.History)
		}
		views = append(views, v)
	}
	return c.print(a.Stdout, terms, views)
}

// checkRule says what is wrong with --rule. Known are the rules that are loaded and those that workers have run with.
func (c *getState) checkRule(set *rules.Set, known []string) error {
	if c.Rule == "" || slices.Contains(known, c.Rule) {
		return nil
	}
	if set.Rule(c.Rule) != nil {
		return fmt.Errorf("--rule %s: the rule has no new_terms, so no terms are remembered for it", c.Rule)
	}
	if slices.Contains(builtin.Presets(), c.Rule) {
		return fmt.Errorf("--rule %s: no such rule is loaded; it is a preset: add --preset %s", c.Rule, c.Rule)
	}
	problem := rulefile.Problem{Message: fmt.Sprintf("--rule %s: no such rule", c.Rule), Suggestion: rulefile.Nearest(c.Rule, known)}
	return fmt.Errorf("%s; a rule of a file of yours needs --rules PATH", problem)
}

func (c *getState) print(w io.Writer, terms []string, views []termView) error {
	if c.JSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(views)
	}
	if len(views) == 0 {
		of := ""
		if c.Rule != "" {
			of = " by rule " + c.Rule
		}
		_, err := fmt.Fprintf(w, "nothing is known of %s%s: an event with it would be new\n", show.Text(show.List(terms), 200), of)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, err := fmt.Fprintln(t, "TERMS\tRULE\tFIRST SEEN\tLAST SEEN\tNEW AGAIN AFTER\tCOUNT\tPARTITION")
	for _, v := range views {
		rule := v.Rule
		if rule == "" {
			if rule = "(gone, state " + v.State + ")"; c.State != "" { // a directory does not know what rules there were
				rule = "(gone, or not given with --rules; state " + v.State + ")"
			}
		}
		_, werr := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", show.Text(show.List(v.Terms), 200), rule, v.First, v.Last, cmp.Or(v.New, "-"), show.Grouped(v.Count), v.Partition)
		err = errors.Join(err, werr)
	}
	return errors.Join(err, t.Flush())
}
