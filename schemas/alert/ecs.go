package alert

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// ECSVersion is the version of the Elastic Common Schema that AppendECS writes.
const ECSVersion = "9.4.0"

// flagRoom is kept for firstseen.flags, which comes last: it says whether something was left out.
const flagRoom = 512

// AppendECS appends the alert as one line of ECS JSON without a line break: event.kind is alert, rule.* and threat.* say
// what fired, event.reason says it in a sentence, source.*, cloud.* and aws.* show the event, and firstseen.* holds what
// ECS has no name for.
func (a *Alert) AppendECS(dst []byte) []byte { return a.ecs(dst, MaxBytes) }

// ecs is AppendECS with another bound.
func (a *Alert) ecs(dst []byte, most int) []byte {
	w := writers.Get().(*ecsWriter)
	defer writers.Put(w)
	w.event.read(a.evidence())
	defer clear(w.event.values) // which are views of the evidence
	if a.Kind != Gap && w.begin(a.rule(), most-2-flagRoom) && a.write(w, true) {
		return append(dst, w.out...)
	}
	w.document.reset(most - 2 - flagRoom)
	a.write(w, false) // what there is no room for is for the order to decide
	return append(dst, w.out...)
}

// write makes the document. begun says that it has already got what all documents of its rule have. The result is
// whether nothing was left out.
func (a *Alert) write(w *ecsWriter, begun bool) (whole bool) {
	d, e, r := &w.document, &w.event, a.rule()
	if !begun {
		addKind(d, r, a.Kind)
	}
	a.addEvent(d, r, e)
	if !begun {
		addRule(d, r)
	}
	a.addFirstseen(d, r)
	if !begun {
		addThreat(d, r.Threat)
	}
	d.text("source.address", e.address())
	d.addresses("related.ip", e.ips(make([]netip.Addr, 0, 16)))
	if !begun {
		d.texts("tags", r.Tags)
	}
	if r.Panther {
		a.addContext(d, e) // at the top level, where Panther's users look for them
	}
	addEvidence(d, e)
	a.addSummary(d, &w.counters)

	flags := a.flags().Names()
	if whole = !d.full; !whole {
		flags = append(flags, "truncated")
	}
	d.room += flagRoom
	d.texts("firstseen.flags", flags)
	w.out = d.appendTo(w.out[:0])
	return whole
}

// ecsWriter is the memory for a document.
type ecsWriter struct {
	document document
	event    event
	counters document // of one summary attribute
	out      []byte
}

// beginning is a document with what all documents of a rule have.
type beginning struct {
	rule  *Rule // not another that was made as a copy
	json  []byte
	slots slots
	cost  int
}

// begin makes the document one that has got what all documents of the rule have, with room for so much in all. It is
// false if that is too much.
func (w *ecsWriter) begin(r *Rule, room int) bool {
	b := r.begun.Load()
	if b == nil || b.rule != r {
		d := document{slots: new(slots)}
		d.reset(MaxBytes)
		addKind(&d, r, Open)
		addRule(&d, r)
		addThreat(&d, r.Threat)
		d.texts("tags", r.Tags)
		if b = (&beginning{r, d.json, *d.slots, MaxBytes - d.room}); d.full || len(d.values) > 0 { // or it has what has no place
			b.cost = 2 * MaxBytes
		}
		r.begun.Store(b)
	}
	d := &w.document
	d.json, d.values = append(d.json[:0], b.json...), d.values[:0]
	*d.slots, d.room, d.full = b.slots, room-b.cost, false
	return d.room >= 0
}

var writers = sync.Pool{New: func() any { return &ecsWriter{document: document{slots: new(slots)}} }}

// rule returns the rule, or its stand-in.
func (a *Alert) rule() *Rule {
	if a.Rule == nil {
		return gapRule
	}
	return a.Rule
}

func (a *Alert) flags() schemas.Flags {
	if a.Match == nil {
		return a.Flags
	}
	return a.Flags | schemas.Flags(a.Match.Flags)
}

// title returns what the alert is called.
func (a *Alert) title() string {
	if a.Title == "" {
		return cutTitle(a.rule().Name)
	}
	return cutTitle(a.Title)
}

// created returns when the alert was written.
func (a *Alert) created() int64 {
	if a.Created == 0 {
		return a.Time
	}
	return a.Created
}

// addKind adds what every alert of a rule has whatever it is about.
func addKind(d *document, r *Rule, kind string) {
	module, dataset := "aws", r.Dataset
	if kind == Gap {
		module, dataset = "firstseen", "firstseen.gap"
	} else {
		d.text("cloud.provider", "aws")
	}
	d.text("ecs.version", ECSVersion)
	d.text("event.kind", "alert")
	d.texts("event.category", []string{"intrusion_detection"})
	d.texts("event.type", []string{"info"})
	d.text("event.module", module)
	d.text("event.dataset", dataset)
	d.number("event.severity", int64(score(r.Severity)))
	d.number("event.risk_score", int64(r.riskScore()))
}

