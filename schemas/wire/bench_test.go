package wire

import (
	"slices"
	"testing"
)

func BenchmarkAppendCandidate(b *testing.B) { benchAppend(b, candidates, &sampleCandidate) }
func BenchmarkDecodeCandidate(b *testing.B) { benchDecode(b, candidates, &sampleCandidate) }
func BenchmarkAppendTerm(b *testing.B)      { benchAppend(b, terms, &sampleTerm) }
func BenchmarkDecodeTerm(b *testing.B)      { benchDecode(b, terms, &sampleTerm) }
func BenchmarkAppendWindow(b *testing.B)    { benchAppend(b, windows, &sampleWindow) }
func BenchmarkDecodeWindow(b *testing.B)    { benchDecode(b, windows, &sampleWindow) }
func BenchmarkAppendFinding(b *testing.B)   { benchAppend(b, findings, &largeFinding) }
func BenchmarkDecodeFinding(b *testing.B)   { benchDecode(b, findings, &largeFinding) }

func BenchmarkViewCandidate(b *testing.B) { benchView(b, candidates, &sampleCandidate) }
func BenchmarkViewFinding(b *testing.B)   { benchView(b, findings, &largeFinding) }
func BenchmarkViewWindow(b *testing.B)    { benchView(b, windows, &sampleWindow) }

// largeFinding has 25 entries of about a kilobyte.
var largeFinding = func() Finding {
	f := sampleFinding
	f.Entries = slices.Repeat([]Entry{sampleEntry}, 25)
	return f
}()

func BenchmarkSweepAt(b *testing.B) {
	value, err := windows.Append(nil, &sampleWindow)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		SweepAt(value)
	}
}

func benchAppend[T any](b *testing.B, c *Codec[T], v *T) {
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		var err error
		if buf, err = c.Append(buf[:0], v); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func benchDecode[T any](b *testing.B, c *Codec[T], v *T) {
	src, err := c.Append(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(src)))
	var out T
	for b.Loop() {
		if err := c.Decode(src, &out); err != nil {
			b.Fatal(err)
		}
	}
}

func benchView[T any](b *testing.B, c *Codec[T], v *T) {
	src, err := c.Append(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(src)))
	var out T
	var m Memory
	for b.Loop() {
		if err := c.view(src, &out, &m); err != nil {
			b.Fatal(err)
		}
	}
}
