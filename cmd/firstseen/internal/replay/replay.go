// Package replay reads older logs once more: replay tells what other rules would have alerted, bootstrap teaches a
// deployment what is not new.
package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/config"
	"firstseen/processor"
	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// Command is firstseen replay.
type Command struct {
	deployment.Flags `embed:""`
	Rules            []string `sep:"none" placeholder:"PATH" help:"Candidate rule file, or directory of them, beside the configured rules; the same id replaces. May be given several times."`
	Only             []string `sep:"none" placeholder:"RULE" help:"Compare the alerts of this rule only. May be given several times."`
	From             string   `default:"24h" placeholder:"POINT" help:"Beginning of the range: a time (RFC 3339), a duration before now (24h, 7d), earliest, latest, or offsets (cloudtrail/0:1200,cloudtrail/1:1180). Default: 24h."`
	To               string   `default:"latest" placeholder:"POINT" help:"End of the range, likewise; what lies there is not in it. Default: latest."`
	Warm             string   `placeholder:"DURATION" help:"How long before the range the records are read that have to be known at its start; 0: none. Default: the longest history or window of the rules."`
	Against          string   `enum:"alerts,rules,auto" default:"auto" help:"Compare with the alerts that were made (alerts), or with what the configured rules make of the same records (rules). Default: alerts; rules for files."`
	Alerts           []string `sep:"none" placeholder:"FILE" help:"Compare with the alerts in this file, one JSON document a line, as scan and tail --output json write them. May be given several times."`
	Format           string   `enum:"auto,cloudtrail,s3access" default:"auto" help:"Of files: auto, cloudtrail or s3access."`
	StateDir         string   `type:"existingdir" placeholder:"DIR" help:"Keep what has to be remembered in a directory below this one, which is deleted at the end, instead of in memory."`
	JSON             bool     `help:"One JSON document instead of text."`
	Limit            int      `default:"50" placeholder:"N" help:"Lines of each kind of difference, in text. Default: 50."`
	FailOnDiff       bool     `help:"Exit with 1 if an alert was added or is gone."`
	Paths            []string `arg:"" optional:"" name:"path" help:"Files, plain or gzip, or directories of them, instead of the source topics; - for standard input."`
}

// Help is what firstseen replay --help says besides.
func (c *Command) Help() string {
	return "Reads a range of the source topics, or files, with candidate rules and a state that is thrown away, and tells what would have alerted, " +
		"and how that differs from what did. Nothing is written to Kafka, and no consumer group is used."
}

// replay is one run.
type replay struct {
	*Command
	app       *cli.App
	cfg       processor.Config
	base      *rules.Set
	candidate *rules.Set
	source    logSource
	scratch   *scratch
	pipelines []*stage.Pipeline // of the candidate rules, then of the configured ones if these are compared with
	would     *alertSet
	did       *alertSet
	records   int // decoded since the last flush
	report    report
}

// logSource is the records to be replayed.
type logSource interface {
	// each calls fn for every message; in says whether it is in the range, learn that it is only to be learned.
	each(ctx context.Context, fn func(m schemas.Message, in, learn bool) error) error
	// outside says of an alert that its event is not in the range, or that it was decided behind it; made: by a deployment.
	outside(a *comparedAlert, made bool) bool
	// describe adds what was read to the report.
	describe(r *report)
}

// Run replays and reports. It exits with 0 whatever came of it, unless --fail-on-diff is given.
func (c *Command) Run(a *cli.App) (err error) {
	r := &replay{Command: c, app: a}
	if err := r.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.scratch.close()) }()
	switch err := r.run(); {
	case errors.Is(err, context.Canceled):
		return cli.Exit(cli.ExitGuarantee, errors.New("interrupted"))
	case err != nil:
		return err
	}
	print := func() error { return r.report.text(a.Stdout, c.Limit) }
	if c.JSON {
		print = func() error { return r.report.json(a.Stdout) }
	}
	if err := print(); err != nil {
		return err
	}
	if c.FailOnDiff && r.report.differs() {
		return cli.Exit(cli.ExitFindings, nil)
	}
	return nil
}

