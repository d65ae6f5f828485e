// Package worker runs a worker: with the rules it takes up while it runs, the memory it may use, and what it says over HTTP.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/prometheus/client_golang/prometheus"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/config"
	"firstseen/devbroker"
	"firstseen/processor"
)

// Command is firstseen run.
type Command struct {
	deployment.Flags `embed:""`
	Dev              bool     `help:"Embed a broker, for development only; any Kafka client can use it."`
	DevPort          int      `default:"9092" help:"Port of the embedded broker."`
	DevData          string   `default:"firstseen-dev" placeholder:"DIR" help:"Data directory of the embedded broker."`
	Stages           []string `placeholder:"STAGE" help:"Run only these stages: ingest, detect, group."`
	Strict           bool     `help:"Both built-in rules to the letter."`
	From             string   `placeholder:"POINT" help:"At the first start, learn from there on: earliest, latest, a time, or a duration before now such as 30d. Default: the longest history of any rule."`
	ChangeSources    bool     `help:"Accept other source topics than the deployment was created with."`
	PrintConfig      bool     `help:"Print the configuration as it results from file, environment and flags, and exit."`
	LogLevel         string   `enum:"debug,info,warn,error" default:"info" help:"debug, info, warn or error."`
}

// Run runs the worker until SIGINT or SIGTERM, then finishes the transactions in hand.
func (c *Command) Run(a *cli.App) error {
	more := map[string]string{"stages": strings.Join(c.Stages, ",")}
	if c.From != "" {
		more["learning"] = "from " + c.From
	}
	if c.Strict {
		more["strict"] = "true"
	}
	if c.Dev {
		more["brokers"] = fmt.Sprintf("127.0.0.1:%d", c.DevPort)
		c.AssumeSources()
	}
	cfg, err := c.Load(more)
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
	files := &reloader{config: c.Config, load: func() (*config.Config, error) { return c.Load(more) }, every: time.Second, log: log}
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
	wc, err := deployment.WorkerConfig(cfg, set, log, reg)
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
