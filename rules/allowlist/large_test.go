package allowlist

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// largeList is a file of n networks, half of them IPv6, a fifth of them with an expiry, in no order, and every eighth
// around others of the list.
func largeList(n int) string {
	var b strings.Builder
	for i := range n {
		x := uint32(i) * 2654435761 // scatters
		bits, extra := 24, ""
		if i%8 == 0 {
			bits = 16
		}
		if i%5 == 0 {
			extra = fmt.Sprintf(" expires=20%02d-06-30 owner=team-%d # entry %d", 27+i%60, i%7, i)
		}
		if i%2 == 0 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8)}), bits)
			fmt.Fprintf(&b, "%v%s\n", p.Masked(), extra)
			continue
		}
		p := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)}), 2*bits)
		fmt.Fprintf(&b, "%v%s\n", p.Masked(), extra)
	}
	return b.String()
}

func loadLarge(tb testing.TB, text string) *Table {
	entries, errs := Parse("large", text)
	if len(errs) > 0 {
		tb.Fatal(errs[0])
	}
	return NewTable(Normal(entries, false), false)
}

// sources are as many addresses inside the list as outside it, and networks.
func sources(tb testing.TB, table *Table) (list []netip.Prefix) {
	inside := 0
	for i := range 4096 {
		x := uint32(i) * 2654435761
		a := netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), 9})
		if i%2 == 1 {
			a = netip.AddrFrom16([16]byte{0x20, 0x01 + byte(i>>1&1), byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x), 15: 9})
		}
		p := netip.PrefixFrom(a, a.BitLen())
		if table.Contains(p, 0) {
			inside++
		}
		list = append(list, p)
	}
	if inside < 1000 || inside > 3900 {
		tb.Fatalf("%d of 4096 addresses are inside: the list tests little", inside)
	}
	return list
}

// A list ten times as long takes about ten times as long to load, and no longer to ask. The bounds are so wide that only
// another order of growth breaks them: a loop over the entries for each lookup, or for each entry.
func TestLargeLists(t *testing.T) {
	measure := func(n int) (load, lookup time.Duration) {
		text := largeList(n)
		load, lookup = time.Hour, time.Hour
		for range 3 { // the best of three: others use the machine, too
			began := time.Now()
			table := loadLarge(t, text)
			load = min(load, time.Since(began))
			list := sources(t, loadLarge(t, largeList(100_000)))
			began = time.Now()
			for _, p := range list {
				table.Contains(p, 0)
			}
			lookup = min(lookup, time.Since(began))
		}
		return load, lookup
	}
	smallLoad, smallLookup := measure(5_000)
	load, lookup := measure(100_000)
	t.Logf("100,000 networks: loaded in %v, %v a lookup", load, lookup/4096)
	if limit := 3*time.Second + 100*smallLoad; load > limit {
		t.Errorf("100,000 networks took %v to load, 5,000 %v", load, smallLoad)
	}
	if limit := 50*time.Millisecond + 8*smallLookup; lookup > limit {
		t.Errorf("4,096 lookups took %v among 100,000 networks, %v among 5,000", lookup, smallLookup)
	}
}

func BenchmarkLoad100000(b *testing.B) {
	text := largeList(100_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		loadLarge(b, text)
	}
}

func BenchmarkLookup(b *testing.B) {
	table := loadLarge(b, largeList(100_000))
	list := sources(b, table)
	for name, keep := range map[string]func(netip.Prefix) bool{
		"v4": func(p netip.Prefix) bool { return p.Addr().Is4() },
		"v6": func(p netip.Prefix) bool { return p.Addr().Is6() },
	} {
		var some []netip.Prefix
		for _, p := range list {
			if keep(p) {
				some = append(some, p)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				table.Contains(some[i%len(some)], 0)
			}
		})
	}
}
