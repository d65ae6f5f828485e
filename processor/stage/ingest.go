package stage

import (
	"fmt"

	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// IngestConfig is how messages are read.
type IngestConfig struct {
	// Decoder, of which Layout and Filters are set to those of the rules.
	Decoder schemas.Config
	// Dead takes the dead letters: what could not be decoded, what a rule could not decide about, what made it panic.
	// The arguments are valid during the call.
	Dead func(m *schemas.Message, d schemas.DeadLetter)
}

// Ingest is the stage that reads the source topics: it decodes, matches every rule's stateless part, and combines what
// matched until Flush. It has no state of its own.
type Ingest struct {
	set     *rules.Set
	ruleset []byte
	decoder *schemas.Decoder
	dead    func(m *schemas.Message, d schemas.DeadLetter)
	counts  IngestCounts

	combined
	since func(*rules.Rule) Since
	learn bool
	seen  func(*schemas.Event) // nil: nobody wants to know

	// The event in hand.
	message schemas.Message
	event   *schemas.Event
	rule    *rules.Rule
	failed  bool // a rule could not decide about it
	onMatch func(*rules.Rule, error)
	onTerms func(values [][]byte)
	onValue func(attribute string, value []byte)
	values  counters
	title   []byte
	group   []byte
	own     func([]byte) string // into the arena
}

// IngestCounts says what an Ingest has met since it was made, aborted transactions included.
type IngestCounts struct {
	Stats      schemas.Stats
	Messages   int64
	Matches    int64 // of an event and a rule
	RuleErrors int64 // of an event and a rule
	Panics     int64
	Learned    int64 // matches that made no finding because they were to be learned only
}

// NewIngest returns the stage for a set of rules.
func NewIngest(set *rules.Set, cfg IngestConfig) *Ingest {
	hash := set.Hash()
	cfg.Decoder.Layout, cfg.Decoder.Filters, cfg.Decoder.Owners = set.Layout(), set.Filters(), set.Owners()
	in := &Ingest{
		set: set, ruleset: hash[:], decoder: schemas.NewDecoder(cfg.Decoder), dead: cfg.Dead,
		combined: newCombined(),
	}
	in.SetHistoryStart(wire.NoTime)
	in.own = in.findings.arena.text
	in.onMatch, in.onTerms = in.matched, in.termsMatched
	in.onValue = func(attribute string, value []byte) { in.values = in.values.addValue(attribute, value, in.own) }
	return in
}

// Since is since when the terms of a rule have been recorded, in Unix milliseconds; wire.NoTime: not known, or none.
type Since struct {
	Start     int64 // the history of the rule's alerts begins here
	HoldUntil int64 // findings of events before it are held back, as the rule is still learning
}

// SetSince has the candidates to come ask for their rule's history.
func (in *Ingest) SetSince(of func(*rules.Rule) Since) { in.since = of }

// SetHistoryStart says that the terms of all rules have been recorded since then, in Unix milliseconds, and none is held
// back. wire.NoTime, as at the start: not known.
func (in *Ingest) SetHistoryStart(ms int64) {
	in.SetSince(func(*rules.Rule) Since { return Since{Start: ms, HoldUntil: wire.NoTime} })
}

// SetLearn says whether the messages to come are only to be learned: their candidates update terms and nothing else,
// their other matches are counted and forgotten.
func (in *Ingest) SetLearn(learn bool) { in.learn = learn }

// SetSeen has a function called with every event that is decoded, whether a rule matches it or not. It is valid during
// the call. Records that no rule can match are not decoded, unless the decoder validates all.
func (in *Ingest) SetSeen(fn func(*schemas.Event)) { in.seen = fn }

// Message reads one message. What matched waits for Flush.
func (in *Ingest) Message(m schemas.Message) (stats schemas.Stats) {
	in.message = m
	in.counts.Messages++
	defer func() {
		if p := recover(); p != nil { // in the decoder: of this message nothing more can be said
			stats.Dead++
			in.panicked(p, -1, m.Value, m.Line)
		}
		in.counts.Stats.Add(stats)
	}()
	return in.decoder.Decode(m, (*sink)(in))
}

// sink is what the decoder sees of an Ingest.
type sink Ingest

// Event matches one record. A panic makes this record a dead letter, not its neighbours.
func (s *sink) Event(e *schemas.Event) {
	in := (*Ingest)(s)
	defer func() {
		if p := recover(); p != nil {
			in.panicked(p, e.Origin.Index, e.Raw, e.Origin.Line)
		}
	}()
	in.event, in.failed, in.shown = e, false, nil
	if in.seen != nil {
		in.seen(e)
	}
	in.set.Match(e, in.onMatch)
}

// Dead passes on what could not be decoded.
func (s *sink) Dead(d schemas.DeadLetter) { s.dead(&s.message, d) }

func (in *Ingest) panicked(p any, index int32, value []byte, line int64) {
	in.counts.Panics++
	in.dead(&in.message, schemas.DeadLetter{
		Reason: schemas.Panicked, Detail: fmt.Sprint(p), Index: index, Value: value, Line: line,
	})
}

// matched is called for every rule that the event in hand matches, or that could not decide about it. However many
// rules could not, the record is one dead letter.
func (in *Ingest) matched(r *rules.Rule, err error) {
	switch {
	case err != nil:
		in.counts.RuleErrors++
		if !in.failed {
			in.failed = true
			in.dead(&in.message, schemas.DeadLetter{
				Reason: schemas.RuleError, Detail: err.Error(),
				Index: in.event.Origin.Index, Value: in.event.Raw, Line: in.event.Origin.Line,
			})
		}
		return
	case r.HasTerms():
		in.rule = r
		r.EachTerms(in.event, in.onTerms)
	case in.learn:
		in.counts.Learned++
	default:
		in.rule = r
		in.find()
	}
	in.counts.Matches++
}

// termsMatched combines one combination of terms of the event in hand.
func (in *Ingest) termsMatched(values [][]byte) {
	r, e := in.rule, in.event
	history := r.History()
	state := r.State()
	in.key = append(in.key[:0], state[:]...)
	in.key = appendTerms(in.key, values)
	if in.join(e.Time, history, in.learn) {
		return
	}
	terms := make([]string, len(values))
	for i, v := range values {
		terms[i] = string(v)
	}
	in.title = r.AppendTitle(in.title[:0], e)
	in.group = r.AppendGroup(in.group[:0], e, in.title, values)
	since := in.since(r)
	c := in.open()
	c.key = candidateKey(terms, r.SourceTerm())
	c.Candidate = wire.Candidate{
		Ruleset: in.ruleset, Rule: r.ID(), State: state, Terms: terms,
		Group: in.own(in.group), Policy: r.Policy(),
		History: history, HistoryStart: since.Start, HoldUntil: since.HoldUntil, Count: 1, Last: e.Time,
		First: in.match(true), Counters: in.summary(nil), Learn: in.learn,
	}
}

// find combines the event in hand as a match of a rule without terms.
func (in *Ingest) find() {
	r, e := in.rule, in.event
	in.title = r.AppendTitle(in.title[:0], e)
	in.group = r.AppendGroup(in.group[:0], e, in.title, nil)
	head := wire.Finding{Ruleset: in.ruleset, Rule: r.ID(), State: r.State(), Group: view(in.group), Policy: r.Policy()}
	for {
		fd, where := in.findings.at(&head, false, rules.Second(e.Time), in.seq)
		in.seq++
		if where == folded {
			if last := in.findings.fold(fd, len(r.Info().SummaryAttributes)); last != nil {
				last.Counters = in.summary(last.Counters)
				in.findings.recount(fd)
				return
			}
			continue
		}
		entry := wire.Entry{Match: in.match(where == alerting), Counters: in.summary(nil)}
		if in.findings.add(fd, &entry) {
			return
		}
	}
}

// summary counts the event's summary attributes.
func (in *Ingest) summary(to counters) counters {
	if in.values = to; to == nil {
		in.values = in.findings.arena.room(len(in.rule.Info().SummaryAttributes))
	}
	in.rule.Summary(in.event, in.onValue)
	return in.values
}

// match returns the event in hand as a match, with what an alert shows if one can come of it: the title, and evidence.
func (in *Ingest) match(shown bool) wire.Match {
	e := in.event
	m := wire.Match{Time: e.Time, EventID: in.eventID(e.ID()), Origin: e.Origin, Flags: int32(e.Flags)}
	if shown {
		m.Title = in.own(in.title)
		m.Evidence = in.evidence(e)
	}
	return m
}

func (in *Ingest) eventID(id []byte) string {
	if len(id) > maxEventID {
		return boundID(id)
	}
	return in.own(id)
}

// Counts returns what was met so far.
func (in *Ingest) Counts() IngestCounts { return in.counts }
