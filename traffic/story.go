package traffic

import (
	"slices"
	"time"
)

// The persons of the story. The addresses are of the ranges that are kept for documentation.
const (
	OpenBucket = "acme-press-kit"
	Scanner    = "203.0.113.77"
	Reader     = "198.51.100.23"
)

// Story is an attack within quiet traffic, and the alerts that must come of it.
type Story struct {
	Records  []Record  // by event time
	Chapters []Chapter // what happens, by time
	Alerts   []*Alert  // expected
}

// Chapter is a sentence about what begins at a time.
type Chapter struct {
	Time time.Time
	Text string
}

// NewStory tells the story from start on over the given length, at the given rate of quiet records a second: signed-in
// callers, addresses on the allowlist, refused anonymous requests. A third in, a scanner tries bucket names without
// credentials and finds one open: it lists it and reads objects. Two thirds in, an address outside the allowlist reads
// the bucket, and the scanner comes back, which is no news.
func NewStory(seed uint64, start time.Time, length time.Duration, rate float64) (*Story, error) {
	start = start.UTC().Truncate(time.Second)
	o := Defaults()
	o.Seed, o.Start, o.Rate, o.Anonymous, o.Outside, o.Late, o.Duplicates = seed, start, rate, 0, 0, 0, 0
	g, err := New(o)
	if err != nil {
		return nil, err
	}
	s := &Story{}
	for i := range int(length.Seconds() * rate) {
		at := start.Add(time.Duration(float64(i) / rate * float64(time.Second))).Truncate(time.Second)
		if g.rnd.Float64() < o.Trail {
			s.Records = append(s.Records, g.trail(at))
		} else {
			s.Records = append(s.Records, g.line(at))
		}
	}
	third := (length / 3).Truncate(time.Second)
	s.chapter(start, "quiet: signed-in callers, and access from 10.0.0.0/8, the allowlist")
	s.scan(g, start.Add(third))
	s.read(g, start.Add(2*third))
	slices.SortStableFunc(s.Records, func(a, b Record) int { return a.Time.Compare(b.Time) })
	m := NewModel()
	for i := range s.Records {
		m.Add(&s.Records[i])
	}
	s.Alerts = m.Alerts
	return s, nil
}

func (s *Story) chapter(at time.Time, text string) {
	s.Chapters = append(s.Chapters, Chapter{at, text})
}

func (s *Story) scan(g *Generator, at time.Time) {
	s.chapter(at, Scanner+" tries bucket names without credentials and finds "+OpenBucket+" open")
	for _, closed := range []string{"acme-backups", "acme-prod", "acme-internal"} {
		s.Records = append(s.Records, g.write(call{at: at, source: "s3.amazonaws.com", name: "ListObjects", address: Scanner, identity: "AWSAccount", account: "anonymous",
			failure: "AccessDenied", bucket: closed, region: "us-east-1", agent: "Go-http-client/1.1"}))
	}
	s.Records = append(s.Records, g.open(at, "ListObjects", Scanner))
	for i := range 5 {
		s.Records = append(s.Records, g.open(at.Add(time.Duration(i/2)*time.Second), "GetObject", Scanner))
	}
}

func (s *Story) read(g *Generator, at time.Time) {
	s.chapter(at, Reader+", outside the allowlist, reads "+OpenBucket)
	for i := range 8 {
		then := at.Add(time.Duration(i/4) * time.Second)
		s.Records = append(s.Records, g.open(then, "GetObject", Reader), g.writeLine(request{at: then, bucket: OpenBucket, address: Reader, requester: "-",
			operation: "REST.GET.OBJECT", key: g.key(), status: "200", failure: "-", agent: "python-requests/2.32.3", matches: true}))
	}
	back := at.Add(3 * time.Second)
	s.chapter(back, Scanner+" comes back: known by now, so no second alert")
	s.Records = append(s.Records, g.open(back, "GetObject", Scanner))
}

// open is an anonymous request to the open bucket, with success.
func (g *Generator) open(at time.Time, name, address string) Record {
	return g.write(call{at: at, source: "s3.amazonaws.com", name: name, address: address, identity: "AWSAccount", account: "anonymous",
		bucket: OpenBucket, key: g.key(), region: "us-east-1", agent: "python-requests/2.32.3", matches: true})
}
