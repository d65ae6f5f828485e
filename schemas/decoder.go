package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"

	"firstseen/schemas/internal/literal"
	"firstseen/schemas/jsonscan"
	"firstseen/schemas/wire"
)

// Decoder takes messages apart. It reuses its buffers: one goroutine, one decoder.
type Decoder struct {
	cfg      Config
	layout   *Layout
	bounds   Bounds
	matchers [S3Access + 1]*literal.Matcher
	events   [S3Access + 1]*Event
	parser   jsonscan.Parser
	columns  columns
	kinds    [len(columns{})]Kind
	text     []byte   // of the event: values that are not in Raw as they are
	nested   [][]byte // unquoted envelopes, by level
	gzip     *gzip.Reader
	inflated bytes.Buffer

	// of the message
	m        Message
	sink     Sink
	stats    Stats
	clock    clock
	filter   bool   // check the literals first
	counting bool   // only count the records
	single   bool   // the message is one JSON object
	cut      Reason // why the data in hand breaks off at its end; "": it does not
	ended    bool   // a dead letter has been made of what breaks off
	size     int    // of the data without white space around it
	fault    int    // where the last record that was parsed is no JSON; 0: it is
	budget   int    // bytes that may still be read for nothing, see Decoder.skip
}

// NewDecoder returns a decoder.
func NewDecoder(cfg Config) *Decoder {
	d := &Decoder{cfg: cfg, layout: cfg.Layout, bounds: cfg.Bounds.orDefault()}
	if d.layout == nil {
		d.layout = NewLayout(nil)
	}
	for _, s := range []Dataset{CloudTrail, S3Access} {
		d.events[s] = newEvent(s, d.layout)
		if f := cfg.Filters[s]; f != nil {
			d.matchers[s] = f.matcher(s)
		}
	}
	return d
}

func (b Bounds) orDefault() Bounds {
	def := func(n, d int) int {
		if n <= 0 {
			return d
		}
		return min(n, 1<<30)
	}
	return Bounds{
		MessageBytes: def(b.MessageBytes, DefaultBounds.MessageBytes),
		Records:      def(b.Records, DefaultBounds.Records),
		RecordBytes:  def(b.RecordBytes, DefaultBounds.RecordBytes),
		Depth:        min(def(b.Depth, DefaultBounds.Depth), 10_000),
		Nesting:      def(b.Nesting, DefaultBounds.Nesting),
	}
}

// Decode gives every record of the message to the sink. It never fails: every byte ends as an event, filtered, skipped
// or dead.
func (d *Decoder) Decode(m Message, sink Sink) Stats { return d.decode(m, sink, !d.cfg.ValidateAll) }

// DecodeUnfiltered is Decode without the filters.
func (d *Decoder) DecodeUnfiltered(m Message, sink Sink) Stats { return d.decode(m, sink, false) }

func (d *Decoder) decode(m Message, sink Sink, filter bool) Stats {
	d.m, d.sink, d.stats, d.clock, d.filter = m, sink, Stats{}, clockOf(&m), filter
	d.cut, d.ended, d.single, d.fault = "", false, false, 0
	origin := wire.Origin{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, File: m.File, Line: m.Line}
	d.events[CloudTrail].Origin, d.events[S3Access].Origin = origin, origin

	if broken := d.message(); broken != "" && !d.ended {
		d.dead(broken, "the source breaks off here", nil)
	}
	d.m, d.sink = Message{}, nil
	return d.stats
}

// message decodes the message in hand. It returns why it breaks off, if it does.
func (d *Decoder) message() (broken Reason) {
	data, broken := d.m.Value, d.m.Broken
	if len(data) > 1 && data[0] == 0x1f && data[1] == 0x8b {
		if data, broken = d.inflate(data); broken == TooLarge {
			d.whole(TooLarge, "larger than the bound after decompression")
			return ""
		}
	}
	d.stats.Bytes = int64(len(data))
	if len(data) > d.bounds.MessageBytes {
		d.whole(TooLarge, "larger than the bound")
		return ""
	}
	d.cut = broken
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	// Two bytes are the shortest thing that can be counted as a record.
	if len(data)/2 > d.bounds.Records && d.tooMany(data) {
		d.whole(TooManyRecords, "more records than the bound")
		return ""
	}
	d.size, d.budget = len(bytes.TrimSpace(data)), 16*len(data)+1<<16
	if d.filter && d.rejectsAll(data) {
		return broken
	}
	d.stream(data, 0)
	if d.stats.Records == 0 && broken == "" {
		d.skip() // an empty message, as a tombstone is
	}
	return broken
}

// inflate decompresses the message into the decoder's buffer, up to one byte over the bound.
func (d *Decoder) inflate(data []byte) (inflated []byte, broken Reason) {
	if d.inflated.Cap() > 16<<20 {
		d.inflated = bytes.Buffer{}
	}
	d.inflated.Reset()
	var err error
	if d.gzip == nil {
		d.gzip, err = gzip.NewReader(bytes.NewReader(data))
	} else {
		err = d.gzip.Reset(bytes.NewReader(data))
	}
	if err == nil {
		_, err = io.Copy(&d.inflated, io.LimitReader(d.gzip, int64(d.bounds.MessageBytes)+1))
	}
	switch {
	case d.inflated.Len() > d.bounds.MessageBytes:
		return nil, TooLarge
	case err == nil:
		return d.inflated.Bytes(), ""
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return d.inflated.Bytes(), Truncated
	}
	return d.inflated.Bytes(), InvalidGzip
}

