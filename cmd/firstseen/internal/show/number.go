package show

import (
	"fmt"
	"strconv"
)

// Grouped writes 1234567 as 1,234,567.
func Grouped(n int64) string {
	if n < 0 {
		return "-" + Grouped(-n)
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural writes a number of things: 1 rule, 2 rules.
func Plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Grouped(n) + " " + one + "s"
}

// Size writes a number of bytes: 4.2 MB.
func Size(n int64) string {
	unit, f := 0, float64(n)
	for ; f >= 999.5 && unit < 4; unit++ {
		f /= 1000
	}
	name := [...]string{"B", "kB", "MB", "GB", "TB"}[unit]
	if unit == 0 || f >= 99.5 {
		return fmt.Sprintf("%.0f %s", f, name)
	}
	return fmt.Sprintf("%.1f %s", f, name)
}
