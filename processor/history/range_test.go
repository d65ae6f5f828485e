package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/devbroker"
	"firstseen/internal/testkafka"
	"firstseen/processor"
)

var historyNow = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestParsePoint(t *testing.T) {
	for text, want := range map[string]Point{
		"earliest":                    Earliest,
		"latest":                      Latest,
		"now":                         PointAt(historyNow),
		"24h":                         PointAt(historyNow.Add(-24 * time.Hour)),
		"7d":                          PointAt(historyNow.Add(-7 * 24 * time.Hour)),
		"2026-01-30T10:00:00+02:00":   PointAt(time.Date(2026, 1, 30, 8, 0, 0, 0, time.UTC)),
		"a.b-c/0:12, a.b-c/1:0,d/0:7": PointOffsets(Offsets{"a.b-c": {0: 12, 1: 0}, "d": {0: 7}}),
	} {
		got, err := ParsePoint(text, historyNow)
		if err != nil || got.latest != want.latest || !got.at.Equal(want.at) || fmt.Sprint(got.offsets) != fmt.Sprint(want.offsets) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"":               "none of",
		"yesterday":      "none of",
		"-24h":           "none of",
		"2026-01-30":     "none of",
		"a/0":            `"a/0" is not topic/partition:offset`,
		"a/x:1":          `"a/x:1" is not topic/partition:offset`,
		"a/0:-1":         `"a/0:-1" is not topic/partition:offset`,
		"a/-1:1":         `"a/-1:1" is not topic/partition:offset`,
		"/0:1":           `"/0:1" is not topic/partition:offset`,
		"a/0:1,":         `"" is not topic/partition:offset`,
		"a/0:1,a/0:2":    "a/0 is there twice",
		"a/4294967296:1": "is not topic/partition:offset",
	} {
		if p, err := ParsePoint(text, historyNow); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is %v, %v; want an error with %q", text, p, err, says)
		}
	}
}

// historySource is two topics whose records say where and when they were written.
type historySource struct {
	t       *testing.T
	brokers string
	app     string
	cfg     processor.Config
	cl      *kgo.Client
	adm     *kadm.Client
}

func newHistorySource(t *testing.T, brokers string, partitions int32) *historySource {
	t.Helper()
	app := testkafka.App(t)
	reach := []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.MetadataMinAge(100 * time.Millisecond)}
	topics := []string{app + "-cloudtrail", app + "-s3access"}
	s := &historySource{t: t, brokers: brokers, app: app, cfg: processor.Config{App: app, Client: reach, Sources: []processor.Source{{Topic: topics[0]}, {Topic: topics[1]}}}}
	var err error
	if s.cl, err = kgo.NewClient(append(reach, kgo.RecordPartitioner(kgo.ManualPartitioner()))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cl.Close)
	s.adm = kadm.NewClient(s.cl)
	forever := "-1" // brokers keep a week by default
	for _, topic := range topics {
		if _, err := s.adm.CreateTopic(context.Background(), partitions, -1, map[string]*string{"retention.ms": &forever}, topic); err != nil {
			t.Fatal(err)
		}
	}
	s.await("the source topics can be read", func() bool { // brokers know them a moment after the controller does
		ends, err := s.adm.ListEndOffsets(context.Background(), topics...)
		return err == nil && ends.Error() == nil && len(ends[topics[0]]) == int(partitions) && len(ends[topics[1]]) == int(partitions)
	})
	return s
}

// await polls until ok, which asks a broker, is true.
func (s *historySource) await(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// put writes records to a partition of the first source, at so many minutes after historyNow.
func (s *historySource) put(cl *kgo.Client, partition int32, minutes ...int) {
	s.t.Helper()
	for _, n := range minutes {
		s.send(cl, s.cfg.Sources[0].Topic, partition, n, 0)
	}
}

// send writes one record, with so many bytes behind what it says, which no codec makes less.
func (s *historySource) send(cl *kgo.Client, topic string, partition int32, minute, more int) {
	s.t.Helper()
	noise := make([]byte, more)
	_, _ = rand.NewChaCha8([32]byte{byte(minute)}).Read(noise) // it has no errors
	err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Partition: partition, Timestamp: historyNow.Add(time.Duration(minute) * time.Minute),
		Value: append(fmt.Appendf(nil, "%d@%d ", partition, minute), noise...)}).FirstErr()
	if err != nil {
		s.t.Fatal(err)
	}
}

