package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/logfiles"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/config"
	"firstseen/processor/history"
	"firstseen/schemas"
)

// alertSlack is how much the clock of a worker may be behind that of whoever wrote the logs.
const alertSlack = time.Hour

// topicRange is a range of the source topics.
type topicRange struct {
	*history.Range
	bar         *show.Bar
	first       time.Time // Kafka timestamp of the first record read
	begin, last time.Time // of the first of the range, and the highest
	learned     int64
	alerts      func() int64
}

// openRange finds the range's offsets.
func (r *replay) openRange() (*topicRange, error) {
	now := time.Now()
	from, err := history.ParsePoint(r.From, now)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--from: %w", err))
	}
	to, err := history.ParsePoint(r.To, now)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--to: %w", err))
	}
	var warm time.Duration
	if r.Warm == "" {
		warm = r.memory()
	} else {
		d, err := config.ParseDuration(r.Warm)
		if err != nil && r.Warm != "0" {
			return nil, cli.Usage(fmt.Errorf("--warm: %w", err))
		}
		warm = time.Duration(d)
	}
	s := &topicRange{alerts: func() int64 { return r.would.n }}
	if s.Range, err = history.Open(r.app.Ctx, r.cfg, from, to); err != nil {
		return nil, err
	}
	if warm > 0 {
		if err := s.WarmUp(r.app.Ctx, warm); err != nil {
			return nil, err
		}
	}
	if r.Against == "alerts" && len(r.Alerts) == 0 {
		if s.learned, err = s.SkipLearned(r.app.Ctx); err != nil {
			return nil, err
		}
	}
	if s.bar = show.NewBar(r.app.Stderr, s.Total()); s.bar != nil {
		s.bar.Unit = show.Grouped
	}
	return s, nil
}

func (s *topicRange) each(ctx context.Context, fn func(m schemas.Message, in, learn bool) error) error {
	defer s.bar.Clear()
	done := int64(0)
	return s.Each(ctx, func(rec *kgo.Record) error {
		if s.first.IsZero() {
			s.first = rec.Timestamp
		}
		in := s.Contains(rec.Topic, rec.Partition, rec.Offset)
		if in {
			if s.begin.IsZero() {
				s.begin = rec.Timestamp
			}
			if rec.Timestamp.After(s.last) {
				s.last = rec.Timestamp
			}
		}
		s.bar.Add(int(s.Done()-done), s.alerts())
		done = s.Done()
		return fn(s.Message(rec), in, s.Learns(rec.Topic, rec.Partition, rec.Offset))
	})
}

// outside goes by the event that the alert shows. A document that does not say where that was read is told by its time.
// What a threshold decided later than the range reaches was not decided in it.
func (s *topicRange) outside(a *comparedAlert, made bool) bool {
	if a.Origin.Topic == "" {
		return a.at < s.begin.UnixMilli() || a.at > s.last.UnixMilli()
	}
	return !s.Contains(a.Origin.Topic, a.Origin.Partition, a.Origin.Offset) || made && a.reached > s.last.UnixMilli()
}

func (s *topicRange) describe(r *report) {
	for _, p := range s.Spans() {
		if p.From < p.To {
			r.Partitions = append(r.Partitions, span{p.Topic, p.Partition, p.Begin, p.From, p.To})
		}
	}
	if !s.begin.IsZero() {
		r.From, r.To = s.begin.UTC().Format(time.RFC3339), s.last.UTC().Format(time.RFC3339)
	}
}

// logFiles is files, read one after the other.
type logFiles struct {
	app    *cli.App
	inputs []logfiles.File
	bounds schemas.Bounds
	format schemas.Format
	bar    *show.Bar
}

func openFiles(c *Command, a *cli.App, bounds schemas.Bounds) (*logFiles, error) {
	inputs, err := logfiles.Find(c.Paths)
	if err != nil {
		return nil, cli.Usage(err)
	}
	format, _ := schemas.ParseFormat(c.Format)
	return &logFiles{app: a, inputs: inputs, bounds: bounds, format: format, bar: show.NewBar(a.Stderr, logfiles.Size(inputs))}, nil
}

func (s *logFiles) each(ctx context.Context, fn func(m schemas.Message, in, learn bool) error) error {
	defer s.bar.Clear()
	now := time.Now().UnixMilli()
	for _, in := range s.inputs {
		if err := s.read(ctx, in, now, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *logFiles) read(ctx context.Context, in logfiles.File, now int64, fn func(m schemas.Message, in, learn bool) error) error {
	r, err := in.Open(ctx, s.app.Stdin)
	if err != nil {
		return err
	}
	defer r.Close() // it was only read
	file := schemas.NewFileReader(logfiles.Pausing(r, func(got int) error {
		s.bar.Add(got, 0)
		return ctx.Err()
	}), in.Name(), s.bounds)
	for n := int64(0); ; n++ {
		m, err := file.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		m.Offset, m.Now, m.Format = n, now, s.format
		if err := fn(m, true, false); err != nil {
			return err
		}
	}
}

func (s *logFiles) outside(*comparedAlert, bool) bool { return false }

func (s *logFiles) describe(r *report) {
	r.Files = len(s.inputs)
}
