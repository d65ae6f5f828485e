package traffic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func records(t *testing.T, o Options, n int) []Record {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]Record, n)
	for i := range list {
		list[i] = g.Next()
	}
	return list
}

func TestSameSeedSameBytes(t *testing.T) {
	o := Defaults()
	a, b := records(t, o, 2000), records(t, o, 2000)
	o.Seed++
	c := records(t, o, 2000)
	same := 0
	for i := range a {
		if !bytes.Equal(a[i].Value, b[i].Value) || a[i].EventID != b[i].EventID || a[i].Time != b[i].Time {
			t.Fatalf("record %d differs:\n%s\n%s", i, a[i].Value, b[i].Value)
		}
		if bytes.Equal(a[i].Value, c[i].Value) {
			same++
		}
	}
	if same > 0 {
		t.Errorf("%d records are the same with another seed", same)
	}
}

// What a record says of itself is what its bytes say to a reader that knows nothing of the generator.
func TestRecordsSayWhatTheyAre(t *testing.T) {
	seen := make(map[string]int)
	for i, r := range records(t, Defaults(), 20_000) {
		id, at, match, key := parse(t, r)
		if id != r.EventID || !at.Equal(r.Time) {
			t.Fatalf("record %d is %s at %s, says %s at %s:\n%s", i, id, at, r.EventID, r.Time, r.Value)
		}
		if (r.Rule != "") != match || match && key != r.Key {
			t.Fatalf("record %d matches: %v for %q, says %q for %q:\n%s", i, match, key, r.Rule, r.Key, r.Value)
		}
		if r.Rule != "" && r.Route != r.Key {
			t.Fatalf("record %d is routed by %q and decided by %q", i, r.Route, r.Key)
		}
		seen[string(r.Kind)+" "+r.Rule]++
	}
	if len(seen) != 4 {
		t.Errorf("kinds and rules: %v", seen)
	}
}

// parse reads a record with means of its own.
func parse(t *testing.T, r Record) (id string, at time.Time, match bool, key string) {
	t.Helper()
	if r.Kind == S3Access {
		f := strings.Fields(string(r.Value))
		at, err := time.Parse("[02/Jan/2006:15:04:05 -0700]", f[2]+" "+f[3])
		if err != nil {
			t.Fatal(err)
		}
		id = f[6] + ":" + f[7] + ":" + strings.TrimPrefix(f[8], "-")
		address, err := netip.ParseAddr(f[4])
		return id, at, err == nil && !netip.MustParsePrefix("10.0.0.0/8").Contains(address), f[1]
	}
	var c struct {
		UserIdentity                                             struct{ Type, AccountID, InvokedBy string }
		EventTime                                                time.Time
		EventSource, EventName, SourceIPAddress, EventID         string
		ErrorCode, ErrorMessage                                  *string
		RequestParameters, AdditionalEventData, ResponseElements map[string]any
	}
	if err := json.Unmarshal(r.Value, &c); err != nil {
		t.Fatalf("%v:\n%s", err, r.Value)
	}
	match = c.EventSource == "s3.amazonaws.com" && slices.Contains([]string{"GetObject", "PutObject", "ListObjects", "DeleteObject", "ListBucket"}, c.EventName) &&
		c.ErrorCode == nil && c.ErrorMessage == nil && (c.UserIdentity.Type == "AWSAccount" || c.UserIdentity.Type == "Unknown") &&
		(c.UserIdentity.AccountID == "anonymous" || c.UserIdentity.AccountID == "ANONYMOUS_PRINCIPAL")
	return c.EventID, c.EventTime, match, c.SourceIPAddress
}

