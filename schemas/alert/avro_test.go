package alert

import (
	"bytes"
	"testing"

	twmb "github.com/twmb/avro"
)

var peer = twmb.MustParse(Schema())

// TestAvro: the record comes back as it was, and nothing but whole records is read.
func TestAvro(t *testing.T) {
	for _, s := range samples(t) {
		body, err := s.alert.AppendAvro(nil)
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		if err := DecodeAvro(body, &rec); err != nil || rec.ID != s.alert.ID.String() || rec.Status != s.alert.Kind {
			t.Errorf("%s: %+v, %v", s.name, rec, err)
		}
		again, err := codec.AppendBody(nil, &rec)
		if err != nil || !bytes.Equal(again, body) {
			t.Errorf("%s: written again as %x, %v\nwas %x", s.name, again, err, body)
		}
		want := s.alert.Record()
		theirs, err := peer.AppendEncode(nil, &want)
		if err != nil || !bytes.Equal(theirs, body) {
			t.Errorf("%s: twmb/avro writes %x, %v\nwant %x", s.name, theirs, err, body)
		}
		for i := range body {
			if err := DecodeAvro(body[:i], &rec); err == nil {
				t.Errorf("%s: %d of %d bytes are read", s.name, i, len(body))
			}
		}
	}
}

// TestAvroValues: unknown times are 0, and the row says what the document says.
func TestAvroValues(t *testing.T) {
	rec := samples(t)[0].alert.Record()
	for name, ok := range map[string]bool{
		"previous_seen": rec.PreviousSeen == 0, "history": rec.History == 7*day && rec.HistoryComplete,
		"bucket": rec.Bucket == "acme-logs" && rec.ObjectKey == "backup/db.sql.gz", "source": rec.SourceIP == "203.0.113.7",
		"techniques": len(rec.Tactics) == 2 && len(rec.Techniques) == 3, "time": rec.Time == noon && rec.Created == noon+1234,
	} {
		if !ok {
			t.Errorf("%s: %+v", name, rec)
		}
	}
}
