package allowlist

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The entry that decides is named with the line it stands in, whatever other entries say of the same address.
func TestWhichEntryDecides(t *testing.T) {
	entries, errs := Parse("l", strings.TrimPrefix(`
10.0.0.0/8 owner=netops          # all of it
10.1.0.0/16 expires=2026-01-31
10.1.0.0/16 expires=2026-03-31   # the same network, later
10.1.0.0/16 expires=2026-03-31   # and once more
10.1.1.0/24 expires=2026-02-28
192.0.2.0/24 expires=2026-01-01
192.0.2.0/25 expires=2026-01-15
::ffff:198.51.100.0/120
2001:db8::/32
0.0.0.0/32
`, "\n"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, c := range []struct {
		source, when, want string
		strict             bool
	}{
		{"10.9.9.9", "2026-01-01", "1", false},
		{"10.1.9.9", "2026-01-01", "3", false}, // the narrowest; of equal ones the one that lasts, of those the first
		{"10.1.9.9", "2026-02-15", "3 expired 2", false},
		{"10.1.9.9", "2026-04-15", "1 expired 3 4 2", false}, // what is around it still counts
		{"10.1.1.1", "2026-01-01", "5", false},
		{"10.1.1.1", "2026-03-15", "3 expired 5 2", false},
		{"10.1.0.0/16", "2026-01-01", "3", false},
		{"10.1.0.0/15", "2026-01-01", "", false}, // has host bits; see below
		{"10.0.0.0/15", "2026-01-01", "1", false},
		{"10.0.0.0/7", "2026-01-01", "outside", false},
		{"192.0.2.1", "2026-01-10", "7 expired 6", false},
		{"192.0.2.1", "2026-06-01", "outside expired 7 6", false},
		{"192.0.2.200", "2026-06-01", "outside expired 6", false},
		{"198.51.100.7", "2026-01-01", "8", false},
		{"198.51.100.7", "2026-01-01", "outside", true},
		{"::ffff:198.51.100.7", "2026-01-01", "8", false},
		{"::ffff:198.51.100.7", "2026-01-01", "8", true},
		{"2001:db8::1", "2026-01-01", "9", false},
		{"::", "2026-01-01", "outside", false}, // not of the same family as 0.0.0.0
	} {
		network, err := ParseSource([]byte(c.source), c.strict)
		if (err != nil) != (c.want == "") {
			t.Errorf("%s: %v", c.source, err)
		}
		if err != nil {
			continue
		}
		at, err := time.Parse(time.DateOnly, c.when)
		if err != nil {
			t.Fatal(err)
		}
		got := "outside"
		d := Decide(entries, network, c.strict, at.UnixMilli())
		if d.Inside != nil {
			got = fmt.Sprint(d.Inside.Line)
		}
		for i, e := range d.Expired {
			if i == 0 {
				got += " expired"
			}
			got += fmt.Sprint(" ", e.Line)
		}
		if got != c.want {
			t.Errorf("%s on %s, strict=%v: got %s, want %s", c.source, c.when, c.strict, got, c.want)
		}
	}
	if d := Decide(entries, netip.MustParsePrefix("10.9.9.9/32"), false, 0); d.Inside.Owner != "netops" || d.Inside.Comment != "all of it" || d.Inside.File != "l" {
		t.Errorf("got %+v", d.Inside)
	}
}
