// Package capacity makes a model of what work costs from measured runs: so much for each unit of each kind.
package capacity

import "math"

// nonNegative solves rows·x ≈ want by least squares with no x below 0: nothing can cost less than nothing, and what the
// runs cannot tell from 0 is 0. It goes round the coordinates, each time to the best value of one, until none moves.
func nonNegative(rows [][]float64, want []float64) []float64 {
	if len(rows) == 0 {
		return nil
	}
	x := make([]float64, len(rows[0]))
	left := append([]float64(nil), want...) // want - rows·x
	for range 200_000 {
		moved := 0.0
		for k := range x {
			var along, square float64
			for i, row := range rows {
				along += row[k] * left[i]
				square += row[k] * row[k]
			}
			if square == 0 {
				continue
			}
			next := max(0, x[k]+along/square)
			step := next - x[k]
			for i, row := range rows {
				left[i] -= step * row[k]
			}
			x[k] = next
			moved = max(moved, math.Abs(step)*math.Sqrt(square))
		}
		if moved < 1e-12 {
			break
		}
	}
	return x
}

// fit is nonNegative with every run's error taken as a part of what it measured: a cheap run tells as much as a dear one.
// Small values, below a fiftieth of the largest, count as that: what is next to nothing need not be met exactly.
func fit(units [][]float64, measured []float64) []float64 {
	most := 0.0
	for _, m := range measured {
		most = max(most, m)
	}
	if most == 0 {
		most = 1
	}
	rows, want := make([][]float64, len(units)), make([]float64, len(units))
	for i, u := range units {
		weight := 1 / max(measured[i], most/50)
		rows[i], want[i] = make([]float64, len(u)), measured[i]*weight
		for k := range u {
			rows[i][k] = u[k] * weight
		}
	}
	return nonNegative(rows, want)
}
