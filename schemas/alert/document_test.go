package alert

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"firstseen/schemas"
)

// TestDocument: paths become nested objects, whatever their order; the first value of a path stays.
func TestDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOf(rapid.StringMatching(`[ab@_1](\.[ab_]{1,2}){0,3}`)).Draw(t, "paths")
		d, want := newDocument(MaxBytes), map[string]any{}
		for i, path := range paths {
			d.number(path, int64(i))
			put(want, strings.Split(path, "."), float64(i))
		}
		var got map[string]any
		if err := json.Unmarshal(d.appendTo(nil), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\ngot  %v %v\nwant %v", paths, got, err, want)
		}
	})
}

// put is the meaning of a path: a value wins over an object, the first value over a later one.
func put(m map[string]any, path []string, v any) {
	switch old := m[path[0]].(type) {
	case map[string]any:
		if len(path) > 1 {
			put(old, path[1:], v)
		} else {
			m[path[0]] = v
		}
	case nil:
		if len(path) > 1 {
			inner := map[string]any{}
			m[path[0]] = inner
			put(inner, path[1:], v)
		} else {
			m[path[0]] = v
		}
	}
}

// TestDocumentRoom: a document is never larger than its room and two braces, and says when it is not complete.
func TestDocumentRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := rapid.IntRange(0, 200).Draw(t, "room")
		d := newDocument(room)
		all := newDocument(MaxBytes)
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			path := rapid.StringMatching(`[a-d](\.[a-d]){0,4}`).Draw(t, "path")
			s := rapid.String().Draw(t, "s")
			d.text(path, s)
			all.text(path, s)
		}
		got := d.appendTo(nil)
		if len(got) > room+2 || !json.Valid(got) {
			t.Fatalf("%d bytes with room for %d: %s", len(got), room, got)
		}
		if string(got) != string(all.appendTo(nil)) && !d.full {
			t.Fatalf("%s is not complete", got)
		}
	})
}

// TestStrings: a JSON string gives back what was put in, cut and with U+FFFD for bytes that are not UTF-8, and none of
// its bytes can move a cursor.
func TestStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		most := rapid.IntRange(0, 80).Draw(t, "most")
		quoted := appendString(nil, s, most)
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		want := []rune(s)
		if got != string(want[:min(most, len(want))]) {
			t.Fatalf("%q became %q", s, got)
		}
		for _, text := range []string{string(quoted), visible(s, most)} {
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("%q shows as %q", s, text)
			}
		}
	})
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain \"quoted\" C:\\dir": `plain "quoted" C:\dir`,
		"\x1b[2J\r\nfake":          `\u001b[2J\u000d\u000afake`,
		"a\u202egpj.exe":           `a\u202egpj.exe`,
		"\u009b31m":                `\u009b31m`,
		"a\U000E0041b":             `a\udb40\udc41b`,
		"grün 漢字 🙂":                "grün 漢字 🙂",
		"\xff\xfe":                 "\uFFFD\uFFFD",
	} {
		if got := visible(in, 100); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestTitleIsCut(t *testing.T) {
	for _, n := range []int{0, 999, 1000} {
		if s := strings.Repeat("ü", n); cutTitle(s) != s {
			t.Errorf("a title of %d characters is cut", n)
		}
	}
	want := strings.Repeat("ü", 985) + "... (truncated)"
	if got := cutTitle(strings.Repeat("ü", 1001)); got != want || utf8.RuneCountInString(got) != 1000 {
		t.Errorf("%d characters: %s", utf8.RuneCountInString(got), got)
	}
}

// TestFieldNames: document sorts paths byte by byte, which is right for names without characters before the dot.
func TestFieldNames(t *testing.T) {
	for _, name := range schemas.KnownNames() {
		if strings.ContainsFunc(name, func(r rune) bool { return r < '.' || r == '"' || r == '\\' }) {
			t.Errorf("%q", name)
		}
	}
}

func TestTimes(t *testing.T) {
	for ms, want := range map[int64]string{
		noon: "2026-11-22T12:00:00.000Z", -1: "1969-12-31T23:59:59.999Z",
		-1 << 62: "0001-01-01T00:00:00.000Z", 1 << 62: "9999-12-31T23:59:59.999Z",
	} {
		if got := string(appendTime(nil, ms)); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
	for ms, want := range map[int64][2]string{
		7 * day: {"7d", "7 days"}, day: {"1d", "1 day"}, 36 * 60 * minute: {"36h", "36 hours"}, 90 * minute: {"90m", "90 minutes"},
		90_000: {"90s", "90 seconds"}, 1500: {"1s", "1 second"}, 0: {"0s", "0 seconds"},
	} {
		if got := [2]string{duration(ms), string(appendSpan(nil, ms))}; got != want {
			t.Errorf("%d: %v, want %v", ms, got, want)
		}
	}
}
