package allowlist

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLines(t *testing.T) {
	for line, want := range map[string]string{
		"10.0.0.0/8":                                "10.0.0.0/8",
		"  10.0.0.1\t# the office":                  "10.0.0.1/32",
		"2001:DB8::/32":                             "2001:db8::/32",
		"::ffff:10.0.0.0/104":                       "::ffff:10.0.0.0/104",
		"2600:1ffe:8140::a47:a85a":                  "2600:1ffe:8140::a47:a85a/128",
		"10.0.0.0/8 expires=2026-12-31 # day":       "10.0.0.0/8 expires=2027-01-01T00:00:00Z",
		"10.0.0.0/8 expires=2026-12-31T12:00:00Z\r": "10.0.0.0/8 expires=2026-12-31T12:00:00Z",
		"0.0.0.0/0":                                 "0.0.0.0/0",
		"# nothing":                                 "",
		"   ":                                       "",
	} {
		entry, ok, err := ParseLine(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		} else if ok != (want != "") || ok && entry.String() != want {
			t.Errorf("%q: got %v %v, want %q", line, entry, ok, want)
		}
	}
}

func TestBadLines(t *testing.T) {
	for line, want := range map[string]string{
		"10.0.0.1/8":                   `1:1: "10.0.0.1/8" has host bits set (did you mean "10.0.0.0/8"?)`,
		"2001:db8::1/32":               `1:1: "2001:db8::1/32" has host bits set (did you mean "2001:db8::/32"?)`,
		"10.0.0.0/33":                  `1:1: "10.0.0.0/33" is not an IPv4 or IPv6 network`,
		"10.0.0.0/255.0.0.0":           `1:1: "10.0.0.0/255.0.0.0" is not an IPv4 or IPv6 network`,
		" 010.0.0.1":                   `1:2: "010.0.0.1" is not an IPv4 or IPv6 network`,
		"example.com":                  `1:1: "example.com" is not an IPv4 or IPv6 network`,
		"10.0.0.0/8 expire=2026-01-01": `1:12: unknown option "expire" (did you mean "expires"?)`,
		"10.0.0.0/8 office":            `1:12: "office" after the network: only expires= and owner= are known, and a comment begins with #`,
		"10.0.0.0/8 expires=soon":      `1:12: expires=soon is not a date: write 2026-12-31 (to the end of that day, UTC) or 2026-12-31T12:00:00Z`,
		"::1 expires=2026-01-01 expires=2026-01-01": `1:24: expires= is there twice`,
		"::1 owner=a owner=a":                       `1:13: owner= is there twice`,
		"::1 owner=":                                `1:5: owner= needs a word, like owner=netops`,
		"::1 owner=head office":                     `1:16: "office" after the network: only expires= and owner= are known, and a comment begins with #`,
		"::1 Owner=x":                               `1:5: unknown option "Owner" (did you mean "owner"?)`,
		"::1 expiry=2026-01-01":                     `1:5: unknown option "expiry" (did you mean "expires"?)`,
		"::1 note=x":                                `1:5: unknown option "note"`,
		"10.0.0.0/8#office":                         `1:1: "10.0.0.0/8#office" is not an IPv4 or IPv6 network`,
	} {
		if _, _, err := ParseLine(line); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %v", line, err, want)
		}
	}
}

