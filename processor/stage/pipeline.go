package stage

import (
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/alert"
)

// PipelineConfig is how messages become alerts without Kafka.
type PipelineConfig struct {
	Ingest IngestConfig
	Group  GroupConfig
	// Batch is how many messages are combined, as in one transaction. Default: 1. It decides about speed and about the
	// order of alerts of different groups, nothing else.
	Batch int
	// Emit takes alerts and suppressed alerts.
	Emit func(Output)
	// Terms and Windows are the state at the start, of the detect and of the group stage. Without them it is empty.
	Terms, Windows View
	// Commit is called with the writes of every batch, to be applied to Terms and Windows. Without it they are kept in
	// memory, over Terms and Windows.
	Commit func(terms, windows *Overlay) error
}

// Pipeline is the three stages one behind the other: what a worker does, for messages that come in a row. It takes the
// highest timestamp so far of a message, or its Now where it has none, for the append time.
type Pipeline struct {
	cfg            PipelineConfig
	set            *rules.Set
	ingest         *Ingest
	detect         *Detect
	group          *Group
	terms, windows *Overlay
	pending        int   // messages
	clock, now     int64 // sweep clock, append time; milliseconds
	err            error
}

// Counts says what a pipeline has met and made.
type Counts struct {
	Ingest IngestCounts
	Detect DetectCounts
	Group  GroupCounts
}

// NewPipeline returns a pipeline for a set of rules. It fails if the state cannot be read.
func NewPipeline(set *rules.Set, cfg PipelineConfig) (*Pipeline, error) {
	p := &Pipeline{
		cfg: cfg, set: set,
		ingest: NewIngest(set, cfg.Ingest), detect: NewDetect(cfg.Group), group: NewGroup(cfg.Group),
		terms: NewOverlay(cfg.Terms), windows: NewOverlay(cfg.Windows),
	}
	return p, p.group.Open(p.windows, 0)
}

// Ingest is the first stage, for what has to be set there.
func (p *Pipeline) Ingest() *Ingest { return p.ingest }

// Message processes a message, or keeps it back until there are enough for a batch. Bad input is no error; one means
// that the state cannot be read or written, and nothing further is done.
func (p *Pipeline) Message(m schemas.Message) (schemas.Stats, error) {
	stats := p.ingest.Message(m)
	now := m.Timestamp
	if now < 0 {
		now = m.Now
	}
	p.clock, p.now = Advance(p.clock, p.now, now)
	if p.pending++; p.pending < p.cfg.Batch {
		return stats, p.err
	}
	return stats, p.Flush()
}

// Records processes, as a batch, what another Ingest for the same rules made of messages that were appended at now: so
// they can be read in parallel.
func (p *Pipeline) Records(outputs []Output, now int64) error {
	p.clock, p.now = Advance(p.clock, p.now, now)
	for _, out := range outputs {
		p.output(out)
	}
	return p.Flush()
}

// Flush processes what has been kept back.
func (p *Pipeline) Flush() error {
	p.pending = 0
	p.do(p.ingest.Flush(p.output))
	p.do(p.detect.Flush(p.output))
	p.tick()
	p.commit()
	return p.err
}

// Close processes what has been kept back and closes all windows. More messages may follow.
func (p *Pipeline) Close() error {
	if err := p.Flush(); err != nil {
		return err
	}
	outputs, err := p.group.Close(p.windows, p.rule)
	p.do(err)
	p.emit(outputs)
	p.commit()
	return p.err
}

// output gives a record to the stage that consumes it.
func (p *Pipeline) output(out Output) {
	if p.err != nil {
		return
	}
	if out.To == Candidates {
		p.do(p.detect.Record(p.terms, p.clock, out.Key, out.Value, p.now, p.rule))
		p.detect.emitAlerts(p.cfg.Emit) // at once: a batch may be large
		return
	}
	outputs, err := p.group.Record(p.windows, p.clock, out.Key, out.Value, p.now, p.rule)
	p.do(err)
	p.emit(outputs)
}

// tick lets the windows close whose time has come.
func (p *Pipeline) tick() { p.output(Output{To: Findings}) }

func (p *Pipeline) commit() {
	if p.err != nil || p.cfg.Commit == nil {
		return
	}
	p.do(p.cfg.Commit(p.terms, p.windows))
	p.terms.Reset()
	p.windows.Reset()
}

func (p *Pipeline) do(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *Pipeline) emit(outputs []Output) {
	for _, out := range outputs {
		p.cfg.Emit(out)
	}
}

// rule looks a rule up in the set. A window of an earlier run may be of a rule that has changed since or is gone: its
// update then has the texts of today, or none.
func (p *Pipeline) rule(ruleset []byte, id string) (*alert.Rule, error) {
	if r := p.set.Rule(id); r != nil {
		return r.Info(), nil
	}
	return &alert.Rule{ID: id, Name: id}, nil
}

// Counts returns what was met and made so far. The alerts of the detect stage are among those of the group stage.
func (p *Pipeline) Counts() Counts {
	return Counts{Ingest: p.ingest.Counts(), Detect: p.detect.Counts(), Group: p.group.Counts().add(p.detect.Alerts())}
}

// Terms is the state of the detect stage as it is now.
func (p *Pipeline) Terms() View { return p.terms }

// Windows is the state of the group stage as it is now.
func (p *Pipeline) Windows() View { return p.windows }
