package explain

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/logfiles"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/cmd/firstseen/internal/why"
	"firstseen/rules"
	"firstseen/rules/kql"
	"firstseen/schemas"
)

// picked is the record to explain: a message, or a value of a file, and which of its records it is.
type picked struct {
	message schemas.Message
	index   int32
	records int // of the message
	decoded
}

// decoded is what a worker makes of the record.
type decoded struct {
	found  bool // it is an event
	id     string
	time   int64
	flags  schemas.Flags
	data   schemas.Dataset
	raw    []byte
	fields why.Fields
	rules  []rules.Explanation
	dead   *deadView // it is a dead letter instead
	passed bool      // the worker's filter has it parsed
}

type deadView struct {
	Reason   schemas.Reason `json:"reason"`
	Detail   string         `json:"detail"`
	Unparsed bool           `json:"unparsed,omitempty"` // it would be one, but workers do not look: no rule can match it
}

var topicOffset = regexp.MustCompile(`^([a-zA-Z0-9._-]+)/([0-9]+)/([0-9]+)$`)

// parseOffset understands TOPIC/PARTITION/OFFSET, unless a file has that name.
func parseOffset(text string) (topic string, partition int32, offset int64, ok bool) {
	m := topicOffset.FindStringSubmatch(text)
	if m == nil {
		return "", 0, 0, false
	}
	if _, err := os.Stat(text); err == nil {
		return "", 0, 0, false
	}
	p, err1 := strconv.ParseInt(m[2], 10, 32)
	offset, err2 := strconv.ParseInt(m[3], 10, 64)
	return m[1], int32(p), offset, err1 == nil && err2 == nil
}

// pickFile finds the record in a file or in standard input. Without --line the records of all its values count.
func (x *inquiry) pickFile(a *cli.App) (*picked, error) {
	in := logfiles.File{Path: x.Event}
	if x.Event != "-" {
		var err error
		if in.Info, err = os.Stat(x.Event); err != nil {
			return nil, fmt.Errorf("%w; an event is a FILE, - for standard input, or TOPIC/PARTITION/OFFSET", err)
		}
		if in.Info.IsDir() {
			return nil, fmt.Errorf("%s is a directory: name one file of it", x.Event)
		}
	}
	r, err := in.Open(a.Ctx, a.Stdin)
	if err != nil {
		return nil, err
	}
	defer r.Close() // it was only read
	format, _ := schemas.ParseFormat(x.Format)
	file := schemas.NewFileReader(r, in.Name(), x.bounds)
	list := recordList{most: 20}
	var found *picked
	for n := int64(0); ; n++ {
		m, err := file.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		m.Offset, m.Now, m.Format = n, x.now, format
		if x.Line > 0 && m.Line != x.Line {
			continue
		}
		before := list.n
		list.message(x.decoder(nil), m)
		if want := max(x.Index, 0); found == nil && want >= before && want < list.n {
			m.Value = append([]byte(nil), m.Value...)
			found = &picked{message: m, index: want - before, records: int(list.n - before)}
		}
	}
	switch {
	case list.n == 0 && x.Line > 0:
		return nil, fmt.Errorf("%s: no record begins at line %d", in.Name(), x.Line)
	case list.n == 0:
		return nil, fmt.Errorf("%s has no record", in.Name())
	case found == nil:
		return nil, fmt.Errorf("%s has %s, there is none with --index %d: they are counted from 0", in.Name(), show.Plural(int64(list.n), "record"), x.Index)
	case x.Index < 0 && list.n > 1:
		return nil, fmt.Errorf("%s has %s: say which one with --index N\n%s", in.Name(), show.Plural(int64(list.n), "record"), list.String())
	}
	return found, nil
}

// recordList shows the records there are, so that one of them can be named.
type recordList struct {
	n     int32 // of the messages so far
	most  int   // lines
	lines []string
	line  int64 // of the message in hand
}

// message counts the records of a message, and lists them.
func (l *recordList) message(d *schemas.Decoder, m schemas.Message) {
	l.line = m.Line
	records := 1
	func() {
		defer func() {
			if recover() != nil {
				l.add(0, "cannot be decoded")
			}
		}()
		records = d.DecodeUnfiltered(m, l).Records
	}()
	l.n += int32(records)
}

func (l *recordList) add(index int32, what string) {
	if len(l.lines) < l.most {
		l.lines = append(l.lines, fmt.Sprintf("  --index %-4d line %-5d %s", l.n+max(index, 0), l.line, what))
	}
}

