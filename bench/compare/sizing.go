package compare

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"firstseen/bench/capacity"
	"firstseen/bench/gen"
	"firstseen/bench/meter"
)

// A blend is an input that a capacity model is made from.
type blend struct {
	name  string
	lines string // of the configuration
	change
}

// A change makes the data set of a blend: CloudTrail records, S3 lines, and how they differ from the default.
type change func(cfg *gen.Config, records int)

// blends differ as much as they can in what they are made of.
var blends = []blend{
	{"CloudTrail, no candidates", "", func(c *gen.Config, n int) { c.CloudTrail, c.Candidates = n, 0 }},
	{"CloudTrail, no candidates, a tenth", "", func(c *gen.Config, n int) { c.CloudTrail, c.Candidates = n/10, 0 }}, // mostly the start
	{"CloudTrail, 20 % candidates", "", func(c *gen.Config, n int) { c.CloudTrail, c.Candidates = n, 0.2 }},
	{"the same in transactions of 50 ms", "commit: {every: 50ms}", func(c *gen.Config, n int) { c.CloudTrail, c.Candidates = n, 0.2 }},
	{"CloudTrail, 70 % candidates", "", func(c *gen.Config, n int) { c.CloudTrail, c.Candidates = n, 0.7 }},
	{"CloudTrail, 70 % candidates of 1,000 addresses", "", func(c *gen.Config, n int) { c.CloudTrail, c.Candidates, c.Pool = n, 0.7, 1000 }},
	{"S3, nothing matches", "", func(c *gen.Config, n int) { c.S3Access, c.Inside = n, 0.99 }},
	{"S3, 69 % match", "", func(c *gen.Config, n int) { c.S3Access = n }},
	{"S3, 69 % match, all in one day", "", func(c *gen.Config, n int) { c.S3Access, c.Days = n, 1 }}, // a tenth of the windows
}

// config is the data set of the blend.
func (b blend) config(records int) gen.Config {
	cfg := gen.Default()
	cfg.Partitions, cfg.CloudTrail, cfg.S3Access = partitions, 0, 0
	b.change(&cfg, records)
	return cfg
}

// Sizing is the command sizing.
func Sizing(ctx context.Context, args []string) (err error) {
	fs := flag.NewFlagSet("sizing", flag.ExitOnError)
	o := &options{}
	p := &sizing{options: o}
	o.siteFlags(fs)
	fs.IntVar(&o.rounds, "rounds", 2, "runs of each input")
	records := fs.Int("records", 1_500_000, "records of an input that the model is made from")
	fs.DurationVar(&p.steady, "steady", 20*time.Second, "measured time of each fixed rate")
	points := fs.String("points", "short,long", "sizes of compare that it is checked against")
	_ = fs.Parse(args) // exits on errors
	checks := strings.Split(*points, ",")
	for _, name := range checks {
		if _, ok := sizes[name]; !ok {
			return fmt.Errorf("no size %q", name)
		}
	}
	s, err := open(ctx, o.root, o.dir, o.port, o.results)
	if err != nil {
		return err
	}
	defer s.close()
	if p.bin, err = o.program(ctx, s); err != nil {
		return err
	}
	p.site = s
	if err := p.warm(ctx, *records); err != nil {
		return err
	}
	var runs, measured []capacity.Run
	for _, b := range blends {
		if runs, err = p.run(ctx, runs, b.name, b.lines, b.config(*records)); err != nil {
			return err
		}
	}
	if runs, err = p.rate(ctx, runs, 2000); err != nil {
		return err
	}
	for _, rate := range []int{5000, 50_000} {
		if measured, err = p.rate(ctx, measured, rate); err != nil {
			return err
		}
	}
	for _, name := range checks {
		cfg, _ := (&options{size: name, mix: mixPlain}).config() // looked at above
		if measured, err = p.run(ctx, measured, name+", "+mixPlain, "", cfg); err != nil {
			return err
		}
	}
	m, err := capacity.Fit(runs)
	if err != nil {
		return err
	}
	p.print(os.Stdout, m, runs, measured)
	return p.judge()
}

