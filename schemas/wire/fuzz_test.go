//go:build !chaosnext

package wire

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzDecode: any bytes are refused with one of the two errors, or are the one encoding of a record, which the other
// Avro library reads the same, and so does hamba behind a shape, by reflection.
func FuzzDecode(f *testing.F) {
	for i, k := range kinds {
		f.Add(byte(i), k.sample[10:])
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		k := kinds[int(which)%len(kinds)]
		k.same(t, body)
		src := append(bytes.Clone(k.sample[:10]), body...)
		back, err := k.again(src)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(back, src) {
			t.Fatalf("%x is a second encoding of %x", src, back)
		}
		if peer, err := k.peer(src); err != nil || !bytes.Equal(peer, src) {
			t.Fatalf("twmb reads %x as %x, %v", src, peer, err)
		}
	})
}

// FuzzDecodeFrame does the same with a header the fuzzer chooses.
func FuzzDecodeFrame(f *testing.F) {
	for _, k := range kinds {
		f.Add(k.sample)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		SweepAt(src)
		for _, k := range kinds {
			if _, err := k.again(src); err != nil && errors.Is(err, ErrCorrupt) == errors.Is(err, ErrUnknownVersion) {
				t.Fatal(err)
			}
		}
	})
}
