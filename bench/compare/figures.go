package compare

import (
	"fmt"
	"slices"
)

// figures are the values of one quantity, a round each.
type figures []float64

// median is the middle value, or the mean of the two in the middle.
func (f figures) median() float64 {
	s := slices.Sorted(slices.Values(f))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// text is the median with the smallest and the largest value behind it.
func (f figures) text(format string) string {
	switch len(f) {
	case 0:
		return "-"
	case 1:
		return fmt.Sprintf(format, f[0])
	}
	return fmt.Sprintf(format+" ("+format+".."+format+")", f.median(), slices.Min(f), slices.Max(f))
}

// per divides round by round: what the machine did meanwhile was much the same for both.
func (f figures) per(g figures) figures {
	var out figures
	for i := range min(len(f), len(g)) {
		out = append(out, f[i]/g[i])
	}
	return out
}
