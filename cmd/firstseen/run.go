package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/config"
	"firstseen/devbroker"
	"firstseen/processor"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/alert"
)

// configFlags are shared by the commands that need a configuration.
type configFlags struct {
	Config string            `short:"c" type:"existingfile" placeholder:"FILE" help:"Configuration file (YAML)."`
	base   *config.Config    // nil: config.Default
	Set    map[string]string `placeholder:"KEY=VALUE" help:"Set a configuration key, for example --set state.dir=/var/lib/firstseen."`
}

// loadAny is load for commands that do not read the sources, so that they need not be configured.
func (f *configFlags) loadAny() (*config.Config, error) {
	f.base = defaultSources()
	return f.load(nil)
}

// defaultSources is the default configuration with the topics that run --dev and gen use when none are named.
func defaultSources() *config.Config {
	base := config.Default()
	base.Sources = []config.Source{{Topic: "cloudtrail", Format: "auto"}, {Topic: "s3access", Format: "auto"}}
	return base
}

// load merges file, environment and flags.
func (f *configFlags) load(more map[string]string) (*config.Config, error) {
	flags := map[string]string{}
	for k, v := range f.Set {
		flags[k] = v
	}
	for k, v := range more {
		if v != "" {
			flags[k] = v
		}
	}
	cfg, err := config.Load(config.Layers{Base: f.base, File: f.Config, Environ: os.Environ(), Flags: flags})
	if err != nil {
		return nil, cli.Usage(err)
	}
	return cfg, nil
}

type runCmd struct {
	configFlags   `embed:""`
	Dev           bool     `help:"Embed a broker, for development only; any Kafka client can use it."`
	DevPort       int      `default:"9092" help:"Port of the embedded broker."`
	DevData       string   `default:"firstseen-dev" placeholder:"DIR" help:"Data directory of the embedded broker."`
	Stages        []string `placeholder:"STAGE" help:"Run only these stages: ingest, detect, group."`
	Strict        bool     `help:"Both built-in rules to the letter."`
	From          string   `placeholder:"POINT" help:"At the first start, learn from there on: earliest, latest, a time, or a duration before now such as 30d. Default: the longest history of any rule."`
	ChangeSources bool     `help:"Accept other source topics than the deployment was created with."`
	PrintConfig   bool     `help:"Print the configuration as it results from file, environment and flags, and exit."`
	LogLevel      string   `enum:"debug,info,warn,error" default:"info" help:"debug, info, warn or error."`
}

// Run runs the worker until SIGINT or SIGTERM, then finishes the transactions in hand.
func (c *runCmd) Run(a *cli.App) error {
	more := map[string]string{"stages": strings.Join(c.Stages, ",")}
	if c.From != "" {
		more["learning"] = "from " + c.From
	}
	if c.Strict {
		more["strict"] = "true"
	}
	if c.Dev {
		more["brokers"] = fmt.Sprintf("127.0.0.1:%d", c.DevPort)
		c.base = defaultSources()
	}
	cfg, err := c.load(more)
	if err != nil {
		return err
	}
	if c.PrintConfig {
		return cfg.Print(a.Stdout)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return cli.Usage(err)
	}
	log := slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: level}))
	for _, w := range cfg.Warnings() {
		log.Warn("configuration", "warning", w)
	}
	limitMemory(memlimit.FromCgroup, log)
	files := &reloader{config: c.Config, load: func() (*config.Config, error) { return c.load(more) }, every: time.Second, log: log}
	set, err := files.read(cfg)
	if err != nil {
		return cli.Usage(err)
	}
	if c.Dev {
		broker, err := startDevBroker(c.DevPort, c.DevData, cfg, log)
		if err != nil {
			if errors.Is(err, syscall.EADDRINUSE) {
				err = fmt.Errorf("%w: choose another port with --dev-port", err)
			}
			return cli.Exit(cli.ExitGuarantee, err)
		}
		defer func() {
			if err := broker.Close(); err != nil {
				log.Error("embedded broker", "error", err)
			}
		}()
		fmt.Fprintf(a.Stderr, "%s\nIt listens on %s. Write logs to the topics %s, or: firstseen gen --brokers %[2]s\nRead alerts from %[4]s.alerts, or: firstseen tail --set brokers=%[2]s --set app=%[4]s\n",
			devbroker.Notice, broker.Addr(), topicNames(cfg), cfg.App)
	}
	reg := prometheus.NewRegistry()
	wc, err := workerConfig(cfg, set, log, reg)
	if err != nil {
		return err
	}
	wc.ChangeSources = c.ChangeSources
	if err := inject(&wc); err != nil {
		return cli.Usage(err)
	}
	w, err := processor.New(wc)
	if err != nil {
		return cli.Usage(err)
	}
	stop, err := serve(cfg.HTTP.Listen, w, reg, log)
	if err != nil {
		return cli.Usage(err)
	}
	defer stop()
	ctx, cancel := context.WithCancel(a.Ctx)
	defer cancel()
	files.worker = w
	go files.watch(ctx)
	return w.Run(ctx)
}

