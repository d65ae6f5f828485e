package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// wanted are the paths of the tests; the alphabet of generated keys is small, so that they are met.
var wanted = []Path{
	{Keys: []string{"a"}, ID: 0},
	{Keys: []string{"a", "b"}, ID: 1},
	{Keys: []string{"b", "a", "b"}, ID: 2},
	{Keys: []string{"b", ""}, ID: 3},
	{Keys: []string{"é"}, ID: 4},
	{Keys: []string{"b", "a", "b"}, ID: 5},
}

var wantedTree = NewTree(wanted)

// scalars returns the values at a path, passing through arrays, as hits show them: the kind and the text.
func scalars(v any, keys []string) []string {
	switch v := v.(type) {
	case []any:
		var all []string
		for _, e := range v {
			all = append(all, scalars(e, keys)...)
		}
		return all
	case map[string]any:
		if len(keys) > 0 {
			if member, ok := v[keys[0]]; ok {
				return scalars(member, keys[1:])
			}
		}
		return nil
	case nil:
		return nil
	}
	if len(keys) > 0 {
		return nil
	}
	switch v := v.(type) {
	case json.Number:
		return []string{"number " + v.String()}
	case bool:
		return []string{fmt.Sprint("bool ", v)}
	}
	return []string{fmt.Sprint("text ", v)}
}

// compare checks one text against encoding/json: whether it is valid, and which values it has.
func compare(t interface {
	Helper()
	Fatalf(string, ...any)
}, text []byte) {
	t.Helper()
	var p Parser
	end, fault := p.Parse(wantedTree, text, 0, 10_000)
	valid := fault == None && Space(text, end) == len(text)
	if want := json.Valid(text); valid != want {
		t.Fatalf("%q: valid is %v, want %v (%v at %d)", text, valid, want, fault, end)
	}
	start := Space(text, 0)
	skipped, loose := Skip(text, start)
	if !valid {
		return
	}
	if loose != None || skipped != end {
		t.Fatalf("%q: skipped to %d (%v), the value ends at %d", text, skipped, loose, end)
	}
	var value any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for _, path := range wanted {
		var got []string
		for _, h := range p.Hits {
			s := text[h.Start:h.End]
			if !h.Plain {
				s = Unquote(nil, s)
			}
			if h.ID == path.ID && h.Kind < Object {
				got = append(got, [...]string{"text ", "number ", "bool "}[h.Kind]+string(s))
			}
		}
		if want := scalars(value, path.Keys); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: at %v %q, want %q", text, path.Keys, got, want)
		}
	}
}

