package schemas

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// What cannot be decoded is a dead letter with its reason, and takes nothing with it.
func TestBadInput(t *testing.T) {
	a, b := from("192.0.2.1"), from("192.0.2.2")
	la, lb := lineFrom("192.0.2.1"), lineFrom("192.0.2.2")
	file := func(elements ...string) string { return `{"Records":[` + strings.Join(elements, ",") + `]}` }
	const first, second = "0 aws.cloudtrail 192.0.2.1", "2 aws.cloudtrail 192.0.2.2"
	deep := `{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`
	random := make([]byte, 4096)
	for i, r := 0, rand.NewPCG(1, 2); i < len(random); i++ {
		random[i] = byte(r.Uint64())
	}
	damaged := []byte(gzipped(file(a, b) + strings.Repeat(" ", 100)))
	damaged[len(damaged)-8] ^= 1 // the checksum
	cut := func(s string, n int) string { return s[:len(s)-n] }
	for _, test := range []struct {
		name, value string
		want        []string
	}{
		{"random bytes", string(random), []string{`-1 dead unknown_shape`}},
		{"text", "hello\nworld\n", []string{`-1 dead unknown_shape "hello\nworld\n"`}},
		{"text among lines", la + "\nhello\nworld\n" + lb, []string{"0 aws.s3access 192.0.2.1", `1 dead unknown_shape "hello\nworld"`, "2 aws.s3access 192.0.2.2"}},
		{"other JSON", `{"a":1}`, []string{`-1 dead unknown_shape "{\"a\":1}"`}},
		{"number", `12`, []string{`-1 dead unknown_shape "12"`}},
		{"no JSON", `{"a":tru}`, []string{`-1 dead invalid_json "{\"a\":tru}"`}},
		{"no JSON at all", `{a}`, []string{`-1 dead invalid_json "{a}"`}},
		{"depth 10,000", deep, []string{`-1 dead too_deep`}},
		{"depth 10,000, cut off", cut(deep, 5000), []string{`-1 dead too_deep`}},
		{"depth 10,000 in a record", file(a, `{"eventVersion":`+deep+`}`, b), []string{first, `1 dead too_deep`, second}},
		{"depth 10,000 as a record", file(a, deep, b), []string{first, `1 dead too_deep`, second}},

		{"record cut off", cut(a, 10), []string{`-1 dead truncated`}},
		{"file cut off in a record", cut(file(a, b), 10), []string{first, `1 dead truncated`}},
		{"file cut off between records", `{"Records":[` + a + ",", []string{first, `1 dead truncated ""`}},
		{"file cut off at its end", cut(file(a, b), 1), []string{first, "1 aws.cloudtrail 192.0.2.2", `2 dead truncated ""`}},
		{"array cut off", "[" + a + "," + cut(b, 10), []string{first, `1 dead truncated`}},
		{"line of several cut off", cut(a, 10) + "\n" + a + "\n" + b, []string{`0 dead truncated`, "1 aws.cloudtrail 192.0.2.1", second}},
		{"line of several cut off in a string", a[:60] + "\n" + a + "\n" + b, []string{`0 dead truncated`, "1 aws.cloudtrail 192.0.2.1", second}},
		{"line of several cut off behind a colon", `{"eventVersion":` + "\n" + a + "\n" + b, []string{`0 dead truncated`, "1 aws.cloudtrail 192.0.2.1", second}},
		{"file in a string cut off", cut(`{"timestamp":"x","message":`+quote(file(a, b))+`}`, 40), []string{first, `1 dead truncated`}},
		{"log events cut off", cut(`{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":`+quote(a)+`},{"id":"2","message":`+quote(b)+`}]}`, 40), []string{first, `1 dead truncated`}},
		{"gzip cut off behind the last byte of a bad file", cut(gzipped(file(a, `{"a":1 "b":2}`, b)), 8), []string{first, `1 dead invalid_json`, second, `3 dead truncated ""`}},
		{"gzip with a wrong checksum", string(damaged), []string{first, "1 aws.cloudtrail 192.0.2.2", `2 dead invalid_gzip ""`}},
		{"gzip by two bytes", "\x1f\x8bnot gzip", []string{`-1 dead invalid_gzip`}},
		{"access line with two spaces", strings.Replace(la, "] ", "]  ", 1), []string{`-1 dead unknown_shape`}},
		{"access line cut off in field 3", la[:80], []string{`-1 dead truncated`}},
		{"access line cut off in field 4", la[:110], []string{`-1 dead truncated`}},
		{"access line cut off in field 7", la[:140], []string{`-1 dead truncated`}},

		{"bad element: null", file(a, "null", b), []string{first, `1 dead unknown_shape "null"`, second}},
		{"bad element: number", file(a, "17", b), []string{first, `1 dead unknown_shape "17"`, second}},
		{"bad element: array", file(a, "[]", b), []string{first, `1 dead unknown_shape "[]"`, second}},
		{"bad element: string", file(a, `"x"`, b), []string{first, `1 dead unknown_shape "\"x\""`, second}},
		{"bad element: other object", file(a, `{"a":"}"}`, b), []string{first, `1 dead unknown_shape "{\"a\":\"}\"}"`, second}},
		{"bad element: no JSON", file(a, `{"eventVersion":1.,"a":2}`, b), []string{first, `1 dead invalid_json "{\"eventVersion\":1.,\"a\":2}"`, second}},
		{"bad element: a brace missing", file(a, `{"eventVersion":{"a":2}`, b), []string{first, `1 dead invalid_json "{\"eventVersion\":{\"a\":2}"`, second}},
		{"bad element: a brace too many", file(a, `{"eventVersion":2}}`, b), []string{first, `1 dead invalid_json "{\"eventVersion\":2}}"`, second}},
		{"bad element: a quote missing", file(a, `{"eventVersion":"2}`, b), []string{first, `1 dead invalid_json "{\"eventVersion\":\"2}"`, second}},
		{"bad element: the first", file(`{"eventVersion":"2}`, a, b), []string{`0 dead invalid_json "{\"eventVersion\":\"2}"`, "1 aws.cloudtrail 192.0.2.1", second}},
		{"bad element: the last", file(a, `{"eventVersion":"2}`), []string{first, `1 dead truncated`}},
		{"bad element: the first of a pretty-printed file", strings.Replace(pretty(file(a, b)), "1.11", "1\n11", 1), []string{`0 dead invalid_json`, "1 aws.cloudtrail 192.0.2.2"}},
		{"bad element: commas", `{"Records":[` + a + ",,," + b + ",]}", []string{first, `1 dead invalid_json ""`, second}},
		{"records within a record", file(strings.Replace(a, `"responseElements":null`, `"responseElements":{"x":"}","l":[1,`+b+`]}`, 1), b), []string{first, "1 aws.cloudtrail 192.0.2.2"}},

		{"envelope of nothing", `{"message":""}` + "\n" + a, []string{"1 aws.cloudtrail 192.0.2.1"}},
		{"four envelopes", `{"message":` + quote(`{"message":`+quote(`{"message":`+quote(file(a))+`}`)+`}`) + `}`, []string{`0 dead too_nested`}},
		{"four strings", quote(quote(quote(quote(a)))), []string{`0 dead too_nested`}},
		{"four strings, cut off", cut(quote(quote(quote(quote(a)))), 20), []string{`0 dead too_nested`}},
		{"three strings", quote(quote(quote(a))), []string{first}},
		{"three envelopes", `{"message":` + quote(`{"message":`+quote(file(a))+`}`) + `}`, []string{first}},
		{"log events within log events", strings.Repeat(`{"messageType":"DATA_MESSAGE","logEvents":[`, 5) + strings.Repeat("]}", 5), []string{`0 dead unknown_shape`}},

		{"records with braces in strings", braces(a, "{") + braces(b, "}"), []string{first, "1 aws.cloudtrail 192.0.2.2"}},
		{"line that looks whole and is not", `{"eventName":"A","a":{"b":"}"}` + "\n" + `,` + a[1:] + "\n" + b, []string{first, "1 aws.cloudtrail 192.0.2.2"}},

		{"text that is not UTF-8", strings.Replace(a, "192.0.2.1", "a\xffb", 1), []string{"0 aws.cloudtrail a\uFFFDb"}},
		{"line that is not UTF-8", strings.Replace(la, "192.0.2.1", "a\xffb", 1), []string{"0 aws.s3access a\uFFFDb"}},
		{"garbage address", `{"remoteip":"1.2.3","bucket":"b","time":1773144614}`, []string{"0 aws.s3access 1.2.3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _ := decode(t, Config{}, Message{Value: []byte(test.value), Timestamp: now}, "source.address")
			if len(got) != len(test.want) {
				t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			for i, want := range test.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
			}
		})
	}
}

