//go:build !chaosnext

package wire

import (
	"bytes"
	"reflect"
	"testing"
)

// TestViews: a view shows the bytes it is of, takes no memory, and what is appended to one of its slices runs into no
// other. What an older version wrote is read as by Decode.
func TestViews(t *testing.T) {
	var m Memory
	var v Finding
	two := sampleFinding
	two.Entries = []Entry{sampleEntry, sampleEntry}
	src, err := AppendFinding(nil, &two)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = ViewFinding(src, &v, &m) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if err := ViewFinding(src, &v, &m); err != nil || !reflect.DeepEqual(v, two) {
		t.Fatalf("%+v, %v", v, err)
	}
	for _, e := range v.Entries {
		_ = append(e.Terms, "overwritten")
		_ = append(e.Counters, Counter{Attribute: "overwritten"})
		_ = append(e.Match.Evidence, "overwritten"...)
	}
	_ = append(v.Entries, Entry{})
	if again, err := AppendFinding(nil, &v); err != nil || !bytes.Equal(again, src) {
		t.Errorf("changed to %+v, %v", v, err)
	}
	copy(src[bytes.Index(src, []byte("IPWhitelist")):], "IPBLACKLIST")
	if v.Rule != "AWS.S3.ServerAccess.IPBLACKLIST" {
		t.Errorf("a copy: %s", v.Rule)
	}
	var old Finding
	if err := ViewFinding(golden(t, "v1/finding"), &old, &m); err != nil || old.Held || !reflect.DeepEqual(old.Entries[0], sampleEntry) {
		t.Errorf("%+v, %v", old, err)
	}
}

// TestMemoryForgets: a record that was viewed stays in no corner of the memory when the next is smaller.
func TestMemoryForgets(t *testing.T) {
	var m Memory
	var v Finding
	if err := ViewFinding(kinds[1].sample, &v, &m); err != nil {
		t.Fatal(err)
	}
	small, err := AppendFinding(nil, &Finding{})
	if err == nil {
		err = ViewFinding(small, &v, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Entries) > 0 || cap(m.entries) == 0 || cap(m.texts) == 0 || cap(m.counters) == 0 {
		t.Fatalf("nothing is used again: %+v", m)
	}
	for _, left := range []any{m.texts[:cap(m.texts)], m.counters[:cap(m.counters)], m.entries[:cap(m.entries)]} {
		for i := range reflect.ValueOf(left).Len() {
			if item := reflect.ValueOf(left).Index(i); !item.IsZero() {
				t.Errorf("%+v is left", item)
			}
		}
	}
}
