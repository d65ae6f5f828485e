package replay

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor"
	"firstseen/processor/history"
	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas"
)

// How many messages, and how many records of them, are processed at a time.
const (
	batchMessages = 1000
	batchRecords  = 100_000
)

// run reads the logs through the pipelines, then what did alert, and compares.
func (r *replay) run() error {
	dead := map[schemas.Reason]*deadLetterSort{}
	r.report.Notes = []string{}
	in := false // the message in hand is in the range
	count := func(m *schemas.Message, d schemas.DeadLetter) {
		if !in {
			return
		}
		if dead[d.Reason] == nil {
			at := origin{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, File: m.File, Line: d.Line, Index: d.Index}
			dead[d.Reason] = &deadLetterSort{Reason: d.Reason, First: at.String(), Detail: d.Detail}
		}
		dead[d.Reason].Count++
	}
	if err := r.addPipeline(r.candidate, r.would, count); err != nil {
		return err
	}
	if r.Against == "rules" {
		if err := r.addPipeline(r.base, r.did, func(*schemas.Message, schemas.DeadLetter) {}); err != nil {
			return err
		}
	}
	err := r.source.each(r.app.Ctx, func(m schemas.Message, within, learn bool) error {
		in = within
		return r.message(m, within, learn)
	})
	for _, p := range r.pipelines {
		if err == nil {
			err = p.Flush()
		}
	}
	if err == nil {
		err = r.readAlerts()
	}
	if err != nil {
		return err
	}
	hash := r.candidate.Hash()
	r.report.Ruleset = hex.EncodeToString(hash[:])
	r.source.describe(&r.report)
	r.report.DeadLetters = []deadLetterSort{}
	for _, reason := range schemas.Reasons() {
		if d := dead[reason]; d != nil {
			r.report.DeadLetters = append(r.report.DeadLetters, *d)
		}
	}
	var ids []string
	for _, rule := range r.candidate.Rules() {
		if r.wanted(rule.ID()) {
			ids = append(ids, rule.ID())
		}
	}
	r.report.fill(compareAlerts(r.would, r.did, r.history), r.would, r.did, ids)
	return nil
}

// addPipeline adds one run of the records through a set of rules.
func (r *replay) addPipeline(set *rules.Set, to *alertSet, dead func(*schemas.Message, schemas.DeadLetter)) error {
	cfg := stage.PipelineConfig{
		Ingest: stage.IngestConfig{Decoder: schemas.Config{Bounds: r.cfg.Bounds, ValidateAll: r.cfg.ValidateAll, Strict: set.Strict()}, Dead: dead},
		Group:  stage.GroupConfig{CloseAfter: r.cfg.CloseAfter.Milliseconds()},
		Batch:  batchMessages,
		Emit: func(out stage.Output) {
			header := func(name string) string {
				for _, h := range out.Headers {
					if h[0] == name {
						return h[1]
					}
				}
				return ""
			}
			if a, err := readAlert(out.Value, header); err == nil { // it was made a moment ago
				r.add(to, a)
			}
		},
	}
	if err := r.scratch.keep(&cfg); err != nil {
		return err
	}
	p, err := stage.NewPipeline(set, cfg)
	r.pipelines = append(r.pipelines, p)
	return err
}

func (r *replay) add(to *alertSet, a *comparedAlert) {
	if r.wanted(a.Rule) {
		to.add(a)
	}
}

func (r *replay) message(m schemas.Message, in, learn bool) error {
	first := r.report.Records+r.report.WarmUp == 0
	for i, p := range r.pipelines {
		if first && m.Timestamp >= 0 {
			p.Ingest().SetHistoryStart(m.Timestamp)
		}
		p.Ingest().SetLearn(learn)
		stats, err := p.Message(m)
		if err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		r.records += stats.Records
		if in {
			r.report.Records += int64(stats.Records)
		} else {
			r.report.WarmUp++
		}
	}
	if r.records < batchRecords {
		return nil
	}
	r.records = 0
	for _, p := range r.pipelines {
		if err := p.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// readAlerts reads what did alert, unless it was computed.
func (r *replay) readAlerts() error {
	switch {
	case r.Against == "rules":
		r.report.Against = "what the configured rules make of them"
		return nil
	case len(r.Alerts) > 0:
		r.report.Against = "the alerts in " + r.Alerts[0]
		if n := len(r.Alerts) - 1; n > 0 {
			r.report.Against += fmt.Sprintf(" and %s more", show.Plural(int64(n), "file"))
		}
		for _, name := range r.Alerts {
			if err := r.readAlertFile(name); err != nil {
				return cli.Usage(fmt.Errorf("--alerts: %w", err))
			}
		}
		return nil
	}
	r.report.Against = "the alerts of " + r.cfg.App
	return r.readAlertTopics()
}

// readAlertFile reads a file of alerts, one a line.
func (r *replay) readAlertFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20) // an alert has 256 KiB at most
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		a, err := readAlert(lines.Bytes(), func(string) string { return "" })
		if err != nil {
			return fmt.Errorf("%s:%d: %w; one alert a line is expected, as scan and tail --output json write them", name, n, err)
		}
		r.add(r.did, a)
	}
	return lines.Err()
}

// readAlertTopics reads the deployment's alerts, and those it suppressed.
func (r *replay) readAlertTopics() error {
	from, source := history.Earliest, r.source.(*topicRange)
	if !source.first.IsZero() {
		from = history.PointAt(source.first.Add(-alertSlack)) // none is older than its event, but for clocks that differ
	}
	cfg := r.cfg
	cfg.Sources = []processor.Source{{Topic: cfg.App + ".alerts"}, {Topic: cfg.App + ".suppressed"}}
	topics, err := history.Open(r.app.Ctx, cfg, from, history.Latest)
	if errors.Is(err, processor.ErrNoTopic) {
		return fmt.Errorf("%w: is %s the app of a deployment? --against rules compares with the configured rules instead", err, cfg.App)
	}
	if err != nil {
		return err
	}
	strange := 0
	err = topics.Each(r.app.Ctx, func(rec *kgo.Record) error {
		a, bad := readAlert(rec.Value, func(name string) string {
			for _, h := range rec.Headers {
				if h.Key == name {
					return string(h.Value)
				}
			}
			return ""
		})
		if bad == nil {
			r.add(r.did, a)
		} else {
			strange++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if strange > 0 {
		r.note("%s of the alert topics could not be read as alerts", show.Plural(int64(strange), "record"))
	}
	if source.learned > 0 {
		r.note("%s of the range were learned by the deployment when it began, and made no alerts: they are not compared", show.Plural(source.learned, "message"))
	}
	unread, err := source.Unread(r.app.Ctx)
	if len(unread) > 0 {
		r.note("the deployment has not read all of %s yet: what is in the rest may count as added", strings.Join(unread, ", "))
	}
	return err
}

func (r *replay) note(format string, args ...any) {
	r.report.Notes = append(r.report.Notes, fmt.Sprintf(format, args...))
}
