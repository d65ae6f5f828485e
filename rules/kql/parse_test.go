package kql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// tree prints a query's tree: (and a:"x" (not b>="1")). Wildcards stand between the quoted pieces of a value.
func tree(n node) string {
	switch n := n.(type) {
	case *negation:
		return "(not " + tree(n.kid) + ")"
	case *nested:
		return "(in " + n.path + " " + tree(n.kid) + ")"
	case *group:
		word := "(and"
		if n.or {
			word = "(or"
		}
		for _, k := range n.kids {
			word += " " + tree(k)
		}
		return word + ")"
	case *leaf:
		pieces := make([]string, len(n.value))
		for i, p := range n.value {
			pieces[i] = fmt.Sprintf("%q", p)
		}
		return strings.ReplaceAll(n.field+n.op.String()+strings.Join(pieces, "*"), `""`, "")
	}
	return "all"
}

func mustParse(t testing.TB, query string) *Expr {
	t.Helper()
	e, err := Parse(query)
	if err != nil {
		t.Fatalf("Parse(%q): %v", query, err)
	}
	return e
}

var grammar = []struct{ query, tree string }{
	// Values.
	{`event.action: GetObject`, `event.action:"GetObject"`},
	{`event.action:"GetObject"`, `event.action:"GetObject"`},
	{"  event.action\n\t:\u00a0GetObject  ", `event.action:"GetObject"`},
	{`"event.action": GetObject`, `event.action:"GetObject"`},
	{`a: quick brown  fox `, `a:"quick brown  fox"`},
	{`a: -5`, `a:"-5"`},
	{`a: true`, `a:"true"`},
	{`a: ""`, `a:`},
	{`a: don't`, `a:"don't"`},
	{`a: größe`, `a:"größe"`},
	{`a: x=y`, `a:"x=y"`},
	{`a: x&& y ||z`, `a:"x&& y ||z"`},

	// Operators: any case, not before and before or.
	{`a: 1 and b: 2`, `(and a:"1" b:"2")`},
	{`a: 1 AND b: 2 oR nOt c: 3`, `(or (and a:"1" b:"2") (not c:"3"))`},
	{`a: 1 or b: 2 and c: 3`, `(or a:"1" (and b:"2" c:"3"))`},
	{`not a: 1 and b: 2`, `(and (not a:"1") b:"2")`},
	{`not (a: 1 and b: 2)`, `(not (and a:"1" b:"2"))`},
	{`not not a: 1`, `(not (not a:"1"))`},
	{`not(a: 1)or(b: 2)`, `(or (not a:"1") b:"2")`},
	{`((a: 1))`, `a:"1"`},
	{`a: 1 and (b: 2 and c: 3)`, `(and a:"1" b:"2" c:"3")`},
	{`"a"and"b"`, `(and *:"a" *:"b")`},
	{"a: 1\nand b: 2", `(and a:"1" b:"2")`},
	{`a: android or b: notes`, `(or a:"android" b:"notes")`},

	// Groups of values.
	{`a: (1 or 2)`, `(or a:"1" a:"2")`},
	{`a: (1 or 2 and not 3)`, `(or a:"1" (and a:"2" (not a:"3")))`},
	{`a: ((1 or "2") and b*)`, `(and (or a:"1" a:"2") a:"b"*)`},
	{`a: (1)`, `a:"1"`},
	{`a: (not 1)`, `(not a:"1")`},
	{`a: (x y or z)`, `(or a:"x y" a:"z")`},

	// Wildcards, only in bare text.
	{`a: *`, `a:*`},
	{`a: **`, `a:*`},
	{`a: Get*`, `a:"Get"*`},
	{`a: *Get*Acl`, `a:*"Get"*"Acl"`},
	{`a: "Get*"`, `a:"Get*"`},
	{`a: 5\*`, `a:"5*"`},
	{`user.*: root`, `user.*:"root"`},
	{`*: root`, `*:"root"`},
	{`*: *`, `all`},
	{`*`, `all`},
	{``, `all`},
	{`not *`, `(not all)`},
	{`a: or*`, `a:"or"*`},

	// Values without a field.
	{`Hello`, `*:"Hello"`},
	{`quick brown fox`, `*:"quick brown fox"`},
	{`"a = b"`, `*:"a = b"`},
	{`Hello or not "big world"`, `(or *:"Hello" (not *:"big world"))`},
	{`*anonymous*`, `*:*"anonymous"*`},

	// Escapes.
	{`a: \\\(\)\:\<\>\"\*\{\}`, `a:"\\():<>\"*{}"`},
	{`a: "C:\\x \"y\" \*"`, `a:"C:\\x \"y\" \\*"`},
	{`a: \t\r\nx`, `a:"\t\r\nx"`},
	{`a: "\t\r\n"`, `a:"\t\r\n"`},
	{`a: \u0041\ud83d\ude00\uD800`, `a:"A😀` + "\uFFFD" + `"`},
	{`a: "\u0041\u00"`, `a:"A\\u00"`},
	{`a: https\://x.org`, `a:"https://x.org"`},
	{`a: \and`, `a:"and"`},
	{`a: x \OR y`, `a:"x OR y"`},
	{`a: \not`, `a:"not"`},
	{`a: \order`, `a:"order"`},
	{`a: \nothing`, `a:"\nothing"`},
	{`a\:b: c`, `a:b:"c"`},

	// Ranges.
	{`n > 5`, `n>"5"`},
	{`n>=5 and n<10 and n <= "7" and n<8`, `(and n>="5" n<"10" n<="7" n<"8")`},
	{`@timestamp < "2026-01-01T00:00:00Z"`, `@timestamp<"2026-01-01T00:00:00Z"`},

	// Nested.
	{`r:{ t: x and a: y }`, `(in r (and r.t:"x" r.a:"y"))`},
	{`r: {t: (x or y) or not a > 1}`, `(in r (or r.t:"x" r.t:"y" (not r.a>"1")))`},
	{`a.b:{ c:{ d: 1 } and e: 2 }`, `(in a.b (and (in a.b.c a.b.c.d:"1") a.b.e:"2"))`},
	{`r:{ x }`, `(in r r.*:"x")`},
	{`r:{ * }`, `(in r r.*:*)`},
	{`not:{ or: 1 }`, `(in not not.or:"1")`},
}

