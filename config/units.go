package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is written 90s, 15m, 12h, 7d or a sum such as 1h30m.
type Duration time.Duration

// Size is a number of bytes, written 1048576, 1MiB, 64KiB or 2GiB.
type Size int64

// units from large to small, each a whole number of the next.
var (
	times = []unit{{"d", int64(24 * time.Hour)}, {"h", int64(time.Hour)}, {"m", int64(time.Minute)}, {"s", int64(time.Second)}, {"ms", int64(time.Millisecond)}}
	sizes = []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}
)

type unit struct {
	name string
	n    int64
}

// ParseDuration reads a duration. It is never negative.
func ParseDuration(s string) (Duration, error) {
	var d time.Duration
	rest := s
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, badDuration(s)
		}
		d, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return Duration(d), nil
		}
	}
	t, err := time.ParseDuration(rest)
	if err != nil || t < 0 {
		return 0, badDuration(s)
	}
	return Duration(d + t), nil
}

func badDuration(s string) error {
	return fmt.Errorf("%q is not a duration such as 90s, 15m, 12h or 7d", s)
}

// String is the shortest form that ParseDuration reads.
func (d Duration) String() string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	rest := int64(d)
	for _, u := range times {
		if n := rest / u.n; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			rest %= u.n
		}
	}
	if rest > 0 {
		b.WriteString(time.Duration(rest).String())
	}
	return b.String()
}

// ParseSize reads a number of bytes.
func ParseSize(s string) (Size, error) {
	for _, u := range sizes {
		if digits, ok := strings.CutSuffix(s, u.name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			if err != nil || n < 0 || n > (1<<62)/u.n {
				break
			}
			return Size(n * u.n), nil
		}
	}
	return 0, fmt.Errorf("%q is not a size such as 1048576, 64KiB or 1MiB", s)
}

// String is the shortest form that ParseSize reads.
func (s Size) String() string {
	for _, u := range sizes {
		if s != 0 && int64(s)%u.n == 0 {
			return strconv.FormatInt(int64(s)/u.n, 10) + u.name
		}
	}
	return "0"
}
