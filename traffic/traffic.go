// Package traffic makes CloudTrail records and S3 access-log lines that look like those of a real account, for `gen`,
// `demo` and tests. The same options give the same bytes. Every record says which rule it matches and for what, so that
// Model can tell the alerts that must come of a sequence without reading a byte of it.
package traffic

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Kind is the kind of log that a record is of, named as in the configuration of sources.
type Kind string

// The kinds.
const (
	CloudTrail Kind = "cloudtrail" // one JSON object
	S3Access   Kind = "s3access"   // one line, without its end
)

// The built-in rules, in their default form, that Record.Rule names.
const (
	NewTermsRule  = "aws-s3-unauthenticated-bucket-access-by-rare-source"
	AllowlistRule = "AWS.S3.ServerAccess.IPWhitelist"
)

// Record is one record of a log.
type Record struct {
	Kind    Kind
	Value   []byte
	Time    time.Time // event time, whole seconds
	EventID string    // the record's own id: eventID, or requestid:operation:key
	Route   string    // source address or bucket: records of one route belong in one partition, so that their order is fixed
	Rule    string    // the rule that matches; empty: none
	Key     string    // what the rule decides by: the source address or the bucket
}

// Partition chooses a partition of n for the record's route.
func (r *Record) Partition(n int) int32 {
	h := fnv.New64a()
	h.Write([]byte(r.Route))
	return int32(mix(h.Sum64()) % uint64(n))
}

// Options describe the traffic. Shares are from 0 to 1.
type Options struct {
	Seed       uint64
	Start      time.Time     // event time of the first record
	Rate       float64       // records a second of event time
	Trail      float64       // share of CloudTrail records, the others are access-log lines
	Anonymous  float64       // share of the CloudTrail records that are anonymous access to a bucket, with success
	Outside    float64       // share of the lines from addresses outside 10.0.0.0/8
	Addresses  int           // how many there are outside; a few are busy, most are rare
	Buckets    int           // likewise
	Late       time.Duration // three records in ten are late, this much at most
	Duplicates float64       // share of records that come twice, as CloudTrail's do at times
}

// Defaults are the mix of a busy account over some days. The start lies in the past for every clock, since a time that
// is later than the record's Kafka timestamp would not be believed.
func Defaults() Options {
	return Options{
		Seed: 1, Start: time.Date(2025, 1, 6, 0, 0, 0, 0, time.UTC), Rate: 1, Trail: 0.67, Anonymous: 0.02, Outside: 0.3,
		Addresses: 10_000, Buckets: 200, Late: 15 * time.Minute, Duplicates: 0.002,
	}
}

func (o Options) check() error {
	for name, share := range map[string]float64{"trail": o.Trail, "anonymous": o.Anonymous, "outside": o.Outside, "duplicates": o.Duplicates} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("traffic: the share %s must be 0 to 1, is %v", name, share)
		}
	}
	switch {
	case !(o.Rate > 0):
		return errors.New("traffic: the rate must be above 0")
	case o.Addresses < 1 || o.Buckets < 1:
		return errors.New("traffic: there must be an address and a bucket")
	case o.Late < 0:
		return errors.New("traffic: lateness cannot be negative")
	}
	return nil
}

// Generator makes an endless sequence of records.
type Generator struct {
	o         Options
	n         uint64 // records made by Next, duplicates not counted
	ids       uint64 // given out
	rnd       *rand.Rand
	addresses *rand.Zipf
	buckets   *rand.Zipf
	buf       text
	again     *Record // comes next, a second time
}

// New returns a generator. The error says which option cannot be.
func New(o Options) (*Generator, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Start = o.Start.UTC()
	rnd := rand.New(rand.NewPCG(o.Seed, 0x7365656e))
	return &Generator{
		o: o, rnd: rnd, buf: text{rnd: rnd},
		addresses: rand.NewZipf(rnd, 1.1, 10, uint64(o.Addresses-1)),
		buckets:   rand.NewZipf(rnd, 1.05, 20, uint64(o.Buckets-1)),
	}, nil
}

// Next makes the next record. It owns its bytes.
func (g *Generator) Next() Record {
	if r := g.again; r != nil {
		g.again = nil
		return *r
	}
	r := g.next()
	if g.rnd.Float64() < g.o.Duplicates {
		g.again = &r
	}
	return r
}

func (g *Generator) next() Record {
	at := g.o.Start.Add(time.Duration(float64(g.n) / g.o.Rate * float64(time.Second))).Truncate(time.Second)
	if late := int64(g.o.Late / time.Second); late > 0 && g.rnd.IntN(10) < 3 {
		at = at.Add(-time.Duration(g.rnd.Int64N(late+1)) * time.Second)
	}
	g.n++
	if g.rnd.Float64() < g.o.Trail {
		return g.trail(at)
	}
	return g.line(at)
}

func (g *Generator) bucket() string { return bucketName(g.buckets.Uint64()) }

func (g *Generator) outside() string { return outside(g.o.Seed, g.addresses.Uint64()) }

// Jump has the records to come happen later by d.
func (g *Generator) Jump(d time.Duration) { g.o.Start = g.o.Start.Add(d) }
