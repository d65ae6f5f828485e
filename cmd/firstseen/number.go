package main

import (
	"fmt"
	"strconv"
)

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes a number of things: 1 rule, 2 rules.
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + one + "s"
}

// size writes a number of bytes: 4.2 MB.
func size(n int64) string {
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