// texts are valid and invalid; the seeds of the fuzz targets, too.
var texts = []string{
	`{}`, `[]`, `""`, `0`, `-0`, `-`, `01`, `1.`, `1.5e+3`, `1e`, `.5`, `true`, `tru`, `truex`, `null`, `nul`, ``, ` `,
	`{"a":1}`, `{"a":"x","b":{"a":{"b":[1,"2",true,null,[3]]}}}`, `{"a":1,"a":2}`, `{"a":{"b":1},"a":3}`,
	`{"b":{"a":{"b":1}},"b":{}}`, `{"b":[{"a":{"b":1,"b":2}},{"a":{"b":3}}]}`, `{"b":{"":"empty key"}}`,
	`{"a":"\u0041\n\"\\\/é\ud83d\ude00\ud800x\udc00"}`, `{"\u0061":"escaped key","\u00e9":1}`, "{\"a\":\"\xff\xc3\"}",
	"{\"a\":\"\xed\xa0\x80\xf4\x90\x80\x80\"}", "{\"a\":\"tab\tin string\"}", `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"\`,
	`{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{"a":1]`, `[1,]`, `[1 2]`, `[1}`, `{"a":1}x`, `{"a":1}{"a":2}`, "{\"a\":1}\n ",
	`{"a" : 1 , "b" : [ 1 , 2 ] }`, "\ufeff{}", `{"a":"0123456789abcdef0123456789"}`, `{"a":"01234567\"9abcdef\\"}`, "[\"\x00\"]", "[\"\x1f\"]", "[\"\x7f\"]",
	`[[[[[[]]]]]]`, `{"é":1}`,
}

func TestAgainstEncodingJSON(t *testing.T) {
	for _, text := range texts {
		compare(t, []byte(text))
	}
	value := generator()
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(value.Draw(t, "text"))
		compare(t, text)
		// And with one byte changed, or cut off.
		if len(text) > 0 {
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			compare(t, text[:at])
			text[at] = rapid.SampledFrom([]byte("\"\\{}[]:,u0-.eE \n\xff\x01tfn")).Draw(t, "byte")
			compare(t, text)
		}
	})
}

// generator makes valid JSON.
func generator() *rapid.Generator[string] {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n\t", "\r\n"})
	text := rapid.SampledFrom([]string{`""`, `"a"`, `"b"`, `"\u0061"`, `"é"`, `"\ud83d\ude00"`, `"\ud800"`, "\"\xff\"", `"a long string, longer than eight bytes \" \\ with escapes"`})
	scalar := rapid.OneOf(text, rapid.SampledFrom([]string{"null", "true", "false", "0", "-1.5", "1e9", "12345678901234567890.5E-7"}))
	var value func(depth int) *rapid.Generator[string]
	value = func(depth int) *rapid.Generator[string] {
		if depth == 0 {
			return scalar
		}
		list := func(open, shut string, item func(t *rapid.T) string) *rapid.Generator[string] {
			return rapid.Custom(func(t *rapid.T) string {
				var b strings.Builder
				b.WriteString(open + space.Draw(t, "space"))
				for i, n := 0, rapid.IntRange(0, 4).Draw(t, "n"); i < n; i++ {
					if i > 0 {
						b.WriteString("," + space.Draw(t, "space"))
					}
					b.WriteString(item(t) + space.Draw(t, "space"))
				}
				return b.String() + shut
			})
		}
		return rapid.OneOf(scalar,
			list("[", "]", func(t *rapid.T) string { return value(depth-1).Draw(t, "element") }),
			list("{", "}", func(t *rapid.T) string {
				return text.Draw(t, "key") + space.Draw(t, "space") + ":" + space.Draw(t, "space") + value(depth-1).Draw(t, "member")
			}))
	}
	return value(4)
}

func TestElem(t *testing.T) {
	tree := NewTree([]Path{{Keys: []string{"r", "a"}, ID: 7}})
	var p Parser
	p.Parse(tree, []byte(`{"r":[{"a":"x"},{},{"a":["y","z"]},[{"a":1}]],"a":2}`), 0, 9)
	var got []int32
	for _, h := range p.Hits {
		if h.Kind < Object {
			got = append(got, h.Elem)
		}
	}
	if fmt.Sprint(got) != "[0 2 2 3]" {
		t.Error(got)
	}
}

func TestFolded(t *testing.T) {
	tree := NewFoldedTree([]Path{{Keys: []string{"remoteip"}, ID: 1}})
	for key, want := range map[string]int{"remoteip": 1, "RemoteIP": 1, "remote_ip": 1, "REMOTE_I\\u0050": 1, "remote-ip": 0, "remotei": 0} {
		var p Parser
		if _, fault := p.Parse(tree, []byte(`{"`+key+`":"x"}`), 0, 9); fault != None || len(p.Hits) != want {
			t.Error(key, p.Hits, fault)
		}
	}
}

func TestDepth(t *testing.T) {
	for _, test := range []struct {
		text string
		want Fault
	}{
		{strings.Repeat("[", 5) + strings.Repeat("]", 5), None},
		{strings.Repeat("[", 6) + strings.Repeat("]", 6), TooDeep},
		{strings.Repeat(`{"a":`, 5) + "1" + strings.Repeat("}", 5), None},
		{strings.Repeat(`{"a":`, 6) + "1" + strings.Repeat("}", 6), TooDeep},
		{strings.Repeat("[", 10_000_000), TooDeep},
	} {
		var p Parser
		if _, fault := p.Parse(wantedTree, []byte(test.text), 0, 5); fault != test.want {
			t.Errorf("%.20s: %v, want %v", test.text, fault, test.want)
		}
	}
	if _, fault := Skip(bytes.Repeat([]byte("["), 10_000_000), 0); fault != Truncated {
		t.Error(fault)
	}
}

// Repeated keys cost a look at what was there before, so there is an end to them.
func TestRepeatedKeys(t *testing.T) {
	text := `{"b":{` + strings.Repeat(`"":1,`, 999) + `"":2}}`
	compare(t, []byte(text))
	var p Parser
	if _, fault := p.Parse(wantedTree, []byte(`{"b":{`+strings.Repeat(`"":1,`, 5000)+`"":2}}`), 0, 9); fault != Syntax {
		t.Error(fault)
	}
}

// However the data arrives, a Skipper finds the same end.
func TestSkipper(t *testing.T) {
	for _, test := range []struct {
		text string
		end  int
		want Fault
	}{
		{`{"a":"}\"]"} `, 12, None},
		{`[{"a":1},[]]x`, 12, None},
		{"{\"a\":1\n{", 6, Broken},
		{"{\"a\":\n{}}", 9, None},
		{"[{},\n{}]", 8, None},
		{"{\"a\":\"b\n{", 7, Broken},
		{"{\"a\":\"b\\\n{", 8, Broken},
		{`{"a":"b`, 7, Truncated},
		{`{"a":"b\`, 8, Truncated},
		{`{"a":1`, 6, Truncated},
	} {
		if end, fault := Skip([]byte(test.text), 0); end != test.end || fault != test.want {
			t.Errorf("%q: %d %v, want %d %v", test.text, end, fault, test.end, test.want)
		}
		s := At(0)
		end, fault := 0, Truncated
		for n := 1; n <= len(test.text) && fault == Truncated; n++ {
			end, fault = s.Next([]byte(test.text)[:n])
		}
		if end != test.end || fault != test.want {
			t.Errorf("%q byte by byte: %d %v, want %d %v", test.text, end, fault, test.end, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { compare(t, text) })
}

// FuzzUnquote gives Unquote what String would refuse: it must not panic or grow without bound.
func FuzzUnquote(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if out := Unquote(nil, text); len(out) > 3*len(text) {
			t.Errorf("%d bytes became %d", len(text), len(out))
		}
	})
}