func TestMixIsAsOrdered(t *testing.T) {
	o := Defaults()
	const n = 30_000
	var trail, anonymous, outside, late, services, v6 int
	var size []int
	ids := make(map[string][]byte)
	twice := 0
	last := o.Start
	for _, r := range records(t, o, n) {
		if v, ok := ids[r.EventID]; ok {
			if !bytes.Equal(v, r.Value) {
				t.Fatalf("two records have the id %s", r.EventID)
			}
			twice++
		}
		ids[r.EventID] = r.Value
		if r.Kind == CloudTrail {
			trail++
			size = append(size, len(r.Value))
			if strings.HasSuffix(r.Route, ".com") || r.Route == "AWS Internal" {
				services++
			}
		}
		switch r.Rule {
		case NewTermsRule:
			anonymous++
			if strings.Contains(r.Key, ":") {
				v6++
			}
		case AllowlistRule:
			outside++
		}
		if r.Time.Before(last) {
			late++
			if last.Sub(r.Time) > o.Late {
				t.Fatalf("a record is %v late", last.Sub(r.Time))
			}
		} else {
			last = r.Time
		}
	}
	about := func(name string, got, of int, want float64) {
		t.Helper()
		if share := float64(got) / float64(of); share < want*0.8 || share > want*1.2 {
			t.Errorf("%s: %d of %d, want a share of about %.3f", name, got, of, want)
		}
	}
	about("CloudTrail", trail, n, o.Trail)
	about("anonymous", anonymous, trail, o.Anonymous)
	about("outside", outside, n-trail, o.Outside)
	about("twice", twice, n, o.Duplicates)
	about("service names", services, trail, 0.12)
	about("late", late, n, 0.3)
	if v6 == 0 {
		t.Error("no IPv6 address")
	}
	slices.Sort(size)
	if p50 := size[len(size)/2]; p50 < 1200 || p50 > 1900 {
		t.Errorf("half of the CloudTrail records are below %d bytes, real ones below 1600", p50)
	}
	if span := last.Sub(o.Start); span < n*9/10*time.Second || span > n*time.Second {
		t.Errorf("%d records at one a second span %v", n, span)
	}
}

func TestAddressesAreDistinct(t *testing.T) {
	seen := make(map[string]uint64)
	for i := range uint64(200_000) {
		a := outside(1, i)
		if j, ok := seen[a]; ok {
			t.Fatalf("addresses %d and %d are both %s", j, i, a)
		}
		seen[a] = i
		if ip := netip.MustParseAddr(a); ip.String() != a || netip.MustParsePrefix("10.0.0.0/8").Contains(ip) || ip.IsPrivate() || !ip.IsGlobalUnicast() {
			t.Fatalf("address %d is %s", i, a)
		}
	}
}

