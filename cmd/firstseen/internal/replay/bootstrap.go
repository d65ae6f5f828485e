package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/cmd/firstseen/internal/output"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/config"
	"firstseen/processor"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// Bootstrap is firstseen bootstrap.
type Bootstrap struct {
	deployment.Flags `embed:""`
	Rule             []string `sep:"none" placeholder:"ID" help:"Teach only this rule. May be given several times. Default: all that remember terms."`
	From             string   `placeholder:"POINT" help:"Read the source topics from there: a time (RFC 3339), a duration before now (30d), earliest, or offsets (cloudtrail/0:1200,cloudtrail/1:1180)."`
	To               string   `default:"now" placeholder:"POINT" help:"And up to there, likewise. Default: now."`
	Format           string   `enum:"auto,cloudtrail,s3access" default:"auto" help:"Of files: auto, cloudtrail or s3access."`
	DLQ              string   `name:"dlq" placeholder:"FILE" help:"Write there what could not be read, with the reason, as JSON lines."`
	Paths            []string `arg:"" optional:"" name:"path" help:"Files, plain or gzip, or directories of them, instead of the source topics; - for standard input."`
}

// Help is what firstseen bootstrap --help says besides.
func (c *Bootstrap) Help() string {
	return "Fills what a deployment remembers from older logs, without alerts: files, or a range of the source topics. Workers may run, and " +
		"need not. A rule that was added late, and whose findings are held back, alerts from then on."
}

// Run teaches, and says what came of it.
func (c *Bootstrap) Run(a *cli.App) error {
	if (c.From == "") == (len(c.Paths) == 0) {
		return cli.Usage(errors.New("name either files, or with --from a range of the source topics"))
	}
	conf, err := c.Load(nil)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	set, err := deployment.LoadRules(conf, log)
	if err != nil {
		return err
	}
	only, err := c.only(conf, set)
	if err != nil {
		return cli.Usage(err)
	}
	cfg, err := deployment.WorkerConfig(conf, set, log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	source, err := c.source(a, cfg)
	if err != nil {
		return err
	}
	dead := output.DeadLetters{Counts: map[schemas.Reason]int64{}}
	if c.DLQ != "" {
		if dead.To, err = output.CreateLines(c.DLQ); err != nil {
			return cli.Usage(err)
		}
	}
	done, err := processor.Bootstrap(a.Ctx, cfg, only, func(fn func(schemas.Message) error) error {
		return source.each(a.Ctx, func(m schemas.Message, in, _ bool) error {
			if !in {
				return nil
			}
			return fn(m)
		})
	}, dead.Add, len(c.Rule) > 0)
	err = errors.Join(err, dead.To.Close())
	if done != nil {
		c.tell(a, done, &dead)
	}
	if errors.Is(err, context.Canceled) {
		return cli.Exit(cli.ExitGuarantee, errors.New("interrupted: what was taught stays taught, and no rule's history was extended; run it again"))
	}
	return err
}

// only returns the rules with all others off.
func (c *Bootstrap) only(conf *config.Config, set *rules.Set) (*rules.Set, error) {
	want := map[string]bool{}
	for _, id := range c.Rule {
		if r := set.Rule(id); r == nil || !r.HasTerms() {
			return nil, fmt.Errorf("--rule %s: no rule with this id is loaded that remembers terms; see firstseen rules list", id)
		}
		want[id] = true
	}
	o := deployment.RuleOptions(conf)
	off := map[string]map[string]any{}
	for id, keys := range o.Overrides {
		off[id] = keys
	}
	taught := 0
	for _, r := range set.Rules() {
		if r.HasTerms() && (len(want) == 0 || want[r.ID()]) {
			taught++
			continue
		}
		keys := map[string]any{}
		for k, v := range off[r.ID()] {
			keys[k] = v
		}
		keys["mode"] = "off"
		off[r.ID()] = keys
	}
	if taught == 0 {
		return nil, errors.New("no rule that is loaded remembers terms: there is nothing to teach")
	}
	o.Overrides = off
	only, _, err := rules.Load(o)
	return only, err
}

func (c *Bootstrap) source(a *cli.App, cfg processor.Config) (logSource, error) {
	as := &Command{From: c.From, To: c.To, Warm: "0", Against: "rules", Format: c.Format, Paths: c.Paths}
	if len(c.Paths) > 0 {
		return openFiles(as, a, cfg.Bounds)
	}
	return (&replay{Command: as, app: a, cfg: cfg, would: newAlertSet(nil)}).openRange()
}

func (c *Bootstrap) tell(a *cli.App, done *processor.Bootstrapped, dead *output.DeadLetters) {
	fmt.Fprintf(a.Stderr, "%s read, %s matched\n", show.Plural(int64(done.Stats.Records), "record"), show.Grouped(done.Matches))
	for _, d := range []schemas.Dataset{schemas.CloudTrail, schemas.S3Access} {
		if x, ok := done.Read[d]; ok {
			fmt.Fprintf(a.Stderr, "%s: from %s to %s\n", d, sinceText(x.First), sinceText(x.Last))
		}
	}
	for reason, n := range dead.Counts {
		fmt.Fprintf(a.Stderr, "could not be read: %s: %s\n", show.Grouped(n), reason)
	}
	for _, r := range done.Rules {
		fmt.Fprintf(a.Stdout, "%s: history begins %s", r.Rule, sinceText(r.Start))
		if r.Gap {
			fmt.Fprint(a.Stdout, ", as before: these records end before it, so there is a gap between")
		}
		switch {
		case r.Released:
			fmt.Fprint(a.Stdout, "; its findings are held back no longer")
		case r.Held:
			fmt.Fprintf(a.Stdout, "; its findings are still held back; --rule %s would end that", r.Rule)
		}
		fmt.Fprintln(a.Stdout)
	}
}

func sinceText(ms int64) string {
	if ms == wire.NoTime {
		return "with the first record that is read"
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}