// braces puts a brace into a string of the record.
func braces(record, brace string) string { return strings.Replace(record, "Boto3", brace, 1) }

// A message that is cut off anywhere gives the records that are complete, in their order, and one dead letter at most.
func TestCutAnywhere(t *testing.T) {
	file := `{"Records":[` + from("192.0.2.1") + "," + from("192.0.2.2") + "," + from("192.0.2.3") + `],"x":1}`
	vector := `{"host":"h","message":` + quote(file) + `}`
	zipped := gzipped(file)
	layout := NewLayout(nil)
	d := NewDecoder(Config{Layout: layout})
	for _, whole := range []string{file, pretty(file), vector, zipped} {
		most := 0
		for n := 2; n < len(whole); n++ {
			c := &collector{layout: layout, names: []string{"source.address"}}
			stats := d.Decode(Message{Value: []byte(whole[:n]), Timestamp: now}, c)
			got := c.lines
			if stats.Dead != 1 || stats.Events < most {
				t.Fatalf("cut at %d of %d:\n%s", n, len(whole), strings.Join(got, "\n"))
			}
			for i, line := range got[:stats.Events] {
				if want := []string{"0 aws.cloudtrail 192.0.2.1", "1 aws.cloudtrail 192.0.2.2", "2 aws.cloudtrail 192.0.2.3"}[i]; line != want {
					t.Fatalf("cut at %d: %s", n, line)
				}
			}
			if !strings.Contains(got[stats.Events], "truncated") {
				t.Fatalf("cut at %d: %s", n, got[stats.Events])
			}
			most = stats.Events
		}
		if most != 3 {
			t.Errorf("at most %d records", most)
		}
	}
}