func TestGrammar(t *testing.T) {
	for _, c := range grammar {
		e, err := Parse(c.query)
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if got := tree(e.root); got != c.tree {
			t.Errorf("%s\n got %s\nwant %s", c.query, got, c.tree)
		}
		again, err := Parse(e.String())
		if err != nil {
			t.Errorf("%s: its canonical form %s: %v", c.query, e, err)
		} else if tree(again.root) != c.tree || again.String() != e.String() {
			t.Errorf("%s: its canonical form %s reads as %s", c.query, e, tree(again.root))
		}
	}
}

func TestCanonicalForm(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{`event.action:(GetObject OR ListObjects)AND NOT(user.name : root or user.id:5)`,
			`event.action: ("GetObject" or "ListObjects") and not (user.name: "root" or user.id: "5")`},
		{`a: 1 or (b: 2 or c: 3)`, `a: "1" or b: "2" or c: "3"`},
		{`a: (1 and (2 or 3))`, `a: "1" and a: ("2" or "3")`},
		{`size>=10`, `size >= "10"`},
		{`r:{t:x*\:y}`, `r:{ t: x*\:y }`},
		{`"a b": "\u0001\"\\"`, `"a b": "\u0001\"\\"`},
		{`a: x \and 'y' = * z`, `a: x\u0020and\u0020\u0027y\u0027\u0020\u003d\u0020*\u0020z`},
		{`"or": 1`, `"or": "1"`},
		{``, `*: *`},
	} {
		if got := mustParse(t, c.query).String(); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.query, got, c.want)
		}
	}
}

