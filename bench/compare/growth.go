package compare

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"firstseen/bench/capacity"
	"firstseen/bench/meter"
)

// A setting is a configuration whose cost is compared with that of the default.
type setting struct {
	lines         string // of the configuration
	axis          string // settings with the same one are to cost the same
	at            int    // on the axis
	setting, base column // base is the default, run just before or after
}

func settings() (list []*setting) {
	for _, n := range []int{8, 64, 256} {
		list = append(list, &setting{lines: fmt.Sprintf("partitions: %d", n), axis: "partitions", at: n})
	}
	for _, n := range []int{1, 2, 4, 8} {
		list = append(list, &setting{lines: fmt.Sprintf("lanes: %d", n), axis: "lanes", at: n})
	}
	return list
}

// Growth is the command growth.
func Growth(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("growth", flag.ExitOnError)
	o := &options{}
	o.flags(fs)
	_ = fs.Parse(args) // exits on errors
	s, cfg, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	bin, err := o.program(ctx, s)
	if err != nil {
		return err
	}
	if err := s.load(ctx, cfg); err != nil {
		return err
	}
	cold := &column{contender: product(productName, bin, "")}
	if o.size != "smoke" { // see table.warm
		if err := cold.measureRate(ctx, s, "warming the broker, not counted"); err != nil {
			return err
		}
	}
	wrong := cold.wrong()
	list := settings()
	for _, g := range list {
		g.base.contender, g.setting.contender = product("default", bin, ""), product(g.lines, bin, "", g.lines)
	}
	for round := range o.rounds {
		for _, g := range rotated(list, round*len(list)/max(o.rounds, 1)) {
			for _, c := range rotated([]*column{&g.base, &g.setting}, round) {
				if err := c.measureRate(ctx, s, fmt.Sprintf("round %d, %s", round+1, c.name)); err != nil {
					return err
				}
			}
		}
	}
	printGrowth(os.Stdout, list, o.size)
	for _, g := range list {
		wrong = append(append(wrong, g.base.wrong()...), g.setting.wrong()...)
	}
	if len(wrong) > 0 {
		return errors.New("there are wrong answers: " + strings.Join(wrong, "; "))
	}
	return nil
}

func brokerPerMillion(r meter.Report) float64 { return r.BrokerCPUS / float64(r.Records) * 1e6 }

// perDefault is what a setting costs, in parts of the default beside it.
func (g *setting) perDefault(figure func(meter.Report) float64) (f figures, marked bool) {
	a, marked := metered(g.setting.rate, figure)
	b, too := metered(g.base.rate, figure)
	return a.per(b), marked || too
}

// printGrowth writes the table: per setting what it costs, of the default beside it, and that of the first of its axis.
func printGrowth(to io.Writer, list []*setting, size string) {
	fmt.Fprintf(to, "\nmedian (smallest..largest); * other work took more than %.1f cores during one of the runs\n\n", disturbed)
	w := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\tCPU-s per million\tof the default\tof the smallest\tbroker's CPU-s per million\tof the default\tpeak RSS, MB\trecords/s")
	first := map[string]float64{}
	widest := map[string]float64{}
	for _, g := range list {
		cpu, marked := metered(g.setting.rate, cpuPerMillion)
		of, markedOf := g.perDefault(cpuPerMillion)
		if first[g.axis] == 0 {
			first[g.axis] = of.median()
		}
		grown := of.median() / first[g.axis]
		widest[g.axis] = max(widest[g.axis], grown)
		broker, markedBroker := metered(g.setting.rate, brokerPerMillion)
		brokerOf, _ := g.perDefault(brokerPerMillion)
		rss, _ := metered(g.setting.rate, peakRSS)
		rate, markedRate := metered(g.setting.rate, recordsPerS)
		fmt.Fprintf(w, "%s\t%s\t%s\t%.2f\t%s\t%s\t%s\t%s\n", g.lines, cell(cpu, "%.2f", marked), cell(of, "%.2f", markedOf), grown,
			cell(broker, "%.2f", markedBroker), cell(brokerOf, "%.2f", markedBroker), cell(rss, "%.0f", false), cell(rate, "%.0f", markedRate))
	}
	_ = w.Flush() // as the writer of each line
	for _, axis := range []string{"partitions", "lanes"} {
		verdict := "met"
		switch {
		case size == "smoke":
			verdict = "(meant for longer runs)"
		case widest[axis] > 1.15:
			verdict = "MISSED"
		}
		fmt.Fprintf(to, "\nCPU per record by %s: at most %.2f of the smallest; at most 1.15: %s", axis, widest[axis], verdict)
	}
	fmt.Fprint(to, "\n\nThe model of memory:\n\n")
	memory(list).Print(to)
}

// memory explains the peak resident sets by partitions and lanes. What the default has is 16 and what the machine gives it,
// so the runs of the default are left out.
func memory(list []*setting) capacity.Memory {
	var points []capacity.MemoryPoint
	for _, g := range list {
		rss, _ := metered(g.setting.rate, peakRSS)
		for _, mb := range rss {
			p := capacity.MemoryPoint{Partitions: defaultPartitions, Lanes: defaultLanes(), MB: mb}
			if g.axis == "partitions" {
				p.Partitions = g.at
			} else {
				p.Lanes = 3 * g.at
			}
			points = append(points, p)
		}
	}
	return capacity.FitMemory(points)
}

const defaultPartitions = 16

// defaultLanes is how many lanes the worker has if nothing is said: one each for detect and group, and for ingest half the
// processors, at most four.
func defaultLanes() int { return 2 + min(max(runtime.GOMAXPROCS(0)/2, 1), 4) }