// Whichever byte of a record is damaged, its neighbours are decoded.
func TestDamageAnywhere(t *testing.T) {
	bad := from("192.0.2.2")
	layout := NewLayout(nil)
	d := NewDecoder(Config{Layout: layout})
	for i := range bad {
		for _, c := range []byte(`"{}[],:\x` + "\n\x00\xff") {
			damaged := []byte(bad)
			damaged[i] = c
			value := `{"Records":[` + from("192.0.2.1") + "," + string(damaged) + "," + from("192.0.2.3") + "," + from("192.0.2.4") + `]}`
			sink := &collector{layout: layout, names: []string{"source.address"}}
			d.Decode(Message{Value: []byte(value), Timestamp: now}, sink)
			text := strings.Join(sink.lines, "\n")
			for _, address := range []string{"192.0.2.1", "192.0.2.3", "192.0.2.4"} {
				if !strings.Contains(text, "aws.cloudtrail "+address) {
					t.Fatalf("byte %d as %q: %s is missing:\n%s", i, c, address, text)
				}
			}
		}
	}
}

func TestBounds(t *testing.T) {
	a := from("192.0.2.1")
	big := strings.Replace(a, "192.0.2.1", strings.Repeat("x", 2000), 1)
	bomb := strings.Repeat(gzipped(strings.Repeat(" ", 16<<20)), 128)
	bounds := Bounds{MessageBytes: 1 << 20, Records: 3, RecordBytes: 2000}
	for _, test := range []struct {
		name, value string
		want        []string
	}{
		{"record over its bound", `{"Records":[` + a + "," + big + "," + a + `]}`, []string{"0 aws.cloudtrail", "1 dead too_large", "2 aws.cloudtrail"}},
		{"record alone over its bound", big, []string{"-1 dead too_large"}},
		{"line over its bound", accessLine + "\n" + lineFrom(strings.Repeat("x", 2000)), []string{"0 aws.s3access", "1 dead too_large"}},
		{"message over its bound", a + strings.Repeat(" ", 1<<20), []string{"-1 dead too_large"}},
		{"message of two gigabytes", bomb, []string{"-1 dead too_large"}},
		{"as many records as may be", a + a + a, []string{"0 aws.cloudtrail", "1 aws.cloudtrail", "2 aws.cloudtrail"}},
		{"more records", a + a + a + a, []string{"-1 dead too_many_records"}},
		{"more elements", "[1,2,3,4]", []string{"-1 dead too_many_records"}},
		{"more lines", strings.Repeat(accessLine+"\n", 4), []string{"-1 dead too_many_records"}},
		{"more in a string", `{"message":` + quote(`{"Records":[`+a+","+a+","+a+","+a+`]}`) + `}`, []string{"-1 dead too_many_records"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _ := decode(t, Config{Bounds: bounds}, Message{Value: []byte(test.value), Timestamp: now})
			if len(got) != len(test.want) {
				t.Fatal(got)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got %s, want %s", got[i], want)
				}
			}
		})
	}
}

// A dead letter says where and why.
func TestDetail(t *testing.T) {
	var got []string
	d := NewDecoder(Config{Bounds: Bounds{RecordBytes: 1000, Depth: 5}})
	value := `{"Records":[{"eventVersion":tru},{"eventVersion":[[[[[1]]]]]},{"eventVersion":"` + strings.Repeat("x", 1000) + `"},{"a":1},{"eventVersion":"2}]}`
	d.Decode(Message{Value: []byte(value), Timestamp: now, File: "f", Line: 7}, deadFunc(func(l DeadLetter) {
		got = append(got, fmt.Sprintf("%s:%d %s: %s", l.Value[:min(len(l.Value), 8)], l.Line, l.Reason, l.Detail))
	}))
	check(t, got,
		`{"eventV:7 invalid_json: invalid character at byte 19`,
		`{"eventV:7 too_deep: more than 5 levels`,
		`{"eventV:7 too_large: 1019 bytes, the bound for a record is 1000`,
		`{"a":1}:7 unknown_shape: no envelope and no record that is known`,
		`{"eventV:7 truncated: breaks off`)
}

type deadFunc func(DeadLetter)

func (f deadFunc) Event(*Event)      {}
func (f deadFunc) Dead(l DeadLetter) { f(l) }