// addEvent adds what every alert has whatever its rule.
func (a *Alert) addEvent(d *document, r *Rule, e *event) {
	provider, action := "s3.amazonaws.com", "unknown"
	if a.Kind == Gap {
		provider, action = "firstseen", "source-gap"
	}
	d.time("@timestamp", a.Time)
	d.long("message", a.title(), 1000)
	d.text("event.action", or(e.get("event.action"), action))
	d.text("event.outcome", or(e.get("event.outcome"), "unknown"))
	d.text("event.provider", or(e.get("event.provider"), provider))
	d.id("event.id", a.ID)
	d.time("event.start", a.FirstSeen)
	d.time("event.end", a.LastSeen)
	d.time("event.created", a.created())
	d.text("event.reason", a.reason(r, e))
}

func addRule(d *document, r *Rule) {
	d.text("rule.id", r.ID)
	d.text("rule.name", r.Name)
	d.text("rule.version", r.Version)
	d.text("rule.category", r.Category)
	d.always("rule.description", r.Description, 4*MaxText)
	reference := ""
	if len(r.References) > 0 {
		reference = r.References[0]
	}
	d.always("rule.reference", reference, MaxText)
	d.text("rule.ruleset", "firstseen")
}

// addFirstseen adds the block of the alert's own facts.
func (a *Alert) addFirstseen(d *document, r *Rule) {
	d.id("firstseen.alert.id", a.ID)
	d.text("firstseen.alert.status", a.Kind)
	d.number("firstseen.alert.count", a.Count)
	d.time("firstseen.alert.first_seen", a.FirstSeen)
	d.time("firstseen.alert.last_seen", a.LastSeen)
	d.hex("firstseen.ruleset.sha256", a.Ruleset)
	if n := a.NewTerms; n != nil {
		d.texts("firstseen.new_terms.fields", r.Fields)
		d.texts("firstseen.new_terms.values", n.Values)
		d.text("firstseen.new_terms.history", duration(n.History))
		d.time("firstseen.new_terms.previous_seen", n.PreviousSeen)
		d.time("firstseen.new_terms.history_start", n.HistoryStart)
		d.boolean("firstseen.new_terms.history_complete", n.Complete(a.eventTime()))
	}
	d.text("firstseen.allowlist.networks_version", r.NetworksVersion)
	if g := a.Group; g != nil {
		d.texts("firstseen.group.by", g.By)
		d.text("firstseen.group.key", groupKey(g.Key))
		d.time("firstseen.group.window_start", g.Start)
		d.time("firstseen.group.window_end", g.End)
		d.number("firstseen.group.threshold", max(1, g.Threshold))
		if g.ReachedAt != 0 {
			d.time("firstseen.group.threshold_reached", g.ReachedAt)
		}
	}
	if a.SuppressedTopic != "" || a.Suppressed > 0 {
		d.number("firstseen.suppressed.count", a.Suppressed)
		d.text("firstseen.suppressed.topic", a.SuppressedTopic)
	}
	if m := a.Missing; m != nil {
		d.text("firstseen.gap.topic", m.Topic)
		d.number("firstseen.gap.partition", int64(m.Partition))
		d.number("firstseen.gap.first_offset", m.First)
		d.number("firstseen.gap.next_offset", m.Next)
		d.number("firstseen.gap.records", m.Next-m.First)
	}
	if a.Match != nil {
		addOrigin(d, a.Match)
	}
}

// groupKey returns what a group is told by, without the rule's id: the title, or the values of its fields.
func groupKey(key string) string {
	_, values, ok := strings.Cut(key, "\x00")
	if !ok {
		return key
	}
	return strings.ReplaceAll(values, "\x00", ", ")
}

// eventTime returns the time of the event shown.
func (a *Alert) eventTime() int64 {
	if a.Match == nil {
		return a.Time
	}
	return a.Match.Time
}

// addOrigin adds where the event was read: a Kafka message or a file.
func addOrigin(d *document, m *wire.Match) {
	o := m.Origin
	d.text("firstseen.origin.event_id", m.EventID)
	if o.Topic != "" {
		d.text("firstseen.origin.topic", o.Topic)
		d.number("firstseen.origin.partition", int64(o.Partition))
		d.number("firstseen.origin.offset", o.Offset)
	} else {
		d.text("firstseen.origin.file", o.File)
		d.number("firstseen.origin.line", o.Line)
	}
	d.number("firstseen.origin.index", int64(o.Index))
}

