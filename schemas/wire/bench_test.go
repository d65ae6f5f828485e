package wire

import "testing"

func BenchmarkAppendCandidate(b *testing.B) { benchAppend(b, candidates, &sampleCandidate) }
func BenchmarkDecodeCandidate(b *testing.B) { benchDecode(b, candidates, &sampleCandidate) }
func BenchmarkAppendTerm(b *testing.B)      { benchAppend(b, terms, &sampleTerm) }
func BenchmarkDecodeTerm(b *testing.B)      { benchDecode(b, terms, &sampleTerm) }
func BenchmarkAppendWindow(b *testing.B)    { benchAppend(b, windows, &sampleWindow) }
func BenchmarkDecodeWindow(b *testing.B)    { benchDecode(b, windows, &sampleWindow) }

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