var refused = []struct {
	query      string
	offset     int
	message    string // part of the message
	suggestion string // part of the suggestion
}{
	{`event.action = "GetObject"`, 12, "= is no operator", `event.action: "GetObject"`},
	{`event.action=GetObject`, 12, "= is no operator", "event.action: GetObject"},
	{`a == b`, 1, "= is no operator", "write a: b"},
	{`a != b`, 1, "= is no operator", "write not a: b"},
	{`a: 1 && b: 2`, 5, "&& is no operator", "write and"},
	{"a: 1\n|| b", 5, "|| is no operator", "write or"},
	{`!a: 1`, 0, "! is no operator", "write not a"},
	{`a: 'x'`, 3, "quoted with", `write "x"`},
	{`a: “x”`, 3, "quoted with", `write "x"`},
	{`a: [1 TO 5]`, 3, "no range", "field >= a and field <= b"},
	{`a: "x`, 3, "never closed", `"`},
	{`(a: 1 or b: 2`, 0, "( is never closed", ""},
	{`a: (1 or (2 and 3)`, 3, "( is never closed", ""},
	{`r:{ a: 1`, 2, "{ is never closed", ""},
	{`a: 1)`, 4, ") closes nothing", ""},
	{`a: (1}`, 5, "} is not expected", ""},
	{`a:`, 2, "ends after :", "must follow"},
	{`a: 1 and`, 8, "ends after and", "must follow"},
	{`a: ()`, 4, "missing between ( and )", ""},
	{`and a: 1`, 0, "and is not expected", "missing before"},
	{`a: or`, 3, "or is not expected", `"or"`},
	{`a: not 1`, 3, "not is not expected", "in front of the field"},
	{`a: 1 not b: 2`, 5, "not is not expected", "and or or is missing"},
	{`a: > 5`, 3, "> is not expected", "field > value"},
	{`a: b c: d`, 6, ": is not expected", "missing before c"},
	{`a: arn:aws`, 6, ": is not expected", "in quotes"},
	{`: 5`, 0, ": is not expected", "field name"},
	{`a: "x" "y"`, 7, `"y" is not expected`, "and or or is missing"},
	{`a: ("x", "y")`, 7, `,`, "with or"},
	{`a "x"`, 2, `"x" is not expected`, `write a: "x"`},
	{`a: (b: 1)`, 5, ": is not expected", "in quotes"},
	{`a: x\y`, 4, "escapes nothing", `\\`},
	{`a: \u00g0`, 3, "escapes nothing", `\\`},
	{`n > 5*`, 4, "range", "quotes"},
	{`n > (1 or 2)`, 4, "( is not expected", ""},
	{`r*:{ a: 1 }`, 0, "nested path", "in full"},
	{`"a*": 1`, 0, "field name", "bare"},
	{`"": 1`, 0, "empty", ""},
	{"a: \xff", 3, "UTF-8", ""},
	{strings.Repeat("(", 1_000_000), 256, "too deeply", "64"},
	{strings.Repeat("not ", 1_000_000), 4 * 256, "too deeply", "64"},
	{strings.Repeat("a:{", 1_000_000), 3*256 + 2, "too deeply", "64"},
	{strings.Repeat("not ", 64) + "a: 1", 0, "too deeply", "64"},
}

// The bound is on depth, not on length.
func TestLongQueries(t *testing.T) {
	mustParse(t, strings.Repeat("(a: (1)) and not b: 2 or ", 10_000)+"c: 3")
}

func TestErrorsPointAndSuggest(t *testing.T) {
	for _, c := range refused {
		_, err := Parse(c.query)
		var e *Error
		name := c.query[:min(len(c.query), 40)]
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, want an *Error", name, err)
			continue
		}
		if e.Offset != c.offset || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Suggestion, c.suggestion) {
			t.Errorf("%s: at %d: %v; want at %d: %s (%s)", name, e.Offset, e, c.offset, c.message, c.suggestion)
		}
	}
}