var threatPaths = [3][3]string{
	{"threat.tactic.id", "threat.tactic.name", "threat.tactic.reference"},
	{"threat.technique.id", "threat.technique.name", "threat.technique.reference"},
	{"threat.technique.subtechnique.id", "threat.technique.subtechnique.name", "threat.technique.subtechnique.reference"},
}

// addThreat adds tactics and techniques. ECS has arrays of ids, names and references; one framework.
func addThreat(d *document, threats []Threat) {
	if len(threats) == 0 {
		return
	}
	var c [3][3][]string // the ids, names and references of tactics, techniques and subtechniques
	add := func(level int, id, name, reference string) {
		to := &c[level]
		to[0], to[1], to[2] = append(to[0], id), append(to[1], name), append(to[2], reference)
	}
	for _, t := range threats {
		add(0, t.TacticID, t.TacticName, t.TacticReference)
		for _, q := range t.Techniques {
			add(1+min(1, strings.Count(q.ID, ".")), q.ID, q.Name, q.Reference)
		}
	}
	d.text("threat.framework", threats[0].Framework)
	for i := range 3 {
		for level, paths := range threatPaths {
			if len(c[level][i]) > 0 {
				d.texts(paths[i], c[level][i])
			}
		}
	}
}

// addEvidence adds the fields of the event with the JSON type that ECS gives them. A value that is not of the type is
// left out, since an index would refuse the whole alert for it.
func addEvidence(d *document, e *event) {
	for i := 0; i < len(e.values); {
		at := e.values[i].place
		from, n := len(d.json), 0
		d.json = append(d.json, '[')
		for ; i < len(e.values) && e.values[i].place == at; i++ {
			if n == 64 {
				d.full = true
				continue
			}
			start := len(d.json)
			if n > 0 {
				d.json = append(d.json, ',')
			}
			var ok bool
			if d.json, ok = appendTyped(d.json, places[at].typ, e.values[i].text); !ok {
				d.json = d.json[:start]
				continue
			}
			n++
		}
		switch n {
		case 0:
			d.json = d.json[:from]
			continue
		case 1: // a single value is no array
			from++
		default:
			d.json = append(d.json, ']')
		}
		d.endAt(at, from)
	}
}

// appendTyped appends a value as the JSON of its type, and says whether it is of the type.
func appendTyped(dst []byte, t schemas.Type, v string) ([]byte, bool) {
	var err error
	switch t {
	case schemas.Long:
		var n int64
		if n, err = strconv.ParseInt(v, 10, 64); err == nil {
			return strconv.AppendInt(dst, n, 10), true
		}
	case schemas.Boolean:
		return append(dst, v...), v == "true" || v == "false"
	case schemas.IP:
		_, err = netip.ParseAddr(v)
	case schemas.Date:
		_, err = time.Parse(time.RFC3339, v)
	}
	if err != nil || v == "" {
		return dst, false
	}
	return appendString(dst, v, MaxText), true
}

// addSummary adds the top values of the rule's summary attributes, each of which is made in o.
func (a *Alert) addSummary(d, o *document) {
	if len(a.Summary) == 0 {
		return
	}
	from := len(d.json)
	for i := 0; i < len(a.Summary) && i < 256; {
		attribute := a.Summary[i].Attribute
		o.reset(MaxBytes)
		o.text("attribute", attribute)
		values := len(o.json)
		for ; i < len(a.Summary) && a.Summary[i].Attribute == attribute; i++ {
			c := &a.Summary[i]
			o.json = append(o.json, `,{"count":`...)
			o.json = strconv.AppendInt(o.json, c.Count, 10)
			o.json = append(o.json, `,"error":`...)
			o.json = strconv.AppendInt(o.json, c.Error, 10)
			o.json = append(o.json, `,"value":`...)
			o.json = append(appendString(o.json, c.Value, MaxText/4), '}')
		}
		o.json[values] = '['
		o.json = append(o.json, ']')
		o.end("values", values)
		d.json = o.appendTo(append(d.json, ','))
		d.full = d.full || o.full
	}
	d.json[from] = '['
	d.json = append(d.json, ']')
	d.end("firstseen.summary", from)
}

// duration writes milliseconds as a rule file does: 7d, 12h, 15m, 90s.
func duration(ms int64) string {
	for _, u := range units {
		if ms%u.ms == 0 && ms != 0 {
			return strconv.FormatInt(ms/u.ms, 10) + u.short
		}
	}
	return strconv.FormatInt(ms/1000, 10) + "s"
}

var units = []struct {
	ms          int64
	short, long string
}{{86_400_000, "d", "day"}, {3_600_000, "h", "hour"}, {60_000, "m", "minute"}, {1000, "s", "second"}}
