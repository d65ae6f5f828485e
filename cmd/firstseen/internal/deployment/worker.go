package deployment

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/config"
	"firstseen/processor"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/alert"
)

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

// WorkerConfig turns the configuration into that of the processor.
func WorkerConfig(cfg *config.Config, set *rules.Set, log *slog.Logger, reg prometheus.Registerer) (processor.Config, error) {
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

// FromOutside is what a command needs that looks at a deployment, or asks its workers, from outside: the configuration as it
// was loaded, and its rules, without a log.
func FromOutside(cfg *config.Config, err error) (processor.Config, error) {
	if err != nil {
		return processor.Config{}, err
	}
	set, err := LoadRules(cfg, NoLog())
	if err != nil {
		return processor.Config{}, err
	}
	return WorkerConfig(cfg, set, NoLog(), nil)
}

// learningOf turns the text of the configuration, which has been checked, into what the processor is told.
func learningOf(text config.Learning, now time.Time) processor.Learning {
	word, at, _ := text.Decide(now)
	return processor.Learning{Time: at, Mode: map[string]processor.LearningMode{"history": processor.LearnHistory, "since": processor.LearnSince,
		"earliest": processor.LearnEverything, "latest": processor.SkipEverything, "for": processor.HoldUntil}[word]}
}

// NoLog is for a command that says what there is to say itself.
func NoLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