func TestFields(t *testing.T) {
	e := mustParse(t, `b: 1 and a > 2 or r:{ x: 1 and user.*: 2 } or Hello or b: 3 or q:{ not p: 1 } or s:{ not not t: 1 }`)
	want := []string{"*", "a", "b", "q.*", "q.p", "r.user.*", "r.x", "s.t"}
	if got := Fields(e); !slices.Equal(got, want) {
		t.Errorf("Fields: %q, want %q", got, want)
	}
	for name, want := range map[string]int{"b": 0, "a": 9, "r.x": 22, "*": 46, "q.*": -1} {
		if got := FieldOffset(e, name); got != want {
			t.Errorf("FieldOffset(%s) = %d, want %d", name, got, want)
		}
	}
}

func TestRequired(t *testing.T) {
	spelling := func(field string) (keys []string, copied bool) {
		if name, ok := strings.CutPrefix(field, "p."); ok {
			keys = strings.Split(name, ".")
		}
		return keys, slices.Contains([]string{"action", "provider", "r.arn", "p.both"}, field)
	}
	for _, c := range []struct{ query, want string }{
		{`action: GetObject`, `[[GetObject]]`},
		{`provider: s3.amazonaws.com and action: (GetObject or PutObject) and x: other`, `[[s3.amazonaws.com] [GetObject PutObject]]`},
		{`action: GetObject or x: other`, `[]`},
		{`action: GetObject or not action: PutObject`, `[]`},
		{`not not action: GetObject`, `[]`},
		{`(provider: aaaa and action: bbbb) or (provider: aaaa and action: cccc)`, `[[aaaa] [bbbb cccc]]`},
		{`action: Get`, `[]`},
		{`action: G*Object*`, `[[Object]]`},
		{`action: "my object/key b/longest-one"`, `[[my object/key b/longest-one]]`},
		{`action: "say \"hello\" or C:\\\\Windows"`, `[[Windows]]`},
		{`action: größe`, `[]`},
		{`action: user@example.org`, `[[user@example.org]]`},
		{`action >= GetObject`, `[]`},
		{`act*: GetObject`, `[]`},
		{`GetObject`, `[]`},
		{`*`, `[]`},
		{`r:{ arn: arn\:aws\:s3 and not arn: other }`, `[[arn:aws:s3]]`},
		{`p.serialNumber: *`, `[[serialNumber]]`},
		{`p.size > 3`, `[[size]]`},
		{`p.item.serialNumber: (a or b)`, `[[serialNumber]]`},
		{`p.x: *`, `[]`},
		{`p.both: (long or text)`, `[[both] [long text]]`},
		{`p.*Number: *`, `[]`},
		{`not p.serialNumber: *`, `[]`},
	} {
		got := fmt.Sprint(Required(mustParse(t, c.query), spelling))
		if got != c.want {
			t.Errorf("Required(%s) = %s, want %s", c.query, got, c.want)
		}
	}
}

func TestOneOf(t *testing.T) {
	action := func(field string) bool { return field == "action" || field == "name" }
	for _, c := range []struct{ query, want string }{
		{`action: GetObject`, `[GetObject]`},
		{`action: (b or a or b)`, `[a b]`},
		{`name: a or action: "b c"`, `[a b c]`},
		{`x: 1 and action: (a or b)`, `[a b]`},
		{`action: (a or b or c) and name: (x or y) and other: z`, `[x y]`},
		{`(x: 1 and action: a) or (x: 2 and action: b and not y: 3)`, `[a b]`},
		{`r:{ action: a }`, `none`}, // the field is r.action
		{`x: 1 or action: a`, `none`},
		{`not action: a`, `none`},
		{`not not action: a`, `none`},
		{`action: (a or b*)`, `none`},
		{`action: (a and not b)`, `[a]`},
		{`action: *`, `none`},
		{`action > a`, `none`},
		{`act*: a`, `none`},
		{`a`, `none`},
		{``, `none`},
	} {
		got := "none"
		if values, ok := OneOf(mustParse(t, c.query), action); ok {
			got = fmt.Sprint(values)
		}
		if got != c.want {
			t.Errorf("OneOf(%s) = %s, want %s", c.query, got, c.want)
		}
	}
}
