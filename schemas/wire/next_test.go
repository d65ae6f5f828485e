//go:build chaosnext

package wire

import (
	"bytes"
	"testing"
)

// TestNextRelease: this release says that it needs an upgrade for what the next one writes; the next one reads what
// either has written. (The other tests are about this release's records, and in its build.)
func TestNextRelease(t *testing.T) {
	versions, err := load(avsc, "term")
	if err != nil {
		t.Fatal(err)
	}
	this, err := NewCodec[Term](versions...)
	if err != nil {
		t.Fatal(err)
	}
	var got Term
	older, err := this.Append(nil, &sampleTerm)
	if err == nil {
		err = DecodeTerm(older, &got)
	}
	if err != nil || got != sampleTerm {
		t.Errorf("the next release reads %v, %v", got, err)
	}
	newer, err := AppendTerm(nil, &sampleTerm)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(newer, []byte("\x08next")) {
		t.Errorf("%x lacks the field that is new", newer)
	}
	if _, known := this.readers[fingerprint(newer)]; known { // else it answers ErrUnknownVersion
		t.Error("this release knows what the next one writes")
	}
	if err := DecodeTerm(newer, &got); err != nil || got != sampleTerm {
		t.Errorf("the next release reads of itself %v, %v", got, err)
	}
	if at, ok := SweepAt(newer); !ok || at != sampleTerm.SweepAt {
		t.Errorf("it is swept at %d, %v", at, ok)
	}
}
