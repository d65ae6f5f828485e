package kql

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// span is a closed interval. All typed comparisons become spans: a single number is one, so is a CIDR block or a month, and a
// value group is a sorted list of them.
type span[T any] struct{ low, high T }

// domain is an ordered type. It turns a comparison with the span of a literal into the span of what satisfies it.
type domain[T any] struct {
	min, max       T
	next, previous func(T) (T, bool)
	order          func(a, b T) int
}

// compare returns the values in relation o to a literal; none where the bound passes the end of the type.
func (d domain[T]) compare(o op, s span[T]) []span[T] {
	ok := true
	switch o {
	case less:
		s.high, ok = d.previous(s.low)
		s.low = d.min
	case lessEqual:
		s.low = d.min
	case greater:
		s.low, ok = d.next(s.high)
		s.high = d.max
	case greaterEqual:
		s.high = d.max
	}
	if !ok || d.order(s.low, s.high) > 0 {
		return nil
	}
	return []span[T]{s}
}

// merge sorts spans and joins those that overlap.
func (d domain[T]) merge(spans []span[T]) []span[T] {
	slices.SortFunc(spans, func(a, b span[T]) int { return d.order(a.low, b.low) })
	var out []span[T]
	for _, s := range spans {
		if n := len(out); n > 0 && d.order(s.low, out[n-1].high) <= 0 {
			if d.order(s.high, out[n-1].high) > 0 {
				out[n-1].high = s.high
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

var numbers = domain[float64]{
	min: math.Inf(-1), max: math.Inf(1), order: cmp.Compare[float64],
	next:     func(x float64) (float64, bool) { return math.Nextafter(x, math.Inf(1)), true },
	previous: func(x float64) (float64, bool) { return math.Nextafter(x, math.Inf(-1)), true },
}

// times are Unix milliseconds.
var times = domain[int64]{
	min: math.MinInt64, max: math.MaxInt64, order: cmp.Compare[int64],
	next:     func(x int64) (int64, bool) { return x + 1, x < math.MaxInt64 },
	previous: func(x int64) (int64, bool) { return x - 1, x > math.MinInt64 },
}

// addresses are all 16 bytes long, as in Elasticsearch.
var addresses = domain[netip.Addr]{
	min: netip.IPv6Unspecified(), max: lastAddr(netip.IPv6Unspecified(), 0), order: netip.Addr.Compare,
	next:     func(a netip.Addr) (netip.Addr, bool) { a = a.Next(); return a, a.IsValid() },
	previous: func(a netip.Addr) (netip.Addr, bool) { a = a.Prev(); return a, a.IsValid() },
}

func lastAddr(a netip.Addr, bits int) netip.Addr {
	b := a.As16()
	for i := bits; i < 128; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom16(b)
}

// addressSpan reads an address or a CIDR block.
func addressSpan(s string) (span[netip.Addr], error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return span[netip.Addr]{}, fmt.Errorf("%q is neither an IP address nor a CIDR block", s)
		}
		a = netip.AddrFrom16(a.As16())
		return span[netip.Addr]{a, a}, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return span[netip.Addr]{}, fmt.Errorf("%q is no CIDR block", s)
	}
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	first := p.Masked().Addr().As16()
	low := netip.AddrFrom16(first)
	return span[netip.Addr]{low, lastAddr(low, bits)}, nil
}

// datePrecisions are the parts of a date, each with the length of its time.
var datePrecisions = []struct {
	layout string
	end    func(time.Time) time.Time
}{
	{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
	{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01-02T15", func(t time.Time) time.Time { return t.Add(time.Hour) }},
	{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
}

// timeSpan reads a date, a part of one, or epoch milliseconds (more than four digits; four are a year).
func timeSpan(s string) (span[int64], error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) > 4 {
		return span[int64]{ms, ms}, nil
	}
	for _, p := range datePrecisions {
		t, err := time.Parse(p.layout, s)
		if err != nil && strings.Contains(p.layout, "T") {
			t, err = time.Parse(p.layout+"Z07:00", s)
		}
		if err != nil {
			continue
		}
		low := t.UnixMilli()
		if strings.Contains(s, ".") {
			return span[int64]{low, low}, nil
		}
		return span[int64]{low, p.end(t).UnixMilli() - 1}, nil
	}
	if strings.HasPrefix(s, "now") || strings.Contains(s, "||") {
		return span[int64]{}, fmt.Errorf("date arithmetic (%q) would make the rule depend on when it runs", s)
	}
	return span[int64]{}, fmt.Errorf("%q is no date", s)
}

// number reads a decimal number; hexadecimal, infinities and NaN are text.
func number(s string) (float64, bool) {
	if s == "" || len(s) > 64 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// instant reads the time of an event.
func instant(s string) (int64, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UnixMilli(), err == nil
}

// address reads the address of an event. Text that cannot be one is turned away first: ParseAddr's errors allocate.
func address(s string) (netip.Addr, bool) {
	if len(s) < 2 || len(s) > 64 || strings.IndexByte(s, ':') < 0 && strings.Count(s, ".") != 3 || strings.IndexByte(s, '/') >= 0 {
		return netip.Addr{}, false
	}
	if c := s[0]; c != ':' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, false
	}
	return netip.AddrFrom16(a.As16()), true
}

// view is b as a string for the duration of a call that keeps nothing of it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