func TestRouteDecidesThePartition(t *testing.T) {
	used := make(map[int32]bool)
	of := make(map[string]int32)
	for _, r := range records(t, Defaults(), 5000) {
		p := r.Partition(8)
		if p < 0 || p > 7 {
			t.Fatalf("partition %d of 8", p)
		}
		if q, ok := of[r.Route]; ok && q != p {
			t.Fatalf("route %q in partitions %d and %d", r.Route, p, q)
		}
		of[r.Route], used[p] = p, true
	}
	if len(used) != 8 {
		t.Errorf("used %d of 8 partitions", len(used))
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"share": func(o *Options) { o.Anonymous = 1.1 }, "rate": func(o *Options) { o.Rate = 0 }, "address": func(o *Options) { o.Addresses = 0 },
		"lateness": func(o *Options) { o.Late = -1 },
	} {
		o := Defaults()
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := Defaults()
	o.Addresses, o.Buckets, o.Late, o.Duplicates = 1, 1, 0, 1
	list := records(t, o, 10)
	if !bytes.Equal(list[0].Value, list[1].Value) || bytes.Equal(list[1].Value, list[2].Value) {
		t.Error("with a share of 1 every record comes exactly twice")
	}
}

// The model, read as a table: arrival order, minutes after the start, and which records make an alert.
func TestModel(t *testing.T) {
	const day = 24 * 60
	for _, c := range []struct {
		name    string
		rule    string
		minutes []int
		alerts  []int // positions
		counts  []int
	}{
		{"first time", NewTermsRule, []int{0, 1, 2}, []int{0}, []int{1}},
		{"exactly seven days of silence are not enough", NewTermsRule, []int{0, 7 * day}, []int{0}, []int{1}},
		{"a minute more is", NewTermsRule, []int{0, 7*day + 1, 7*day + 2}, []int{0, 1}, []int{1, 1}},
		{"the window slides", NewTermsRule, []int{0, 6 * day, 12 * day, 20 * day}, []int{0, 3}, []int{1, 1}},
		{"a late event does not lower last seen", NewTermsRule, []int{5 * day, 0, 11 * day}, []int{0}, []int{1}},
		{"an hour joins", AllowlistRule, []int{0, 30, 60}, []int{0}, []int{3}},
		{"a minute more opens the next window, which is not extended", AllowlistRule, []int{0, 60, 61, 121, 122}, []int{0, 2, 4}, []int{2, 2, 1}},
		{"a late match joins the current window", AllowlistRule, []int{0, 61, 5}, []int{0, 1}, []int{1, 2}},
	} {
		m := NewModel()
		for i, min := range c.minutes {
			m.Add(&Record{Rule: c.rule, Key: "k", EventID: fmt.Sprint(i), Time: time.Unix(int64(min)*60, 0)})
		}
		var alerts, counts []int
		for _, a := range m.Alerts {
			alerts, counts = append(alerts, int(a.EventID[0]-'0')), append(counts, a.Count)
		}
		if !slices.Equal(alerts, c.alerts) || !slices.Equal(counts, c.counts) {
			t.Errorf("%s: alerts by %v with counts %v, want %v and %v", c.name, alerts, counts, c.alerts, c.counts)
		}
	}
}

func TestModelOfGeneratedTraffic(t *testing.T) {
	o := Defaults()
	o.Rate = 0.02 // 20,000 records are 12 days
	m := NewModel()
	list := records(t, o, 20_000)
	matches := 0
	for i := range list {
		m.Add(&list[i])
		if list[i].Rule != "" {
			matches++
		}
	}
	kinds, again, total := make(map[string]int), 0, 0
	seen := make(map[string]bool)
	for _, a := range m.Alerts {
		kinds[a.Rule]++
		if a.Rule == NewTermsRule && seen[a.Key] {
			again++
		}
		seen[a.Key] = true
		if a.Rule == AllowlistRule {
			total += a.Count
		}
	}
	for _, term := range m.Terms {
		total += term.Count
	}
	if kinds[NewTermsRule] < 50 || kinds[AllowlistRule] < 50 || again == 0 {
		t.Errorf("alerts %v, %d of an address that had been silent: too few to test with", kinds, again)
	}
	if total != matches {
		t.Errorf("terms and windows count %d matches, there are %d", total, matches)
	}
}

func TestStory(t *testing.T) {
	start := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	s, err := NewStory(1, start, 30*time.Second, 20)
	if err != nil {
		t.Fatal(err)
	}
	type alert struct{ rule, key string }
	var got []alert
	for _, a := range s.Alerts {
		got = append(got, alert{a.Rule, a.Key})
	}
	if want := []alert{{NewTermsRule, Scanner}, {NewTermsRule, Reader}, {AllowlistRule, OpenBucket}}; !slices.Equal(got, want) {
		t.Errorf("alerts %v, want %v", got, want)
	}
	if n := s.Alerts[2].Count; n != 8 {
		t.Errorf("the window of the bucket has %d matches, want 8", n)
	}
	for i, r := range s.Records {
		if id, at, match, key := parse(t, r); id != r.EventID || !at.Equal(r.Time) || match != (r.Rule != "") || match && key != r.Key {
			t.Errorf("record %d is not what it says: %s", i, r.Value)
		}
		if r.Rule != "" && r.Time.Before(start.Add(10*time.Second)) {
			t.Errorf("record %d matches in the quiet part: %s", i, r.Value)
		}
		if i > 0 && r.Time.Before(s.Records[i-1].Time) {
			t.Errorf("record %d is not in order", i)
		}
	}
	if len(s.Records) < 600 || s.Records[len(s.Records)-1].Time.Sub(start) > 30*time.Second || len(s.Chapters) != 4 {
		t.Errorf("%d records, %d chapters, the last record at %v", len(s.Records), len(s.Chapters), s.Records[len(s.Records)-1].Time)
	}
}

func BenchmarkNext(b *testing.B) {
	g, err := New(Defaults())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r := g.Next()
		b.SetBytes(int64(len(r.Value)))
	}
}
