// Package gen makes CloudTrail records and S3 access log lines from a seed, and the alerts that must come of them.
package gen

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Config fixes a data set: the same values give the same bytes.
type Config struct {
	Seed       uint64  `json:"seed"`
	CloudTrail int     `json:"cloudtrail"` // records
	S3Access   int     `json:"s3access"`   // lines
	Partitions int     `json:"partitions"`
	Pool       int     `json:"pool"`       // distinct source addresses
	Buckets    int     `json:"buckets"`    // distinct buckets
	Candidates float64 `json:"candidates"` // share of CloudTrail records that the new-terms rule looks at
	Scanner    float64 `json:"scanner"`    // share of the candidates that come from one address
	HotBucket  float64 `json:"hot_bucket"` // share of the matching lines that are about one bucket
	Inside     float64 `json:"inside"`     // share of the lines from approved networks; another 1 % have no address
	Terms      int     `json:"terms"`      // so many of the CloudTrail records, the first, are candidates with an address of their own
	S3Data     float64 `json:"s3_data"`    // share of other S3 data events
	Services   float64 `json:"services"`   // share of events whose source is a service name
	IPv6       float64 `json:"ipv6"`
	Days       int     `json:"days"`
	Late       int     `json:"late"` // seconds of disorder at most
}

// Default is the mix that is measured unless something else is said.
func Default() Config {
	return Config{Seed: 1, CloudTrail: 2_000_000, S3Access: 1_000_000, Partitions: 8, Pool: 1_000_000,
		Buckets: 500, Candidates: 0.02, Inside: 0.30, S3Data: 0.30, Services: 0.12, IPv6: 0.05, Days: 10, Late: 900}
}

// Record is one generated record. Rule is empty when no rule looks at it.
type Record struct {
	Value     []byte
	Partition int32
	Rule      string
	Key       string // the source address or the bucket
	Time      int64  // of the event, in seconds
	ID        string
}

// ChunkSize is the number of records that are made together.
const ChunkSize = 4096

// Chunks is the number of chunks that n records take.
func Chunks(n int) int { return (n + ChunkSize - 1) / ChunkSize }

var startTime = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).Unix()

// A Generator makes chunks of records. Every chunk has its own random source, so chunks can be made in any order
// and by several goroutines.
type Generator struct {
	Config
	Nonce uint64 // not zero: every candidate gets an address of its own
}

type chunk struct {
	*Generator
	rnd     *rand.Rand
	addrs   *rand.Zipf
	buckets *rand.Zipf
	buf     []byte
}

func (g *Generator) newChunk(stream, n uint64, bytes int) *chunk {
	rnd := rand.New(rand.NewPCG(g.Seed<<8|stream, n))
	return &chunk{Generator: g, rnd: rnd,
		addrs:   rand.NewZipf(rnd, 1.1, 10, uint64(g.Pool-1)),
		buckets: rand.NewZipf(rnd, 1.05, 20, uint64(g.Buckets-1)),
		buf:     make([]byte, 0, bytes)}
}

// CloudTrailChunk makes the n-th chunk of CloudTrail records.
func (g *Generator) CloudTrailChunk(n int) []Record {
	first := n * ChunkSize
	count := min(ChunkSize, g.CloudTrail-first)
	c := g.newChunk(1, uint64(n), count*1800)
	out := make([]Record, count)
	for i := range out {
		c.cloudTrail(&out[i], first+i, c.time(first+i, g.CloudTrail))
	}
	return out
}

// S3AccessChunk makes the n-th chunk of S3 access log lines.
func (g *Generator) S3AccessChunk(n int) []Record {
	first := n * ChunkSize
	count := min(ChunkSize, g.S3Access-first)
	c := g.newChunk(2, uint64(n), count*520)
	out := make([]Record, count)
	for i := range out {
		c.s3Line(&out[i], first+i, c.time(first+i, g.S3Access))
	}
	return out
}

// time advances over the simulated days; three events in ten come late.
func (c *chunk) time(i, n int) int64 {
	t := startTime + int64(c.Late) + int64(i)*int64(c.Days)*86400/int64(n)
	if c.Late > 0 && c.rnd.IntN(10) < 3 {
		t -= c.rnd.Int64N(int64(c.Late) + 1)
	}
	return t
}

// partition keeps all records of one key in one partition, so that their order is fixed at load time.
func (c *chunk) partition(key string) int32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	return int32(mix(h.Sum64()) % uint64(c.Partitions))
}

func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
