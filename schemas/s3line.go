package schemas

import (
	"bytes"
	"unicode/utf8"

	"firstseen/schemas/internal/times"
)

// columns are the fields of an S3 access log, 1 to 27; 0 is not used. Absent ones are nil.
type columns [fS3Last - s3Base + 1][]byte

// parseLine parses a line of an S3 server access log. Fields 1 to 8 come before anything that a client can forge (the
// key is encoded by AWS), so they are read from the left, and they alone decide whether it is such a line: the reason is
// UnknownShape if it is none and Truncated if it ends too early. Behind them a client puts what it likes, unescaped
// quotes included; that is read as far as it makes sense, and whole says whether it did to the end.
//
// Source: Amazon S3 User Guide, "Amazon S3 server access log format".
func (c *columns) parseLine(line []byte) (whole bool, reason Reason) {
	*c = columns{}
	l := lexer{rest: line}
	owner, ok1 := l.token()
	bucket, ok2 := l.token()
	if !ok1 || !ok2 || len(l.rest) == 0 || l.rest[0] != '[' {
		return false, UnknownShape
	}
	c[1], c[2] = owner, bucket
	end := bytes.IndexByte(l.rest[:min(len(l.rest), 40)], ']')
	if end < 0 {
		if len(l.rest) < 40 {
			return false, Truncated
		}
		return false, UnknownShape
	}
	c[3], l.rest = l.rest[:end+1], l.rest[end+1:]
	if len(l.rest) == 0 {
		return false, Truncated
	}
	if l.rest[0] != ' ' {
		return false, UnknownShape
	}
	l.rest = l.rest[1:]
	for f := 4; f <= 8; f++ {
		if len(l.rest) == 0 {
			return false, Truncated
		}
		field, ok := l.token()
		if !ok && len(l.rest) > 0 {
			return false, UnknownShape // two spaces: no telling which field is which
		}
		c[f] = field
	}
	return c.parseTail(&l), ""
}

// parseTail reads fields 9 to 27; more are ignored. It reports whether everything was in its place.
func (c *columns) parseTail(l *lexer) bool {
	if !c.parseRequest(l) || !c.parseAgent(l) {
		return false
	}
	for f := 18; f < len(c) && len(l.rest) > 0; f++ {
		c[f], _ = l.token()
	}
	return true
}

// parseRequest reads fields 9 to 15. The quote that ends the request URI is the first behind which the numbers follow.
func (c *columns) parseRequest(l *lexer) bool {
	if len(l.rest) > 1 && l.rest[0] == '-' && l.rest[1] == ' ' {
		l.rest = l.rest[2:]
		return c.parseNumbers(l)
	}
	if len(l.rest) == 0 || l.rest[0] != '"' {
		return false
	}
	s := l.rest
	for at := 1; ; {
		i := bytes.IndexByte(s[at:], '"')
		if i < 0 || at+i+1 >= len(s) {
			return false
		}
		at += i + 1
		if s[at] != ' ' {
			continue
		}
		if l.rest = s[at+1:]; c.parseNumbers(l) {
			c[9] = present(s[1 : at-1])
			return true
		}
	}
}

// parseNumbers reads fields 10 to 15, of which all but the error code are numbers.
func (c *columns) parseNumbers(l *lexer) bool {
	rest := l.rest
	for f := 10; f <= 15; f++ {
		field, complete := l.token()
		if !complete || f != 11 && !isNumber(field) {
			clear(c[10:16])
			l.rest = rest
			return false
		}
		c[f] = field
	}
	return true
}

// parseAgent reads fields 16 and 17, referrer and user agent. Nothing behind the user agent is quoted, so the last
// quote of the line ends it, whatever the client put before.
func (c *columns) parseAgent(l *lexer) bool {
	s := l.rest
	switch {
	case len(s) > 1 && s[0] == '-' && s[1] == ' ':
		s = s[2:]
	case len(s) > 1 && s[0] == '"':
		end := bytes.Index(s[1:], []byte(`" "`))
		if end < 0 {
			end = bytes.Index(s[1:], []byte(`" - `))
		}
		if end < 0 {
			return false
		}
		c[16], s = present(s[1:1+end]), s[end+3:]
	default:
		return false
	}
	if len(s) > 1 && s[0] == '-' && s[1] == ' ' {
		l.rest = s[2:]
		return true
	}
	end := bytes.LastIndexByte(s, '"')
	if end < 1 || s[0] != '"' || end+1 >= len(s) || s[end+1] != ' ' {
		return false
	}
	c[17], l.rest = present(s[1:end]), s[end+2:]
	return true
}

// lexer cuts a line at its spaces.
type lexer struct{ rest []byte }

// token cuts the next field off, nil for "-". It is complete if a space follows.
func (l *lexer) token() (field []byte, complete bool) {
	i := bytes.IndexByte(l.rest, ' ')
	if i < 0 {
		field, l.rest = l.rest, nil
		return present(field), false
	}
	field, l.rest = l.rest[:i], l.rest[i+1:]
	return present(field), i > 0
}