// Owner, comment and place are kept for people, and mean nothing.
func TestWhoAnswersForAnEntry(t *testing.T) {
	entries, errs := Parse("lists/office.txt", "# offices\n192.0.2.0/24 owner=netops expires=2026-12-31 # head office # old\n\n::1\n")
	want := []Entry{
		{Network: netip.MustParsePrefix("192.0.2.0/24"), Expires: 1798761600000, Owner: "netops", Comment: "head office # old", File: "lists/office.txt", Line: 2},
		{Network: netip.MustParsePrefix("::1/128"), Expires: Never, File: "lists/office.txt", Line: 4},
	}
	if len(errs) > 0 || !slices.Equal(entries, want) {
		t.Errorf("got %+v, %v", entries, errs)
	}
	bare, _ := Parse("other.txt", "::1 owner=x # y\n192.0.2.0/24 expires=2026-12-31")
	if got, want := Normal(entries, false), Normal(bare, false); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A bad line does not hide the ones after it, and the good ones are all there.
func TestEveryErrorOfAFile(t *testing.T) {
	entries, errs := Parse("l.txt", "\ufeff# head\r\n10.0.0.0/8\r\nbad\r\n\r\n::1\nworse")
	if len(entries) != 2 || len(errs) != 2 || errs[0].Line != 3 || errs[1].Line != 6 {
		t.Errorf("got %v, %v", entries, errs)
	}
}

func TestSources(t *testing.T) {
	for source, want := range map[string]struct{ loose, strict string }{
		"10.0.0.1":           {"10.0.0.1/32", "10.0.0.1/32"},
		"10.0.0.0/8":         {"10.0.0.0/8", "10.0.0.0/8"},
		"::ffff:10.0.0.1":    {"10.0.0.1/32", "::ffff:10.0.0.1/128"},
		"::ffff:a00:0/104":   {"10.0.0.0/8", "::ffff:10.0.0.0/104"},
		"fe80::1%eth0":       {"fe80::1/128", "fe80::1/128"},
		"10.0.0.1/8":         {},
		"10.0.0.0/255.0.0.0": {},
		"10.0.0.01":          {},
		" 10.0.0.1":          {},
		"10.0.0.1:443":       {},
		"167772161":          {},
		"AWS Internal":       {},
		"":                   {},
		"10.0.0.1, 10.0.0.2": {},
		"::ffff:0:0/95":      {},
	} {
		for strict, want := range map[bool]string{false: want.loose, true: want.strict} {
			p, err := ParseSource([]byte(source), strict)
			if got := p.String(); (err == nil) != (want != "") || err == nil && got != want {
				t.Errorf("%q strict=%v: got %v, %v, want %q", source, strict, got, err, want)
			}
		}
	}
	buffer := []byte("bad source")
	_, err := ParseSource(buffer, false)
	copy(buffer, "overwritten")
	if !strings.Contains(err.Error(), `"bad source"`) {
		t.Errorf("the error lives in the caller's buffer: %v", err)
	}
}

func TestExpiryIsByEventTime(t *testing.T) {
	entries, _ := Parse("", "10.0.0.0/8 expires=2026-01-31\n10.1.0.0/16 expires=2026-01-01\n10.1.1.0/24 expires=2026-02-28")
	table := NewTable(entries, false)
	at := func(source, when string) bool {
		p, err := table.Parse([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		clock, err := time.Parse(time.RFC3339, when)
		if err != nil {
			t.Fatal(err)
		}
		return table.Contains(p, clock.UnixMilli())
	}
	for _, c := range []struct {
		source, when string
		want         bool
	}{
		{"10.9.9.9", "2026-01-31T23:59:59Z", true},
		{"10.9.9.9", "2026-02-01T00:00:00Z", false},
		{"10.1.9.9", "2026-01-15T00:00:00Z", true}, // its own /16 is gone, the /8 around it counts
		{"10.1.9.9", "2026-02-01T00:00:00Z", false},
		{"10.1.1.9", "2026-02-28T23:59:59Z", true},
		{"10.1.1.9", "2026-03-01T00:00:00Z", false},
		{"10.1.1.0/24", "2026-02-15T00:00:00Z", true},
		{"10.1.0.0/16", "2026-02-15T00:00:00Z", false}, // wider than the only entry left
		{"10.0.0.0/7", "2026-01-15T00:00:00Z", false},
	} {
		if got := at(c.source, c.when); got != c.want {
			t.Errorf("%s at %s: inside = %v, want %v", c.source, c.when, got, c.want)
		}
	}
}

// The table says what a loop over the entries says, of the same family, addresses and networks alike.
func TestTableAgainstALoop(t *testing.T) {
	genPrefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		// Few distinct bytes, so that networks nest and meet.
		few := rapid.SampledFrom([]byte{0, 1, 10, 128, 255})
		if rapid.Bool().Draw(t, "v4") {
			a := [4]byte{10, few.Draw(t, "b"), few.Draw(t, "c"), few.Draw(t, "d")}
			return netip.PrefixFrom(netip.AddrFrom4(a), rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
		}
		a := [16]byte{0: few.Draw(t, "b"), 15: few.Draw(t, "c")}
		if rapid.Bool().Draw(t, "mapped") {
			a = [16]byte{10: 255, 11: 255, 12: 10, 13: few.Draw(t, "m"), 15: few.Draw(t, "n")}
		}
		return netip.PrefixFrom(netip.AddrFrom16(a), rapid.IntRange(0, 128).Draw(t, "bits")).Masked()
	})
	rapid.Check(t, func(t *rapid.T) {
		strict := rapid.Bool().Draw(t, "strict")
		var entries []Entry
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			expires := rapid.SampledFrom([]int64{10, 20, 30, Never}).Draw(t, "expires")
			entries = append(entries, Entry{Network: genPrefix.Draw(t, "entry"), Expires: expires})
		}
		table := NewTable(entries, strict)
		for range 20 {
			p := genPrefix.Draw(t, "source")
			now := rapid.Int64Range(0, 40).Draw(t, "now")
			source, err := ParseSource([]byte(p.String()), strict)
			if err != nil {
				t.Fatal(err)
			}
			want := false
			for _, e := range entries {
				n := e.Network
				if !strict && n.Addr().Is4In6() && n.Bits() >= 96 {
					n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
				}
				if n.Addr().BitLen() == source.Addr().BitLen() && n.Bits() <= source.Bits() && n.Contains(source.Addr()) && now < e.Expires {
					want = true
				}
			}
			if got := table.Contains(source, now); got != want {
				t.Fatalf("%v at %d in %v strict=%v: got %v, want %v", source, now, entries, strict, got, want)
			}
		}
	})
}

func TestAnAllowedSourceCostsNothing(t *testing.T) {
	entries, _ := Parse("", "10.0.0.0/8\n2001:db8::/32")
	table := NewTable(entries, false)
	for _, source := range []string{"10.1.2.3", "2001:db8::1", "10.1.0.0/16", "::ffff:10.0.0.1"} {
		b := []byte(source)
		if n := testing.AllocsPerRun(100, func() {
			p, err := table.Parse(b)
			if err != nil || !table.Contains(p, 0) {
				t.Fatalf("%s: not inside (%v)", source, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", source, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("10.0.0.0/8 expires=2026-12-31 # office\n::1\nbad/line\n")
	f.Add("10.0.0.0/8 owner=a expires=2026-12-31 #\n::1 owner= \n::1 owner==x#y")
	f.Add("\ufeff::ffff:10.0.0.0/104\r\n0.0.0.0/0 expires=2026-12-31T00:00:00+02:00")
	f.Fuzz(func(t *testing.T, text string) {
		entries, errs := Parse("", text)
		for _, e := range errs {
			if e.Line < 1 || e.Col < 1 {
				t.Fatalf("no position: %v", e)
			}
		}
		for _, e := range entries {
			again, ok, err := ParseLine(e.String())
			if err != nil || !ok || again.Network != e.Network || again.Expires != e.Expires {
				t.Fatalf("%v reads back as %v (%v)", e, again, err)
			}
		}
		NewTable(entries, false)
		NewTable(entries, true)
		ParseSource([]byte(text), false)
	})
}