// open checks what is asked for and finds what is to be read.
func (r *replay) open() error {
	c, a := r.Command, r.app
	switch {
	case len(c.Paths) > 0 && c.Against == "alerts":
		return cli.Usage(errors.New("files have no topic of alerts: name a file of alerts with --alerts FILE, or compare with the configured rules (--against rules)"))
	case len(c.Alerts) > 0 && c.Against == "rules":
		return cli.Usage(errors.New("--alerts and --against rules are two things to compare with"))
	case len(c.Paths) > 0 && (c.From != "24h" || c.To != "latest" || c.Warm != ""):
		return cli.Usage(errors.New("--from, --to and --warm are for topics; of files all is replayed"))
	}
	if c.Against == "auto" {
		c.Against = "alerts"
		if len(c.Paths) > 0 && len(c.Alerts) == 0 {
			c.Against = "rules"
		}
	}
	load := func() (*config.Config, error) { return c.Load(nil) }
	if len(c.Paths) > 0 {
		load = c.LoadAny
	}
	conf, err := load()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := r.loadRules(conf, log); err != nil {
		return err
	}
	if r.cfg, err = deployment.WorkerConfig(conf, r.candidate, log, prometheus.NewRegistry()); err != nil {
		return err
	}
	if len(c.Paths) > 0 {
		r.source, err = openFiles(c, a, r.cfg.Bounds)
	} else {
		r.source, err = r.openRange()
	}
	if err != nil {
		return err
	}
	r.would = newAlertSet(func(a *comparedAlert) bool { return r.source.outside(a, false) })
	r.did = newAlertSet(func(a *comparedAlert) bool { return r.source.outside(a, r.Against == "alerts") })
	if c.StateDir != "" {
		if r.scratch, err = openScratch(c.StateDir); err != nil {
			return fmt.Errorf("--state-dir: %w", err)
		}
	}
	return nil
}

// LoadRules loads the configured rules and, over them, the candidates.
func (r *replay) loadRules(conf *config.Config, log *slog.Logger) (err error) {
	if r.base, err = deployment.LoadRules(conf, log); err != nil {
		return err
	}
	r.candidate = r.base
	if len(r.Rules) > 0 {
		if r.candidate, err = candidateRules(deployment.RuleOptions(conf), r.base, r.Rules); err != nil {
			return cli.Usage(err)
		}
	}
	for _, id := range r.Only {
		if r.candidate.Rule(id) == nil && r.base.Rule(id) == nil {
			var ids []string
			for _, rule := range r.candidate.Rules() {
				ids = append(ids, rule.ID())
			}
			return cli.Usage(fmt.Errorf("--only %s: no rule with this id is loaded, only %s", id, strings.Join(ids, ", ")))
		}
	}
	return nil
}

// candidateRules loads the rules that o stands for, which base is, with those of paths instead of their namesakes.
func candidateRules(o rules.LoadOptions, base *rules.Set, paths []string) (*rules.Set, error) {
	only, _, err := rules.Load(rules.LoadOptions{Paths: paths, NoBuiltin: true, Strict: o.Strict})
	if err != nil {
		return nil, err
	}
	o.Paths = nil
	for _, rule := range base.Rules() {
		if only.Rule(rule.ID()) == nil && !strings.HasPrefix(rule.File(), "builtin/") {
			o.Paths = append(o.Paths, rule.File())
		}
	}
	o.Paths = append(o.Paths, paths...)
	set, _, err := rules.Load(o)
	return set, err
}

// wanted says whether a rule's alerts are compared.
func (r *replay) wanted(rule string) bool { return len(r.Only) == 0 || slices.Contains(r.Only, rule) }

// history is how long a rule's terms stay known, in milliseconds: with the candidate rules or the configured ones,
// whichever is longer.
func (r *replay) history(rule string) (ms int64) {
	for _, set := range []*rules.Set{r.candidate, r.base} {
		if found := set.Rule(rule); found != nil {
			ms = max(ms, found.History())
		}
	}
	return ms
}

// memory is how far back a rule looks at most, of the candidates or the configured ones: the longest history, dedup
// window or cap of any.
func (r *replay) memory() (d time.Duration) {
	for _, rule := range slices.Concat(r.candidate.Rules(), r.base.Rules()) {
		if rule.Mode() != rulefile.Off {
			p := rule.Policy()
			d = max(d, time.Duration(rule.History())*time.Millisecond, time.Duration(max(p.Period, p.CapPer))*time.Second)
		}
	}
	return d
}