// tooMany counts the records before any of them is given out, since a message over the bound is dead as a whole.
func (d *Decoder) tooMany(data []byte) bool {
	if bytes.Count(data, []byte(","))+bytes.Count(data, []byte("\n"))+bytes.Count(data, []byte("{")) < d.bounds.Records {
		return false
	}
	d.counting, d.budget = true, 16*len(data)+1<<16
	d.stream(data, 0)
	n := d.stats.Records
	d.counting, d.ended, d.stats = false, false, Stats{Bytes: d.stats.Bytes}
	return n > d.bounds.Records
}

// rejectsAll looks at a message that is a single CloudTrail record, the most frequent one by far where CloudTrail is not
// sent in files, and reports whether the filter rejects it.
func (d *Decoder) rejectsAll(data []byte) bool {
	start, end := jsonscan.Space(data, 0), len(data)
	for end > start && data[end-1] <= ' ' {
		end--
	}
	if end-start < 2 || end-start > d.bounds.RecordBytes || d.m.Format == FormatS3Access || data[end-1] != '}' || sniff(data, start) != sniffCloudTrail || !isObject(data[start:end]) {
		return false
	}
	d.single = true
	if !d.rejects(CloudTrail, data) {
		return false
	}
	d.count()
	d.stats.Filtered++
	return true
}

// count takes the number of the next record.
func (d *Decoder) count() (index int32) {
	d.stats.Records++
	return int32(d.stats.Records - 1)
}

func (d *Decoder) skip() {
	d.count()
	d.stats.Skipped++
}

// dead makes a dead letter of one record, or of the message if it is all of that.
func (d *Decoder) dead(reason Reason, detail string, value []byte) {
	if detail == "" && !d.counting {
		detail = d.detail(reason, len(value))
	}
	d.fault = 0
	if d.stats.Records == 0 && len(value) >= d.size {
		d.whole(reason, detail)
		return
	}
	index := d.count()
	d.stats.Dead++
	if !d.counting {
		d.sink.Dead(DeadLetter{Reason: reason, Detail: detail, Index: index, Value: value, Line: d.m.Line})
	}
}

// detail says what is known of a record that is no good.
func (d *Decoder) detail(reason Reason, size int) string {
	switch reason {
	case InvalidJSON:
		if d.fault > 0 {
			return fmt.Sprintf("invalid character at byte %d", d.fault)
		}
		return "brackets, quotes or commas are missing"
	case Truncated:
		return "breaks off"
	case TooDeep:
		return fmt.Sprintf("more than %d levels", d.bounds.Depth)
	case TooLarge:
		return fmt.Sprintf("%d bytes, the bound for a record is %d", size, d.bounds.RecordBytes)
	case TooNested:
		return fmt.Sprintf("more than %d envelopes inside one another", d.bounds.Nesting)
	case UnknownShape:
		return "no access log line"
	case NoTime:
		return "neither the record nor the message has a time"
	}
	return ""
}

// whole makes one dead letter of the message.
func (d *Decoder) whole(reason Reason, detail string) {
	d.count()
	d.stats.Dead++
	if !d.counting {
		d.sink.Dead(DeadLetter{Reason: reason, Detail: detail, Index: -1, Value: d.m.Value, Line: d.m.Line})
	}
}

// emit gives the event to the sink.
func (d *Decoder) emit(e *Event) {
	e.Origin.Index = d.count()
	d.stats.Events++
	d.sink.Event(e)
}

// begin returns the event of a dataset, emptied.
func (d *Decoder) begin(s Dataset, raw []byte) *Event {
	e := d.events[s]
	e.reset()
	e.Raw = raw
	return e
}

// keep returns a copy that lives as long as the event.
func (d *Decoder) keep(text []byte) []byte {
	start := len(d.text)
	d.text = append(d.text, text...)
	return d.text[start:len(d.text):len(d.text)]
}

func (d *Decoder) unquote(text []byte) []byte {
	start := len(d.text)
	d.text = jsonscan.Unquote(d.text, text)
	return d.text[start:len(d.text):len(d.text)]
}

// valid returns the text with U+FFFD for bytes that are not UTF-8.
func (d *Decoder) valid(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	start := len(d.text)
	for _, r := range string(text) {
		d.text = utf8.AppendRune(d.text, r)
	}
	return d.text[start:len(d.text):len(d.text)]
}

// canonical returns the canonical form of an address, nil if the text is none.
func (d *Decoder) canonical(text []byte) []byte {
	addr, ok := ParseIP(text, d.cfg.Strict)
	if !ok {
		return nil
	}
	if addr.Is4() && bytes.IndexByte(text, ':') < 0 {
		return text // an IPv4 address has only one spelling
	}
	start := len(d.text)
	d.text = addr.AppendTo(d.text)
	return d.text[start:len(d.text):len(d.text)]
}

// deriveAny fills the fields that are made alike for all records: the time as text, and wildcards.
func (d *Decoder) deriveAny(e *Event) {
	if e.Flags&TimeUnverified != 0 {
		d.stats.Unverified++
	}
	if e.Flags&TimeClamped != 0 {
		d.stats.Clamped++
	}
	if d.layout.wants[fTimestamp] {
		start := len(d.text)
		d.text = appendTime(d.text, e.Time)
		e.add(Slot(fTimestamp), Value{Text: d.text[start:len(d.text):len(d.text)]})
	}
	for i := range d.layout.wilds {
		d.layout.wilds[i].fill(e)
	}
}
