package times

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	const at = 1707177638000 // 2024-02-06T00:00:38Z
	for text, want := range map[string]int64{
		"2024-02-06T00:00:38Z":          at,
		"2024-02-06T00:00:38.5Z":        at + 500,
		"2024-02-06T00:00:38.123456Z":   at + 123,
		"2024-02-06T01:30:38+01:30":     at,
		"2024-02-05t16:00:38-08:00":     at,
		"2024-02-06 00:00:38":           at,
		"2024-02-06 00:00:38.250":       at + 250,
		"2024-02-06T00:00:38":           at,
		"[06/Feb/2024:00:00:38 +0000]":  at,
		"[05/Feb/2024:16:00:38 -0800]":  at,
		"1707177638":                    at,
		"1707177638.5":                  at + 500,
		"1707177638000":                 at,
		"1.707177638e9":                 at,
		"2024-02-29T00:00:00Z":          1709164800000,
		"1969-12-31T23:59:59Z":          -1000,
		"2016-12-31T23:59:60Z":          1483228800000, // a leap second
		"":                              0,
		"-":                             0,
		"2023-02-29T00:00:00Z":          0,
		"2024-13-01T00:00:00Z":          0,
		"2024-02-06T24:00:00Z":          0,
		"2024-02-06T00:00:38Zx":         0,
		"2024-02-06T00:00:38+0100":      0,
		"2024-02-06X00:00:38Z":          0,
		"06/Feb/2024:00:00:38 +0000":    0,
		"[31/Apr/2024:00:00:38 +0000]":  0,
		"[06/Fex/2024:00:00:38 +0000]":  0,
		"[06/ebM/2024:00:00:38 +0000]":  0,
		"yesterday":                     0,
		"0":                             0,
		"-5":                            0,
		"99999999999999999999999999999": 0,
	} {
		got, ok := Parse([]byte(text))
		if ok != (want != 0) || ok && got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, ok, want)
		}
	}
}

func TestParseAgainstTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := time.UnixMilli(rapid.Int64Range(-62135596800000+86400000, 253402300799000-86400000).Draw(r, "ms")).
			In(time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(r, "zone")))
		if got, ok := Parse([]byte(want.Format("2006-01-02T15:04:05.000Z07:00"))); !ok || got != want.UnixMilli() {
			r.Fatalf("%s: %d, %v", want, got, ok)
		}
		if got, ok := Parse([]byte(want.Format("[02/Jan/2006:15:04:05 -0700]"))); !ok || got != want.Unix()*1000 {
			r.Fatalf("%s in brackets: %d, %v", want, got, ok)
		}
	})
}

// TestAppend: times are written as package time does, also those of years that RFC 3339 does not know.
func TestAppend(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ms := rapid.OneOf(rapid.Int64Range(-70000000000000, 260000000000000), rapid.Int64()).Draw(r, "ms")
		want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
		if got := string(Append([]byte("at "), ms)); got != "at "+want {
			r.Fatalf("%d is %s, want %s", ms, got, want)
		}
	})
}

// FuzzParse: a time is never more than wrong.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"2024-02-06T00:00:38Z", "[06/Feb/2024:00:00:38 +0000]", "1707177638.5", "-"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if ms, ok := Parse(text); ok && (ms < -62200000000000 || ms > 1e15) {
			t.Errorf("%q is %d", text, ms)
		}
	})
}
