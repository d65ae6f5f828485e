// Package compare measures firstseen against a Kafka Streams program that does the same, against a reader that only
// scans, and against other builds of itself: on one machine, in turn.
package compare

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firstseen/bench/gen"
)

// A size is how much is measured.
type size struct {
	cloudTrail, s3   int
	warmup, duration time.Duration // of the latency measurement
}

var sizes = map[string]size{
	"smoke": {60_000, 30_000, 2 * time.Second, 4 * time.Second}, // are all answers right? The figures say nothing
	"short": {1_000_000, 500_000, 10 * time.Second, 30 * time.Second},
	"long":  {5_000_000, 2_500_000, 10 * time.Second, 60 * time.Second},
}

// The mixes of records.
const (
	mixPlain      = "plain"      // 2 % candidates
	mixCandidates = "candidates" // 70 % candidates
	mixSkewed     = "skewed"     // one address makes 60 % of the candidates, one bucket has 90 % of the matches
)

var allParts = []string{"rate", "memory", "latency", "kill"}

// options is what the flags say.
type options struct {
	size, mix string
	rounds    int
	parts     []string
	root, dir string
	port      int
	results   string
	bin       string
	peer, raw bool
	killPeer  bool
	terms     int
}

func (o *options) flags(fs *flag.FlagSet) {
	fs.StringVar(&o.size, "size", "short", "smoke, short (1.5 million records) or long (7.5 million)")
	fs.StringVar(&o.mix, "mix", mixPlain, "plain (2 % candidates), candidates (70 %), or skewed (one address and one bucket make most of it)")
	fs.IntVar(&o.rounds, "rounds", 3, "rounds")
	o.siteFlags(fs)
}

// siteFlags are those of everything that measures.
func (o *options) siteFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.root, "root", "..", "the repository")
	fs.StringVar(&o.dir, "dir", "", "folder for Kafka, its data and the logs, which is kept, and used again if the records are the same; default: a new one")
	fs.IntVar(&o.port, "port", 19092, "port of that Kafka; the next one is used too")
	fs.StringVar(&o.results, "results", "", "file to append the report of each run to, as a line of JSON")
	fs.StringVar(&o.bin, "bin", "", "this program is measured; default: it is built from the repository")
}

// open opens the site for the data set that was asked for.
func (o *options) open(ctx context.Context) (s *site, cfg gen.Config, err error) {
	if cfg, err = o.config(); err == nil {
		s, err = open(ctx, o.root, o.dir, o.port, o.results)
	}
	return s, cfg, err
}

// config is the data set.
func (o *options) config() (gen.Config, error) {
	s, ok := sizes[o.size]
	if !ok {
		return gen.Config{}, fmt.Errorf("no size %q", o.size)
	}
	cfg := gen.Default()
	cfg.CloudTrail, cfg.S3Access, cfg.Partitions, cfg.Terms = s.cloudTrail+o.terms, s.s3, partitions, o.terms
	switch o.mix {
	case mixPlain:
	case mixCandidates:
		cfg.Candidates = 0.7
	case mixSkewed:
		cfg.Scanner, cfg.HotBucket = 0.6, 0.9
	default:
		return cfg, fmt.Errorf("no mix %q", o.mix)
	}
	return cfg, nil
}

func (o *options) has(part string) bool { return slices.Contains(o.parts, part) }

// Run is the command compare.
func Run(ctx context.Context, args []string) (err error) {
	fs := flag.NewFlagSet("compare", flag.ExitOnError)
	o := &options{}
	o.flags(fs)
	parts := fs.String("parts", strings.Join(allParts, ","), "what to measure: rate, memory (with GOMEMLIMIT=256MiB), latency, kill")
	fs.BoolVar(&o.peer, "peer", true, "measure Kafka Streams")
	fs.BoolVar(&o.raw, "raw", true, "measure the bare scan")
	fs.BoolVar(&o.killPeer, "kill-peer", false, "kill Kafka Streams, too")
	fs.IntVar(&o.terms, "terms", 0, "with -parts kill: so many further candidates, with an address each, come first, so that the state has as many terms at the kill")
	_ = fs.Parse(args) // exits on errors
	o.parts = strings.Split(*parts, ",")
	for _, p := range o.parts {
		if !slices.Contains(allParts, p) {
			return fmt.Errorf("no part %q", p)
		}
	}
	if o.terms != 0 && *parts != "kill" {
		return errors.New("-terms goes with -parts kill: the other figures are for other inputs")
	}
	s, cfg, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	t, err := newTable(ctx, s, o)
	if err != nil {
		return err
	}
	if err := s.load(ctx, cfg); err != nil {
		return err
	}
	err = t.fill(ctx, s)
	if len(t.columns()) > 0 {
		t.print(os.Stdout)
	}
	return errors.Join(err, t.judge())
}

// newTable builds the contenders.
func newTable(ctx context.Context, s *site, o *options) (*table, error) {
	t := &table{options: o}
	bin, err := o.program(ctx, s)
	if err != nil {
		return nil, err
	}
	t.product = &column{contender: product(productName, bin, "")}
	t.limited = &column{contender: product(limitedName, bin, "GOMEMLIMIT=256MiB")}
	t.peer = &column{contender: contender{name: peerName}}
	t.raw = &column{contender: contender{name: rawName}}
	if o.peer {
		jar, err := buildPeer(ctx, s.root)
		if err != nil {
			return nil, err
		}
		t.peer.contender = peer(jar)
	}
	return t, nil
}

// program is the worker that is measured, built if none was named.
func (o *options) program(ctx context.Context, s *site) (bin string, err error) {
	if o.bin != "" {
		return filepath.Abs(o.bin)
	}
	bin = s.path("firstseen")
	return bin, buildProduct(ctx, s.root, bin)
}