// print writes the tables of docs/sizing.md.
func (p *sizing) print(to io.Writer, m capacity.Model, runs, measured []capacity.Run) {
	fmt.Fprint(to, "\n### What a unit costs\n\n")
	m.Print(to)
	fmt.Fprintf(to, "\nThe inputs, on the brokers: a million CloudTrail records %.0f MB, a million S3 lines %.0f MB.\n"+
		"The changelog of the terms, with all their updates, in the last of the inputs: %.0f bytes a term.\n", p.cloudTrail/1e6, p.s3Access/1e6, p.term)
	fmt.Fprint(to, "\n### Inputs that did not enter the model\n\n")
	m.Check(to, medians(measured))
	fmt.Fprint(to, "\n### Inputs it is made from\n\n")
	m.Check(to, medians(runs))
	fmt.Fprint(to, "\n### Examples\n\n")
	m.Examples(to, []capacity.Load{{Records: 50_000, Lanes: 6, Transactions: p.perLane}, {Records: 1_000_000, Lanes: 16, Transactions: p.perLane}})
}

// sizing is the making of a model.
type sizing struct {
	*options
	*site
	bin                  string
	steady               time.Duration
	perLane              float64 // transactions a second, of a lane that keeps up with the highest rate
	wrong                []string
	cloudTrail, s3Access float64 // bytes of a million records on the broker
	term                 float64 // bytes of the changelog for each term, all updates of it included
}

// warm runs the worker once on everything, and once at a fixed rate; see table.warm.
func (p *sizing) warm(ctx context.Context, records int) error {
	cfg := gen.Default()
	cfg.Partitions, cfg.CloudTrail, cfg.S3Access = partitions, records, records/2
	if err := p.load(ctx, cfg); err != nil {
		return err
	}
	cold := &column{contender: product(productName, p.bin, "")}
	if err := cold.measureRate(ctx, p.site, "warming the broker, not counted"); err != nil {
		return err
	}
	err := cold.measureLatency(ctx, p.site, "warming the broker, not counted, 5,000 records/s", size{warmup: time.Second, duration: p.steady})
	p.wrong = append(p.wrong, cold.wrong()...)
	return err
}

// run measures the worker on a data set.
func (p *sizing) run(ctx context.Context, runs []capacity.Run, name, lines string, cfg gen.Config) ([]capacity.Run, error) {
	if err := p.load(ctx, cfg); err != nil {
		return runs, err
	}
	e, err := gen.ReadExpected(p.path("expected.json"))
	if err != nil {
		return runs, err
	}
	for range p.rounds {
		r, err := p.meter(ctx, product(productName, p.bin, "", lines), name)
		if err != nil {
			return runs, err
		}
		p.wrong = append(p.wrong, (&column{rate: []meter.Report{r.Report}}).wrong()...)
		runs = append(runs, capacity.Run{Name: name, Units: units(e, &r), Costs: costs(&r)})
		say(r.OtherCores, "%s: %.1f CPU-s, broker %.1f CPU-s, %.0f documents, %.0f transactions; %s",
			name, r.CPUS, r.BrokerCPUS, r.Counters["alerts_total"], r.Counters["transaction_end_seconds_count"], answers(r.Report))
		if cfg.CloudTrail > 0 {
			p.cloudTrail = float64(r.topics["cloudtrail"]) / float64(cfg.CloudTrail) * 1e6
		}
		if e.Addresses > 0 {
			p.term = float64(r.topics[".detect.changelog"]) / float64(e.Addresses)
		}
		if cfg.S3Access > 0 {
			p.s3Access = float64(r.topics["s3access"]) / float64(cfg.S3Access) * 1e6
		}
	}
	return runs, nil
}

// rate measures the worker while it keeps up with a rate, where its transactions are as small as its latency wants them:
// CloudTrail records with 2 % candidates, each from a new address.
func (p *sizing) rate(ctx context.Context, runs []capacity.Run, rate int) ([]capacity.Run, error) {
	name := fmt.Sprintf("%d records/s for %s", rate, p.steady)
	for range p.rounds {
		r, err := p.latency(ctx, product(productName, p.bin, ""), name, "-rate", strconv.Itoa(rate), "-warmup", "5s", "-duration", p.steady.String())
		if err != nil {
			return runs, err
		}
		p.wrong = append(p.wrong, (&column{latency: []meter.LatencyReport{r}}).wrong()...)
		runs = append(runs, steadyRun(name, r, p.steady.Seconds()))
		ended := r.Counters["transaction_end_seconds_count"] / p.steady.Seconds()
		p.perLane = ended / float64(defaultLanes())
		say(r.Other, "%s: %.2f cores, broker %.2f cores, %.0f transactions/s, p99 %.0f ms; %d alerts, %d missing, %d wrong",
			name, r.Cores, r.Broker, ended, r.P99, r.Samples, r.Missing, r.Wrong)
	}
	return runs, nil
}

func (p *sizing) judge() error {
	if len(p.wrong) > 0 {
		return errors.New("there are wrong answers: " + strings.Join(p.wrong, "; "))
	}
	return nil
}