// begin opens a transaction, which the returned function ends. It waits for the markers: brokers write them after their
// answer, and until then readers of what is committed stop before them.
func (s *historySource) begin() (cl *kgo.Client, end func(kgo.TransactionEndTry)) {
	s.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.brokers, ",")...), kgo.TransactionalID(s.app+"-other"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err == nil {
		err = cl.BeginTransaction()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return cl, func(how kgo.TransactionEndTry) {
		s.t.Helper()
		defer cl.Close()
		ctx, topic := context.Background(), s.cfg.Sources[0].Topic
		if err := cl.EndTransaction(ctx, how); err != nil {
			s.t.Fatal(err)
		}
		s.await("the markers are written", func() bool {
			stable, err := s.adm.ListCommittedOffsets(ctx, topic)
			if err != nil {
				s.t.Fatal(err)
			}
			ends, err := s.adm.ListEndOffsets(ctx, topic)
			if err != nil {
				s.t.Fatal(err)
			}
			return reflect.DeepEqual(stable.Offsets(), ends.Offsets())
		})
	}
}

func (s *historySource) try(from, to string) (*Range, error) {
	s.t.Helper()
	of := strings.NewReplacer("%", s.cfg.Sources[0].Topic)
	a, err := ParsePoint(of.Replace(from), historyNow)
	b, err2 := ParsePoint(of.Replace(to), historyNow)
	if err := errors.Join(err, err2); err != nil {
		s.t.Fatal(err)
	}
	return Open(context.Background(), s.cfg, a, b)
}

func (s *historySource) open(from, to string) *Range {
	s.t.Helper()
	r, err := s.try(from, to)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// says is what a record says, without the bytes behind it.
func says(rec *kgo.Record) string {
	text, _, _ := strings.Cut(string(rec.Value), " ")
	return text
}

// values reads a range.
func (s *historySource) values(r *Range) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var values []string
	err := r.Each(ctx, func(rec *kgo.Record) error {
		values = append(values, says(rec))
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if r.Done() != r.Total() {
		s.t.Errorf("%d of %d offsets passed", r.Done(), r.Total())
	}
	return strings.Join(values, " ")
}

func (s *historySource) want(from, to, want string) {
	s.t.Helper()
	if got := s.values(s.open(from, to)); got != want {
		s.t.Errorf("from %s to %s: %s\nwant %s", from, to, got, want)
	}
}

// rangeOfTime reads by times and offsets, with partitions of different length, an empty one, and times that go back.
func rangeOfTime(t *testing.T, brokers string) {
	s := newHistorySource(t, brokers, 3)
	s.put(s.cl, 0, -60, -30, -10)
	s.put(s.cl, 1, -50, -45, -48, -20) // what comes late waits for its turn in its partition
	s.send(s.cl, s.cfg.Sources[1].Topic, 0, -30, 0)
	for _, test := range []struct{ from, to, want string }{
		{"earliest", "latest", "0@-60 1@-50 1@-45 1@-48 0@-30 0@-30 1@-20 0@-10"},
		{"50m", "30m", "1@-50 1@-45 1@-48"},
		{"49m", "now", "1@-45 1@-48 0@-30 0@-30 1@-20 0@-10"},
		{"2026-01-31T11:40:00Z", "10m", "1@-20"},
		{"latest", "latest", ""},
		{"10m", "10m", ""},
		{"%/0:1,%/1:2", "latest", "1@-48 0@-30 1@-20 0@-10"},
		{"earliest", "%/0:1,%/1:1", "0@-60 1@-50"},
		{"%/1:4", "latest", ""},
	} {
		s.want(test.from, test.to, test.want)
	}
	for _, test := range []struct{ from, to, says string }{
		{"10m", "50m", "the range ends at 2026-01-31T11:10:00Z, before it begins at 2026-01-31T11:50:00Z"},
		{"%/0:4", "latest", "/0 has the offsets from 0 up to 3, not 4"},
		{"earliest", "%/7:0", "/7 is no partition of the topics that are read"},
		{"other/0:0", "latest", "other/0 is no partition"},
		{"%/0:2", "%/0:1", "/0: the range ends at offset 1, before it begins at 2"},
	} {
		if _, err := s.try(test.from, test.to); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("from %s to %s: %v, want %q", test.from, test.to, err, test.says)
		}
	}
	s.cfg.Sources = []processor.Source{{Topic: "missing"}}
	if _, err := s.try("earliest", "latest"); !errors.Is(err, processor.ErrNoTopic) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

// rangeOfTransactions reads what is committed, ends at a tail of markers and before a transaction that is open.
func rangeOfTransactions(t *testing.T, brokers string) {
	s := newHistorySource(t, brokers, 2)
	for i, how := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		cl, end := s.begin()
		s.put(cl, int32(i/2), -60+10*i, -55+10*i)
		end(how)
	}
	r := s.open("earliest", "latest")
	if got := s.values(r); got != "0@-60 0@-55 1@-40 1@-35" || r.Total() != 12 {
		t.Errorf("%s in %d offsets", got, r.Total())
	}
	cl, end := s.begin()
	s.put(cl, 0, -20)
	s.put(s.cl, 0, -15)
	s.put(s.cl, 1, -10)
	s.want("%/0:6,%/1:0", "latest", "1@-40 1@-35 1@-10")
	s.want("%/0:6,%/1:6", "%/0:8,%/1:7", "1@-10")
	end(kgo.TryCommit)
	if got := s.values(r); got != "0@-60 0@-55 1@-40 1@-35" {
		t.Errorf("the range did not stay what it was: %s", got)
	}
	s.want("%/0:6,%/1:3", "latest", "0@-20 0@-15 1@-10")
	cl, end = s.begin()
	s.put(cl, 1, -9)
	s.put(s.cl, 1, -8)
	end(kgo.TryAbort) // 1@-9 is at offset 7, and will never come: what does is behind the range
	s.want("%/1:6", "%/1:8", "1@-10")
}

// rangeWarmUp begins earlier than the range and tells apart what is in it.
func rangeWarmUp(t *testing.T, brokers string) {
	s := newHistorySource(t, brokers, 2)
	s.put(s.cl, 0, -60, -50, -40, -10)
	s.put(s.cl, 1, -55, -45, -5)
	for _, test := range []struct{ from, to, back, want string }{
		{"42m", "now", "13m", "(1@-55) (0@-50) (1@-45) 0@-40 0@-10 1@-5"},
		{"%/0:2,%/1:1", "now", "5m", "(0@-50) 1@-45 0@-40 0@-10 1@-5"},
		{"%/1:1", "%/1:2", "1h", "(1@-55) 1@-45"},
		{"earliest", "45m", "1h", "0@-60 1@-55 0@-50"},
		{"42m", "15m", "0s", "0@-40"},
		{"10m", "10m", "5m", ""},
	} {
		r := s.open(test.from, test.to)
		back, err := time.ParseDuration(test.back)
		if err == nil {
			err = r.WarmUp(context.Background(), back)
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := r.Each(context.Background(), func(rec *kgo.Record) error {
			text := says(rec)
			if !r.Contains(rec.Topic, rec.Partition, rec.Offset) {
				text = "(" + text + ")"
			}
			got = append(got, text)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("from %s to %s after %s: %s\nwant %s", test.from, test.to, test.back, got, test.want)
		}
	}
}

// rangeAhead has little memory and partitions that are far apart in time: who is ahead waits, and the order is the same.
func rangeAhead(t *testing.T, brokers string) {
	s := newHistorySource(t, brokers, 3)
	var want []string
	for i := range 120 {
		p := int32(i / 40)
		if i >= 60 {
			p = int32(i % 3)
		}
		s.send(s.cl, s.cfg.Sources[0].Topic, p, i, 50_000)
		want = append(want, fmt.Sprintf("%d@%d", p, i))
	}
	r := s.open("earliest", "latest")
	r.ahead = 100_000
	if got := s.values(r); got != strings.Join(want, " ") {
		t.Errorf("got %s", got)
	}
	enough := errors.New("enough")
	n := 0
	err := r.Each(context.Background(), func(*kgo.Record) error {
		if n++; n == 70 {
			return enough
		}
		return nil
	})
	if err != enough || r.Done() != 70 {
		t.Errorf("ended with %v after %d offsets", err, r.Done())
	}
	if first, ok, err := r.First(context.Background()); !ok || err != nil || !first.Equal(historyNow) {
		t.Errorf("the first record is of %s, %v, %v", first, ok, err)
	}
}

func embedded(t *testing.T) string {
	t.Helper()
	b, err := devbroker.Start(devbroker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b.Addr()
}

func TestRangeOfTime(t *testing.T)         { t.Parallel(); rangeOfTime(t, embedded(t)) }
func TestRangeOfTransactions(t *testing.T) { t.Parallel(); rangeOfTransactions(t, embedded(t)) }
func TestRangeWarmUp(t *testing.T)         { t.Parallel(); rangeWarmUp(t, embedded(t)) }
func TestRangeAhead(t *testing.T)          { t.Parallel(); rangeAhead(t, embedded(t)) }
