//go:build !chaosnext

package wire

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	twmb "github.com/twmb/avro"
	"pgregory.net/rapid"
)

// kind is one record type, so that every law below is checked on all six.
type kind struct {
	name string
	// sample is the encoding of the record in samples_test.go.
	sample []byte
	// again decodes and encodes what it got.
	again func([]byte) ([]byte, error)
	// laws checks one random record.
	laws func(*rapid.T)
	// peer decodes with the other Avro library, requires that nothing is left, and encodes again.
	peer func([]byte) ([]byte, error)
	// same reads a body by hand and by reflection and requires that both refuse it, or give and write the same.
	same func(rapid.TB, []byte) (ok bool)
	// random is the body of a random record.
	random func(*rapid.T) []byte
}

var kinds = []kind{
	newKind("candidate", candidates, &sampleCandidate), newKind("finding", findings, &sampleFinding),
	newKind("term", terms, &sampleTerm), newKind("window", windows, &sampleWindow),
	newKind("cap", caps, &sampleCap), newKind("offset", offsets, &sampleOffset),
}

func newKind[T any](name string, c *Codec[T], sample *T) kind {
	schema := twmb.MustParse(c.Schema())
	k := kind{name: name}
	k.again = func(src []byte) ([]byte, error) {
		var v T
		if err := c.Decode(src, &v); err != nil {
			return nil, err
		}
		return c.Append(nil, &v)
	}
	k.same = func(t rapid.TB, body []byte) bool { return sameByReflection(t, c, body) }
	k.random = func(t *rapid.T) []byte {
		v := rapid.Make[T]().Draw(t, "v")
		body, err := c.appendByReflection(nil, &v)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	k.peer = func(src []byte) ([]byte, error) {
		var v T
		rest, err := schema.DecodeSingleObject(src, &v)
		if err == nil && len(rest) > 0 {
			err = errors.New("bytes left")
		}
		if err != nil {
			return nil, err
		}
		return schema.AppendSingleObject(nil, &v)
	}
	used := *sample // never reset: what was in it must not show
	k.laws = func(t *rapid.T) {
		v := rapid.Make[T]().Draw(t, "v")
		src, err := c.Append([]byte("before"), &v)
		if err != nil {
			t.Fatal(err)
		}
		src = bytes.TrimPrefix(src, []byte("before"))
		theirs, err := schema.AppendSingleObject(nil, &v)
		if err != nil || !bytes.Equal(src, theirs) {
			t.Fatalf("ours %x\ntwmb %x %v", src, theirs, err)
		}
		if back, err := k.peer(src); err != nil || !bytes.Equal(back, src) {
			t.Fatalf("twmb reads %x as %x, %v", src, back, err)
		}
		if err := c.Decode(src, &used); err != nil {
			t.Fatal(err)
		}
		if back, err := c.Append(nil, &used); err != nil || !bytes.Equal(back, src) {
			t.Fatalf("%x decoded into a used record is %x, %v", src, back, err)
		}
	}
	var err error
	if k.sample, err = c.Append(nil, sample); err != nil {
		panic(err)
	}
	return k
}

// TestRecords: what is encoded is what is decoded, whatever the record held before; github.com/twmb/avro writes the
// same bytes and reads ours.
func TestRecords(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { rapid.Check(t, k.laws) })
	}
}

func TestDecodeGivesTheSample(t *testing.T) {
	var c Candidate
	if err := DecodeCandidate(kinds[0].sample, &c); err != nil || !reflect.DeepEqual(c, sampleCandidate) {
		t.Errorf("candidate: %+v, %v", c, err)
	}
	var w Window
	if err := DecodeWindow(kinds[3].sample, &w); err != nil || !reflect.DeepEqual(w, sampleWindow) {
		t.Errorf("window: %+v, %v", w, err)
	}
}

// TestDecodedBytesAreOwned: appending to one field of a decoded record changes no other.
func TestDecodedBytesAreOwned(t *testing.T) {
	var c Candidate
	if err := DecodeCandidate(kinds[0].sample, &c); err != nil {
		t.Fatal(err)
	}
	_ = append(c.Ruleset, "overwritten"...)
	_ = append(c.First.Evidence, "overwritten"...)
	if !reflect.DeepEqual(c, sampleCandidate) {
		t.Errorf("changed to %+v", c)
	}
}

func TestAppendKeepsDstOnError(t *testing.T) {
	huge := Finding{Rule: string(make([]byte, MaxRecord))}
	dst, err := findings.AppendBody([]byte("kept"), &huge)
	if err == nil || string(dst) != "kept" {
		t.Errorf("%d bytes, %v", len(dst), err)
	}
}

// TestAppendToNothing: a record that is kept takes no more memory than it needs.
func TestAppendToNothing(t *testing.T) {
	for n := range 40 {
		v := Candidate{Group: string(make([]byte, 100*n)), Counters: slices.Repeat(sampleCounters, n)}
		out, err := AppendCandidate(nil, &v)
		if err != nil || n > 1 && cap(out) > len(out)*5/4 {
			t.Errorf("%d bytes in %d, %v", len(out), cap(out), err)
		}
	}
}

func TestSweepAt(t *testing.T) {
	want := map[string]int64{"term": sampleTerm.SweepAt, "window": sampleWindow.SweepAt, "cap": sampleCap.SweepAt}
	for _, k := range kinds {
		at, ok := SweepAt(k.sample)
		if at != want[k.name] || ok != (want[k.name] != 0) {
			t.Errorf("%s: %d %v", k.name, at, ok)
		}
	}
	for _, value := range [][]byte{nil, []byte("x"), kinds[2].sample[:10], kinds[2].sample[:12]} {
		if at, ok := SweepAt(value); ok {
			t.Errorf("%x: %d", value, at)
		}
	}
}

// TestAllocations holds the hot path to its budget: nothing to write a record, a buffer of strings and the slices to
// read one.
func TestAllocations(t *testing.T) {
	buf := make([]byte, 0, 4096)
	var c Candidate
	var term Term
	for _, tt := range []struct {
		name string
		most float64
		run  func()
	}{
		{"append candidate", 0, func() { buf, _ = AppendCandidate(buf[:0], &sampleCandidate) }},
		{"append term", 0, func() { buf, _ = AppendTerm(buf[:0], &sampleTerm) }},
		{"decode candidate", 4, func() { _ = DecodeCandidate(kinds[0].sample, &c) }},
		{"decode term", 0, func() { _ = DecodeTerm(kinds[2].sample, &term) }},
	} {
		if got := testing.AllocsPerRun(1000, tt.run); got > tt.most {
			t.Errorf("%s: %v allocations, at most %v", tt.name, got, tt.most)
		}
	}
}
