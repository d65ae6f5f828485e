package main

import (
	"bytes"
	"compress/gzip"
	"strings"

	"firstseen/schemas"
	"firstseen/traffic"
)

// deadLetter is what must come of poison.
type deadLetter struct {
	reason schemas.Reason
	index  int32
	value  []byte // nil: not compared, it is cut
}

// bad makes a record that nobody can read, or of which a part cannot be.
func (s *sequence) bad() item {
	broken := bytes.Replace(s.last, []byte(`"recipientAccountId":"`), []byte(`"recipientAccountId":of "`), 1)
	it := item{place: place{s.topic(traffic.CloudTrail), s.rnd.Int32N(s.r.SourceSize)}}
	whole := func(reason schemas.Reason, value []byte) {
		it.value, it.dead = value, &deadLetter{reason, -1, value}
	}
	switch s.rnd.IntN(9) {
	case 0:
		whole(schemas.Truncated, s.last[:len(s.last)/2])
	case 1:
		whole(schemas.InvalidJSON, broken)
	case 2: // its neighbours are well
		it.value = bytes.Join([][]byte{[]byte(`{"Records":[`), s.quiet, []byte(`,`), broken, []byte(`,`), s.quiet, []byte(`]}`)}, nil)
		it.dead = &deadLetter{schemas.InvalidJSON, 1, broken}
	case 3:
		whole(schemas.TooDeep, s.with(strings.Repeat("[", 200)+strings.Repeat("]", 200)))
	case 4: // over the bound of a record, but not before it is inflated
		it.value, it.dead = zipped(s.with(`"`+strings.Repeat("x", 1<<20)+`"`)), &deadLetter{schemas.TooLarge, -1, nil}
	case 5:
		whole(schemas.InvalidGzip, append([]byte("\x1f\x8b"), s.last[:40]...))
	case 6:
		whole(schemas.UnknownShape, []byte(`{"neither":"a record","nor":"an envelope"}`))
	case 7:
		it.topic = s.topic(traffic.S3Access)
		whole(schemas.UnknownShape, []byte("neither JSON nor a line of a log"))
	case 8: // no rule can decide about such an address
		it.topic = s.topic(traffic.S3Access)
		it.value = []byte(`{"bucket":"acme-data","remoteip":"10.0.0.300","time":"2010-01-01 00:00:38","operation":"REST.GET.OBJECT"}`)
		it.dead = &deadLetter{schemas.RuleError, 0, it.value}
	}
	s.take(&it)
	return it
}

// with is a record that would match, with a value in it more.
func (s *sequence) with(value string) []byte {
	return bytes.Replace(s.last, []byte(`"requestParameters":{`), []byte(`"requestParameters":{"more":`+value+`,`), 1)
}

func zipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(b) // a buffer takes everything
	_ = w.Close()
	return buf.Bytes()
}