// present returns nil for a field that says it is absent.
func present(field []byte) []byte {
	if len(field) == 0 || len(field) == 1 && field[0] == '-' {
		return nil
	}
	return field
}

func isNumber(field []byte) bool {
	for _, b := range field {
		if b-'0' > 9 {
			return false
		}
	}
	return true
}

// operations are how field 7 begins.
var operations = []string{"REST.", "SOAP.", "BATCH.", "WEBSITE.", "S3."}

// s3Line parses a line of text as an access log and fills the event.
func (d *Decoder) s3Line(line []byte) (verdict, Reason) {
	whole, reason := d.columns.parseLine(line)
	if reason != "" {
		return isNone, reason
	}
	millis, ok := times.Parse(d.columns[3])
	if !ok && !hasAnyPrefix(d.columns[7], operations) {
		return isNone, UnknownShape
	}
	d.text = d.text[:0]
	e := d.begin(S3Access, line)
	if e.Time, e.Flags, ok = d.clock.settle(millis, ok); !ok {
		return isBad, NoTime
	}
	if !whole {
		e.Flags |= Degraded
	}
	if !utf8.Valid(line) {
		for f := range d.columns {
			if d.columns[f] != nil {
				d.columns[f] = d.valid(d.columns[f])
			}
		}
	}
	d.kinds = [len(d.kinds)]Kind{}
	d.fillS3(e)
	return isEvent, ""
}

// looksLikeS3 reports whether a line begins as an access log does: two words, a bracket and a digit.
func looksLikeS3(line []byte) bool {
	i := bytes.IndexByte(line, ' ')
	if i < 1 {
		return false
	}
	n := bytes.IndexByte(line[i+1:], ' ')
	if n < 1 || i+n+2 >= len(line) || line[i+n+2] != '[' {
		return false
	}
	return i+n+3 >= len(line) || line[i+n+3]-'0' <= 9
}

// accessLine decodes a line that looks like an access log.
func (d *Decoder) accessLine(line []byte) {
	switch {
	case d.counting:
		d.count()
		return
	case d.m.Format == FormatCloudTrail:
		d.dead(UnknownShape, "an access log line where CloudTrail is expected", line)
		return
	case len(line) > d.bounds.RecordBytes:
		d.dead(TooLarge, "", line)
		return
	case d.filter && !d.matchers[S3Access].Passes(line):
		d.count()
		d.stats.Filtered++
		return
	}
	switch v, reason := d.s3Line(line); v {
	case isEvent:
		d.emit(d.events[S3Access])
	default:
		d.dead(reason, "", line)
	}
}

func hasAnyPrefix(b []byte, prefixes []string) bool {
	for _, p := range prefixes {
		if len(b) >= len(p) && string(b[:len(p)]) == p {
			return true
		}
	}
	return false
}

// mirrors are the ECS fields of an access log that have the value of a column as it is, and source.ip, which is the
// client's. Source: Elastic's aws.s3access pipeline.
var mirrors = []struct{ field, of Field }{
	{fEventID, fS3RequestID},
	{fAction, fS3Operation},
	{fCode, fS3ErrorCode},
	{fSourceAddress, fS3RemoteIP},
	{fClientAddress, fS3RemoteIP},
	{fClientUser, fS3Requester},
	{fUserAgent, fS3UserAgent},
	{fReferrer, fS3Referrer},
	{fStatus, fS3Status},
	{fBodyBytes, fS3BytesSent},
	{fTLSVersion, fS3TLSVersion},
	{fTLSCipher, fS3Cipher},
	{fSourceIP, fClientIP},
}

// mirrored is, for each field, the one whose values it has in an access log: itself, if it is no mirror.
var mirrored = func() (of [fieldEnd]Slot) {
	for f := range of {
		of[f] = Slot(f)
	}
	for _, m := range mirrors {
		of[m.field] = Slot(m.of)
	}
	return of
}()

// fillS3 gives the event the values of the columns; under their ECS names they are found by the mirrors.
func (d *Decoder) fillS3(e *Event) {
	for f, text := range d.columns {
		if text != nil {
			e.add(Slot(s3Base)+Slot(f), Value{Text: text, Kind: d.kinds[f]})
		}
	}
	if address := e.Text(Slot(fS3RemoteIP)); address != nil {
		if ip := d.canonical(address); ip != nil {
			e.add(Slot(fClientIP), Value{Text: ip})
			d.deriveNetwork(e, ip)
			d.deriveOwner(e, ip)
		}
	}
	outcome, status := textUnknown, e.Text(Slot(fS3Status))
	switch {
	case e.Text(Slot(fS3ErrorCode)) != nil || len(status) == 3 && status[0] >= '4':
		outcome = textFailure
	case status != nil:
		outcome = textSuccess
	}
	e.add(Slot(fOutcome), Value{Text: outcome})
	d.deriveAny(e)
}