// Event lists an event.
func (l *recordList) Event(e *schemas.Event) {
	what := []string{show.Time(e.Time)}
	for _, name := range []string{"event.action", "source.address", "user.name"} {
		if f, ok := schemas.Known(name); ok && e.Text(schemas.Slot(f)) != nil {
			what = append(what, show.Text(string(e.Text(schemas.Slot(f))), 60))
		}
	}
	l.add(e.Origin.Index, strings.Join(what, " "))
}

// Dead lists a dead letter.
func (l *recordList) Dead(d schemas.DeadLetter) { l.add(d.Index, "dead letter: "+string(d.Reason)) }

func (l *recordList) String() string {
	lines := l.lines
	if more := int(l.n) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// decoder returns one like the worker's, or one for all fields that there are, and those that rules use.
func (x *inquiry) decoder(layout *schemas.Layout) *schemas.Decoder {
	return schemas.NewDecoder(schemas.Config{Layout: layout, Filters: x.set.Filters(), Bounds: x.bounds, ValidateAll: x.validate, Strict: x.set.Strict(), Owners: x.set.Owners()})
}

// decode finds out what the record is, and what the rules make of it.
func (x *inquiry) decode(p *picked) error {
	var failed error
	at := &recordSink{index: p.index, event: func(e *schemas.Event) {
		p.found, p.id, p.time, p.flags, p.data, p.raw = true, string(e.ID()), e.Time, e.Flags, e.Dataset, append([]byte(nil), e.Raw...)
		for _, r := range x.set.Rules() {
			if x.Rule != "" && r.ID() != x.Rule {
				continue
			}
			explained, err := x.set.Explain(r, e)
			if err != nil {
				failed = fmt.Errorf("rule %s: %w", r.ID(), err)
				return
			}
			p.rules = append(p.rules, explained)
		}
	}}
	p.records = at.run(x.decoder(x.set.Layout()).DecodeUnfiltered, p.message)
	// The worker parses only what passes its filter: what it does not parse is no dead letter.
	worker := &recordSink{index: p.index, event: func(*schemas.Event) { p.passed = true }}
	worker.run(x.decoder(x.set.Layout()).Decode, p.message)
	if p.dead = worker.dead; p.dead == nil && !p.found && at.dead != nil {
		p.dead = at.dead
		p.dead.Unparsed = true
	}
	names := schemas.KnownNames()
	for _, r := range x.set.Rules() {
		names = append(names, ruleFields(r)...)
	}
	all := schemas.NewLayout(names)
	shows := &recordSink{index: p.index, event: func(e *schemas.Event) { p.fields = eventFields(e, all, names) }}
	shows.run(x.decoder(all).DecodeUnfiltered, p.message)
	return failed
}

// recordSink takes one record of a message.
type recordSink struct {
	index int32
	event func(*schemas.Event)
	dead  *deadView
}

// run decodes a message and returns how many records it has. What panics is a dead letter, as in the worker.
func (s *recordSink) run(decode func(schemas.Message, schemas.Sink) schemas.Stats, m schemas.Message) (records int) {
	defer func() {
		if p := recover(); p != nil {
			s.dead = &deadView{Reason: schemas.Panicked, Detail: fmt.Sprint(p)}
		}
	}()
	return decode(m, s).Records
}

// Event takes the event if it is the one.
func (s *recordSink) Event(e *schemas.Event) {
	if e.Origin.Index == s.index {
		s.event(e)
	}
}

// Dead takes the dead letter if it is the one, or the whole message is.
func (s *recordSink) Dead(d schemas.DeadLetter) {
	if d.Index == s.index || d.Index < 0 {
		s.dead = &deadView{Reason: d.Reason, Detail: d.Detail}
	}
}

// ruleFields are the fields that a rule looks at, those of its queries and of its terms.
func ruleFields(r *rules.Rule) (names []string) {
	t := r.Text()
	for _, query := range []string{t.Query, t.Except} {
		if e, err := kql.Parse(query); err == nil {
			names = append(names, kql.Fields(e)...)
		}
	}
	if t.NewTerms != nil {
		names = append(names, t.NewTerms.Fields...)
	}
	if t.Dedup != nil {
		names = append(names, t.Dedup.By...)
	}
	return names
}

// eventFields lists the fields that the event has, by their ECS names, each once.
func eventFields(e *schemas.Event, layout *schemas.Layout, names []string) (list why.Fields) {
	seen := map[string]bool{}
	for _, name := range names {
		if f, ok := schemas.Known(name); ok {
			name = f.Name()
		}
		slot, ok := layout.Slot(name)
		if seen[name] || !ok || len(e.Values(slot)) == 0 || strings.Contains(name, "*") {
			continue
		}
		seen[name] = true
		f := why.Field{Name: name}
		for _, v := range e.Values(slot) {
			f.Values = append(f.Values, string(v.Text))
		}
		list = append(list, f)
	}
	return list
}
