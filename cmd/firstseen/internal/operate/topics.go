package operate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/config"
	"firstseen/processor"
)

// Topics is firstseen topics.
type Topics struct {
	Plan   planTopics   `cmd:"" help:"Print the topics a deployment needs, with their settings. Needs no broker."`
	Create createTopics `cmd:"" help:"Create the topics that are missing."`
	Check  checkTopics  `cmd:"" help:"Compare the topics with the plan; exit 3 if one would break the guarantee."`
}

type planTopics struct {
	deployment.Flags `embed:""`
}

func plan(cfg *config.Config) []processor.TopicPlan {
	pc := processor.Config{App: cfg.App, Partitions: int32(cfg.Partition)}
	return pc.Plan()
}

// Run prints one topic a line.
func (c *planTopics) Run(a *cli.App) error {
	cfg, err := c.LoadAny()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITIONS\tSETTINGS")
	for _, p := range plan(cfg) {
		var settings []string
		for _, k := range slices.Sorted(maps.Keys(p.Configs)) {
			settings = append(settings, k+"="+p.Configs[k])
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", p.Name, p.Partitions, strings.Join(settings, " "))
	}
	return w.Flush()
}

type createTopics struct {
	deployment.Flags `embed:""`
	Sources          int32 `placeholder:"N" help:"Also create source topics that are missing, with N partitions."`
}

// Run creates what is missing and says what it created.
func (c *createTopics) Run(a *cli.App) error {
	cfg, adm, done, err := connect(a, &c.Flags)
	if err != nil {
		return err
	}
	defer done()
	topics := plan(cfg)
	if c.Sources > 0 {
		for _, s := range cfg.Sources {
			topics = append(topics, processor.TopicPlan{Name: s.Topic, Partitions: c.Sources})
		}
	}
	states, err := processor.CheckTopics(a.Ctx, adm, topics)
	if err != nil {
		return err
	}
	made, err := processor.CreateTopics(a.Ctx, adm, states, int16(cfg.Replicas))
	for _, name := range made {
		fmt.Fprintln(a.Stdout, "created", name)
	}
	if err != nil {
		return cli.Exit(cli.ExitGuarantee, err)
	}
	if len(made) == 0 {
		fmt.Fprintln(a.Stdout, "nothing to create")
	}
	return nil
}

type checkTopics struct {
	deployment.Flags `embed:""`
}

// Run prints what is wrong.
func (c *checkTopics) Run(a *cli.App) error {
	cfg, adm, done, err := connect(a, &c.Flags)
	if err != nil {
		return err
	}
	defer done()
	own := plan(cfg)
	topics := own
	for _, s := range cfg.Sources {
		topics = append(topics, processor.TopicPlan{Name: s.Topic})
	}
	states, err := processor.CheckTopics(a.Ctx, adm, topics)
	if err != nil {
		return err
	}
	bad := 0
	for _, s := range states {
		if s.Missing {
			s.Problems = append(s.Problems, fmt.Sprintf("topic %s is missing; run: firstseen topics create", s.Plan.Name))
		}
		for _, p := range s.Problems {
			fmt.Fprintln(a.Stdout, "problem:", p)
		}
		for _, p := range s.Warnings {
			fmt.Fprintln(a.Stdout, "warning:", p)
		}
		bad += len(s.Problems)
	}
	if bad > 0 {
		return cli.Exit(cli.ExitGuarantee, fmt.Errorf("%d problems in %d topics", bad, len(states)))
	}
	fmt.Fprintf(a.Stdout, "%d topics as planned, %d sources there\n", len(own), len(topics)-len(own))
	return nil
}

// connect loads the configuration and opens an admin client that has reached a broker.
func connect(a *cli.App, f *deployment.Flags) (*config.Config, *kadm.Client, func(), error) {
	cfg, err := f.LoadAny()
	if err != nil {
		return nil, nil, nil, err
	}
	opts, err := cfg.ClientOpts()
	if err != nil {
		return nil, nil, nil, cli.Usage(err)
	}
	cl, err := kgo.NewClient(append(opts, kgo.MetadataMinAge(processor.MetadataAge))...)
	if err != nil {
		return nil, nil, nil, cli.Usage(err)
	}
	ctx, cancel := context.WithTimeout(a.Ctx, 15*time.Second)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		cl.Close()
		return nil, nil, nil, fmt.Errorf("%w at %s: %w", processor.ErrUnreachable, strings.Join(cfg.Brokers, ", "), err)
	}
	return cfg, kadm.NewClient(cl), cl.Close, nil
}
