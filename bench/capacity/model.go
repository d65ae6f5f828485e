package capacity

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Units are the kinds of work. Each run has done so much of each.
var Units = []string{
	"a million CloudTrail records that are no candidates",
	"a million S3 lines that match nothing",
	"a million S3 lines that match",
	"a million candidates",
	"a million alert documents of a rule with new terms",
	"a million alert documents of another rule",
	"a thousand transactions",
	"a start",
}

// Costs are what is measured of each run, and modelled.
var Costs = []string{"worker, CPU-s", "brokers, CPU-s", "internal topics, MB", "changelogs, MB", "alerts, MB"}

// A Run is what was done, by Units, and what it cost, by Costs; NaN is a cost that was not measured.
type Run struct {
	Name  string
	Units []float64
	Costs []float64
}

// A Model has, by Costs and then by Units, what a unit costs.
type Model [][]float64

// Fit makes a model that explains the runs best.
func Fit(runs []Run) (Model, error) {
	if len(runs) < len(Units) {
		return nil, errors.New("there are fewer runs than units: they do not tell one from the other")
	}
	m := make(Model, len(Costs))
	for c := range Costs {
		var units [][]float64
		var measured []float64
		for _, r := range runs {
			if !math.IsNaN(r.Costs[c]) {
				units, measured = append(units, r.Units), append(measured, r.Costs[c])
			}
		}
		m[c] = fit(units, measured)
	}
	return m, nil
}

// Predict says what work costs.
func (m Model) Predict(units []float64) []float64 {
	out := make([]float64, len(m))
	for c, coefficients := range m {
		for k, x := range coefficients {
			out[c] += x * units[k]
		}
	}
	return out
}

// Print writes the model as a table in Markdown.
func (m Model) Print(to io.Writer) {
	header(to, append([]string{"unit"}, Costs...))
	for k, unit := range Units {
		line := []string{unit}
		for c := range Costs {
			line = append(line, figure(m[c][k]))
		}
		row(to, line)
	}
}

// Check writes measured and predicted costs of runs, and by how much the model is wrong, as a table in Markdown.
func (m Model) Check(to io.Writer, runs []Run) {
	header(to, append([]string{"measured / predicted (error)"}, Costs...))
	for _, r := range runs {
		line := []string{r.Name}
		for c, p := range m.Predict(r.Units) {
			line = append(line, comparison(r.Costs[c], p))
		}
		row(to, line)
	}
}

// comparison says by how much a prediction is wrong, unless both are next to nothing.
func comparison(measured, predicted float64) string {
	switch {
	case math.IsNaN(measured):
		return "-"
	case measured < 0.1 && predicted < 0.1:
		return figure(measured) + " / " + figure(predicted)
	}
	return fmt.Sprintf("%s / %s (%+.0f %%)", figure(measured), figure(predicted), 100*(predicted/measured-1))
}

// figure has about three digits.
func figure(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func header(to io.Writer, names []string) {
	row(to, names)
	fmt.Fprintln(to, "|"+strings.Repeat("---|", len(names)))
}

func row(to io.Writer, cells []string) { fmt.Fprintln(to, "| "+strings.Join(cells, " | ")+" |") }
