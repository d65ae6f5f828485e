package schemas

import (
	"bytes"

	"firstseen/schemas/internal/times"
	"firstseen/schemas/jsonscan"
)

// stream decodes what follows one another in data: JSON values and lines of text, in any mix. level is the number of
// envelopes around it.
func (d *Decoder) stream(data []byte, level int) {
	for i := jsonscan.Space(data, 0); i < len(data); i = jsonscan.Space(data, i) {
		switch data[i] {
		case '{':
			i = d.object(data, i, level)
		case '[':
			i, _ = d.elements(data, i+1, level, (*Decoder).recordElement)
		case '"':
			i = d.quoted(data, i, level)
		default:
			i = d.line(data, i, level)
		}
	}
}

// quoted decodes a JSON string that is an envelope by itself.
func (d *Decoder) quoted(data []byte, i, level int) (next int) {
	end, _, fault := jsonscan.String(data, i+1)
	switch fault {
	case jsonscan.None:
		d.enter(data[i:end+1], level)
		return end + 1
	case jsonscan.Truncated:
		return d.enterPart(data, i, i, level)
	}
	return d.remains(data, i, len(data), InvalidJSON)
}

// line decodes the line of text that begins at i. Lines that nobody knows are one dead letter as long as they follow
// one another.
func (d *Decoder) line(data []byte, i, level int) (next int) {
	end := endOfLine(data, i)
	if d.cut != "" && end == len(data) {
		return d.remains(data, i, end, d.cut)
	}
	line := data[i:end]
	for len(line) > 0 && line[len(line)-1] <= ' ' {
		line = line[:len(line)-1]
	}
	switch {
	case string(line) == "null": // a tombstone, as Kafka Connect writes it
		d.skip()
	case looksLikeS3(line):
		d.accessLine(line)
	case level < d.bounds.Nesting && payloadOf(line) > 0:
		d.stream(line[payloadOf(line):], level+1)
	default:
		for end < len(data) && !beginsRecord(data, end+1) {
			end = endOfLine(data, end+1)
		}
		d.dead(UnknownShape, "neither JSON nor an S3 access log line", data[i:end])
	}
	return end
}

func endOfLine(data []byte, i int) int {
	if n := bytes.IndexByte(data[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(data)
}

// beginsRecord reports whether something that can be a record begins at i, the begin of a line.
func beginsRecord(data []byte, i int) bool {
	if i >= len(data) {
		return false
	}
	if data[i] == '{' {
		i = jsonscan.Space(data, i+1)
		return i < len(data) && data[i] == '"'
	}
	line := data[i:min(len(data), i+1024)]
	line = line[:endOfLine(line, 0)]
	return looksLikeS3(line) || payloadOf(line) > 0
}

// payloadOf returns where the message of a line in Logstash's plain codec begins, behind timestamp and host; 0 if it is
// no such line.
func payloadOf(line []byte) int {
	if len(line) < 20 || line[4] != '-' || line[10] != 'T' {
		return 0
	}
	at := bytes.IndexByte(line, ' ')
	if at < 0 {
		return 0
	}
	if _, ok := times.Parse(line[:at]); !ok {
		return 0
	}
	for range 8 { // the host may be written as {name=a, ip=b}
		at++
		if rest := line[at:]; len(rest) > 1 && rest[0] == '{' && (rest[1] == '"' || rest[1] == ' ') || looksLikeS3(rest) {
			return at
		}
		n := bytes.IndexByte(line[at:], ' ')
		if n < 0 {
			return 0
		}
		at += n
	}
	return 0
}

// enter decodes the JSON value that an envelope carries.
func (d *Decoder) enter(value []byte, level int) {
	if level >= d.bounds.Nesting {
		d.dead(TooNested, "more envelopes inside one another than the bound", value)
		return
	}
	if value[0] == '"' {
		value = d.open(value[1:len(value)-1], level)
	}
	d.inner(value, level+1)
}

// inner decodes what an envelope carries whole, even if the envelope itself breaks off.
func (d *Decoder) inner(data []byte, level int) {
	cut, ended, before := d.cut, d.ended, d.stats.Records
	d.cut = ""
	d.stream(data, level)
	if d.cut, d.ended = cut, ended; d.stats.Records == before {
		d.skip()
	}
}

// enterPart decodes the JSON string that begins at i and in which the data breaks off: what is complete in it counts.
// start is where its envelope begins.
func (d *Decoder) enterPart(data []byte, start, i, level int) (next int) {
	if level >= d.bounds.Nesting {
		return d.remains(data, start, len(data), TooNested)
	}
	value := data[i+1:]
	if n := bytes.LastIndexByte(value[max(0, len(value)-6):], '\\'); n >= 0 {
		value = value[:max(0, len(value)-6)+n] // an escape may be broken off, too
	}
	cut, before := d.cut, d.stats.Records
	d.cut = d.why()
	d.stream(d.open(value, level), level+1)
	d.cut = cut
	switch {
	case d.stats.Records == before:
		return d.remains(data, start, len(data), Truncated)
	case !d.ended:
		return d.remains(data, len(data), len(data), Truncated)
	}
	return len(data)
}

// open unquotes what is inside an envelope of that level.
func (d *Decoder) open(value []byte, level int) []byte {
	for len(d.nested) <= level {
		d.nested = append(d.nested, nil)
	}
	if cap(d.nested[level]) > 16<<20 {
		d.nested[level] = nil
	}
	d.nested[level] = jsonscan.Unquote(d.nested[level][:0], value)
	return d.nested[level]
}

// why is the reason of a record that the end of the data cuts off.
func (d *Decoder) why() Reason {
	if d.cut != "" {
		return d.cut
	}
	return Truncated
}
