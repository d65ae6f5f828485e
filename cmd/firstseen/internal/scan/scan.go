// Package scan looks through files of logs, or standard input, without Kafka.
package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/logfiles"
	"firstseen/cmd/firstseen/internal/output"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// Command is firstseen scan.
type Command struct {
	Rules       []string  `sep:"none" placeholder:"PATH" help:"Rule file, or directory of them, beside the built-in rules; the same id replaces. May be given several times."`
	Preset      []string  `sep:"none" placeholder:"NAME" help:"A built-in rule that is off unless named. May be given several times."`
	NoBuiltin   bool      `help:"Leave the built-in rules out, but for presets."`
	Strict      bool      `help:"Both built-in rules to the letter."`
	Set         []string  `sep:"none" placeholder:"RULE.KEY=VALUE" help:"Change a parameter of a rule. May be given several times."`
	ASN         string    `name:"asn" type:"existingfile" placeholder:"FILE" help:"MMDB file of networks and who announces them, such as GeoLite2-ASN.mmdb, for rules that use source.as.*"`
	Format      string    `enum:"auto,cloudtrail,s3access" default:"auto" help:"auto (told by each record), cloudtrail or s3access."`
	Output      string    `enum:"ecs,ocsf,panther,text" default:"ecs" help:"ecs, ocsf or panther: a JSON document a line; text: for people."`
	State       string    `placeholder:"DIR" help:"Keep there what was seen, for the next run."`
	DLQ         string    `name:"dlq" placeholder:"FILE" help:"Write there what could not be read, with the reason, as JSON lines."`
	Suppressed  string    `placeholder:"FILE" help:"Write there the alerts over a cap and those of rules in shadow mode."`
	Now         time.Time `placeholder:"TIME" help:"The time of records without one, and the latest that is believed; RFC 3339. Default: the clock."`
	FailOnAlert bool      `help:"Exit with 1 if there are alerts."`
	Paths       []string  `arg:"" name:"path" help:"Files, plain or gzip; directories: all files in them but hidden ones, sorted; - for standard input."`
}

// scan is one run of the command.
type scan struct {
	*Command
	ctx      context.Context
	set      *rules.Set
	now      int64 // Unix milliseconds
	format   schemas.Format
	pipeline *stage.Pipeline
	memory   *memory // nil: what is seen is forgotten at the end
	history  int64   // when it begins, Unix milliseconds
	peek     *schemas.Decoder
	stats    schemas.Stats // of what was read
	matches  int64

	alerts     *output.Lines
	suppressed *output.Lines // nil: they are only counted
	dead       output.DeadLetters
	bar        *show.Bar
}

// Run reads everything in the order given, writes alerts as they are made, and says at the end what it has met.
func (c *Command) Run(a *cli.App) error {
	signal.Ignore(syscall.SIGPIPE) // a reader that has had enough is an error of a write, so that files are closed
	began := time.Now()
	inputs, err := logfiles.Find(c.Paths)
	if err != nil {
		return cli.Usage(err)
	}
	s, err := c.open(a, inputs)
	if err != nil {
		return cli.Usage(err)
	}
	err = s.run(a.Stdin, inputs)
	s.bar.Clear()
	err = errors.Join(err, s.close())
	switch {
	case errors.Is(err, syscall.EPIPE): // nobody is left to tell
		err = nil
	case errors.Is(err, context.Canceled):
		err = cli.Exit(cli.ExitGuarantee, errors.New("interrupted: what was read until then is reported, the state is as it was"))
		fallthrough
	default:
		s.summary(a.Stderr, len(inputs), time.Since(began))
	}
	if err == nil && c.FailOnAlert && s.alerts.N > 0 {
		return cli.Exit(cli.ExitFindings, nil)
	}
	return err
}

// open makes a run ready: rules, outputs, state. Nothing is created before everything that is only read has been found
// good.
func (c *Command) open(a *cli.App, inputs []logfiles.File) (*scan, error) {
	set, warnings, err := rules.Load(rules.LoadOptions{Paths: c.Rules, Presets: c.Preset, NoBuiltin: c.NoBuiltin, Strict: c.Strict, Set: c.Set, ASN: c.ASN})
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		fmt.Fprintln(a.Stderr, "warning:", w)
	}
	s := &scan{Command: c, ctx: a.Ctx, set: set, now: time.Now().UnixMilli(), history: wire.NoTime, bar: show.NewBar(a.Stderr, logfiles.Size(inputs))}
	if !c.Now.IsZero() {
		s.now = c.Now.UnixMilli()
	}
	if s.now <= 0 {
		return nil, fmt.Errorf("--now %s: there were no buckets then", c.Now.Format(time.RFC3339))
	}
	s.format, _ = schemas.ParseFormat(c.Format)
	s.peek = schemas.NewDecoder(schemas.Config{Strict: c.Strict})
	if err := s.openOutputs(a.Stdout, inputs); err != nil {
		return nil, err
	}
	cfg := stage.PipelineConfig{
		Group: stage.GroupConfig{Formats: []alert.Format{alert.Format(c.Output)}},
		Emit:  s.emit,
	}
	if c.State != "" {
		if s.memory, err = openMemory(c.State, set); err != nil {
			return nil, errors.Join(err, s.close())
		}
		fmt.Fprintln(a.Stderr, s.memory)
		cfg.Terms, cfg.Windows, cfg.Commit = s.memory.written, s.memory.written, s.memory.commit
	}
	if s.pipeline, err = stage.NewPipeline(set, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("state %s: %w", c.State, err), s.close())
	}
	return s, nil
}

// run reads the inputs. The state directory changes when all of them have been read and every alert has been written,
// so that a run that was interrupted can be made again.
func (s *scan) run(stdin io.Reader, inputs []logfiles.File) error {
	if err := s.readAll(stdin, inputs); err != nil {
		return err
	}
	if err := s.pipeline.Close(); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	if s.memory == nil {
		return nil
	}
	return s.memory.save()
}

// take gives what has been read to the stages behind ingest.
func (s *scan) take(p *piece) error {
	s.stats.Add(p.stats)
	s.matches += p.matches
	if p.stats.Records > 0 { // a window of an earlier run may be due
		if err := s.pipeline.Records(nil, s.now); err != nil {
			return err
		}
	}
	for i := range p.values {
		v := &p.values[i]
		for _, d := range v.dead {
			s.dead.Put(d)
		}
		if err := s.pipeline.Records(v.outputs, s.now); err != nil {
			return err
		}
	}
	return p.err
}

// pause is called before more is read or waited for, which may take its time: what has been found by now is written.
func (s *scan) pause(got int) error {
	if err := s.alerts.Flush(); err != nil {
		return err
	}
	s.bar.Add(got, s.alerts.N)
	return s.ctx.Err()
}

// begin looks for the first event there is, whether a rule matches it or not: the history begins with it.
func (s *scan) begin(m schemas.Message) {
	defer func() { _ = recover() }() // ingest will meet it again, and makes a dead letter of it
	var first firstEvent
	s.peek.DecodeUnfiltered(m, &first)
	if !first.found {
		return
	}
	s.peek = nil
	s.history = first.time
	if s.memory != nil {
		s.history = s.memory.begin(s.history)
	}
}

// firstEvent is a sink that keeps the time of the first event.
type firstEvent struct {
	time  int64
	found bool
}

func (f *firstEvent) Event(e *schemas.Event) {
	if !f.found {
		f.time, f.found = e.Time, true
	}
}

func (f *firstEvent) Dead(schemas.DeadLetter) {}