func startDevBroker(port int, dir string, cfg *config.Config, log *slog.Logger) (*devbroker.Broker, error) {
	o := devbroker.Options{Port: port, DataDir: dir, Log: log}
	for _, s := range cfg.Sources {
		o.Topics = append(o.Topics, devbroker.Topic{Name: s.Topic, Partitions: 4})
	}
	return devbroker.Start(o)
}

func topicNames(cfg *config.Config) string {
	var names []string
	for _, s := range cfg.Sources {
		names = append(names, s.Topic)
	}
	return strings.Join(names, " and ")
}

// softwareVersion is a version as brokers take it, letters, digits, dots and dashes: they refuse a connection otherwise.
func softwareVersion(v string) string {
	v = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, v), "-.")
	return cmp.Or(v, "devel")
}

// workerConfig turns the configuration into that of the processor.
func workerConfig(cfg *config.Config, set *rules.Set, log *slog.Logger, reg prometheus.Registerer) (processor.Config, error) {
	conn, err := cfg.ClientOpts()
	if err != nil {
		return processor.Config{}, cli.Usage(err)
	}
	dir, err := filepath.Abs(cfg.State.Dir)
	if err != nil {
		return processor.Config{}, cli.Usage(err)
	}
	wc := processor.Config{
		App: cfg.App, Instance: cfg.Instance, Client: append(conn, kgo.SoftwareNameAndVersion("firstseen", softwareVersion(cli.Version))),
		Rules: set, StateDir: dir, StateCache: int64(cfg.State.Cache), StateMemTable: int(cfg.State.MemTable), StateMinFree: int64(cfg.State.MinFree),
		Lanes:      map[processor.Stage]int{processor.StageIngest: cfg.Lanes.Ingest, processor.StageDetect: cfg.Lanes.Detect, processor.StageGroup: cfg.Lanes.Group},
		Partitions: int32(cfg.Partition), Replication: int16(cfg.Replicas),
		Bounds: schemas.Bounds{MessageBytes: int(cfg.Bounds.MessageBytes), Records: cfg.Bounds.Records, RecordBytes: int(cfg.Bounds.RecordBytes),
			Depth: cfg.Bounds.Depth, Nesting: cfg.Bounds.Nesting},
		ValidateAll: cfg.Validate == "all",
		Commit: processor.Commit{Messages: cfg.Commit.Messages, Records: cfg.Commit.Records, Bytes: int64(cfg.Commit.Bytes),
			Every: time.Duration(cfg.Commit.Every)},
		Timing: processor.Timing{Transaction: time.Duration(cfg.Commit.Transaction), Session: time.Duration(cfg.Commit.Session),
			Rebalance: time.Duration(cfg.Commit.Rebalance)},
		PurgeAfter: time.Duration(cfg.Purge), CloseAfter: time.Duration(cfg.Close), Leave: cfg.Stop == "leave",
		SourceGapContinue: cfg.OnGap == "continue", Learning: learningOf(cfg.Learning, time.Now()), Version: cli.Version, Log: log, Metrics: reg,
	}
	for _, s := range cfg.Sources {
		format, ok := schemas.ParseFormat(s.Format)
		if !ok {
			return wc, cli.Usage(fmt.Errorf("sources: topic %s: format %q is not one of auto, cloudtrail, s3access", s.Topic, s.Format))
		}
		wc.Sources = append(wc.Sources, processor.Source{Topic: s.Topic, Format: format})
	}
	for _, s := range cfg.Stages {
		wc.Stages = append(wc.Stages, processor.Stage(s))
	}
	for _, name := range cfg.Outputs {
		wc.Outputs = append(wc.Outputs, alert.Format(name))
	}
	return wc, nil
}

// outside is what a command needs that looks at a deployment, or asks its workers, from outside: the configuration as it
// was loaded, and its rules, without a log.
func outside(cfg *config.Config, err error) (processor.Config, error) {
	if err != nil {
		return processor.Config{}, err
	}
	set, err := loadRules(cfg, discardLog())
	if err != nil {
		return processor.Config{}, err
	}
	return workerConfig(cfg, set, discardLog(), nil)
}

// learningOf turns the text of the configuration, which has been checked, into what the processor is told.
func learningOf(text config.Learning, now time.Time) processor.Learning {
	word, at, _ := text.Decide(now)
	return processor.Learning{Time: at, Mode: map[string]processor.LearningMode{"history": processor.LearnHistory, "since": processor.LearnSince,
		"earliest": processor.LearnEverything, "latest": processor.SkipEverything, "for": processor.HoldUntil}[word]}
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
