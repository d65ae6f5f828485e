package gen

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"firstseen/bench/scan"
)

func smallConfig() Config {
	cfg := Default()
	cfg.CloudTrail, cfg.S3Access, cfg.Pool = 20_000, 10_000, 300
	return cfg
}

func generate(cfg Config) (trail, lines []Record) {
	g := &Generator{Config: cfg}
	for n := range Chunks(cfg.CloudTrail) {
		trail = append(trail, g.CloudTrailChunk(n)...)
	}
	for n := range Chunks(cfg.S3Access) {
		lines = append(lines, g.S3AccessChunk(n)...)
	}
	return trail, lines
}

func TestOracleByHand(t *testing.T) {
	const day = 86400
	o := NewOracle()
	for _, r := range []Record{
		{Rule: NewTerms, Key: "a", Time: 1 * day, ID: "1"},    // first
		{Rule: NewTerms, Key: "a", Time: 8 * day, ID: "2"},    // exactly seven days: no
		{Rule: NewTerms, Key: "a", Time: 2 * day, ID: "3"},    // late: no, and last seen stays
		{Rule: NewTerms, Key: "a", Time: 15*day + 1, ID: "4"}, // more than seven days
		{Rule: NewTerms, Key: "b", Time: 15 * day, ID: "5"},
		{Rule: "", Key: "b", Time: 60 * day, ID: "6"}, // not a candidate
		{Rule: Allowlist, Key: "x", Time: 1000, ID: "7"},
		{Rule: Allowlist, Key: "x", Time: 4600, ID: "8"}, // still in the window
		{Rule: Allowlist, Key: "x", Time: 10, ID: "9"},   // late
		{Rule: Allowlist, Key: "x", Time: 4601, ID: "10"},
		{Rule: Allowlist, Key: "y", Time: 4601, ID: "11"},
	} {
		o.Add(&r)
	}
	var got []string
	for _, a := range o.Alerts {
		got = append(got, a.EventID)
	}
	if want := "1 4 5 7 10 11"; strings.Join(got, " ") != want {
		t.Errorf("alerts %v, want %s", got, want)
	}
}

// The oracle works on what the generator meant. This reads the bytes again, by
// other means, one partition at a time, and must find the same alerts.
func TestOracleFromBytes(t *testing.T) {
	cfg := smallConfig()
	trail, lines := generate(cfg)
	want := NewOracle()
	for _, recs := range [][]Record{trail, lines} {
		for i := range recs {
			want.Add(&recs[i])
		}
	}
	got := NewOracle()
	for p := range int32(cfg.Partitions) {
		for _, r := range trail {
			if r.Partition == p {
				again := readTrail(t, r.Value)
				got.Add(&again)
			}
		}
		for _, r := range lines {
			if r.Partition == p {
				again := readLine(t, r.Value)
				got.Add(&again)
			}
		}
	}
	if v := Compare(want.Alerts, got.Alerts); v.Missing+v.Wrong+v.Duplicate != 0 || v.Expected < 500 {
		t.Errorf("%+v", v)
	}
	perKey := map[string]int{}
	for _, a := range got.Alerts {
		if a.Rule == NewTerms {
			perKey[a.Key]++
		}
	}
	if slices.Max(slices.Collect(maps.Values(perKey))) < 2 {
		t.Error("no address came back after seven days")
	}
}

func readTrail(t *testing.T, b []byte) Record {
	var e struct {
		EventSource, EventName, ErrorCode, ErrorMessage, SourceIPAddress, EventID string
		EventTime                                                                 time.Time
		UserIdentity                                                              struct{ Type, AccountID string }
	}
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	r := Record{Key: e.SourceIPAddress, Time: e.EventTime.Unix(), ID: e.EventID}
	names := []string{"GetObject", "PutObject", "ListObjects", "DeleteObject", "ListBucket"}
	if e.EventSource == "s3.amazonaws.com" && slices.Contains(names, e.EventName) && e.ErrorCode == "" && e.ErrorMessage == "" &&
		(e.UserIdentity.Type == "AWSAccount" || e.UserIdentity.Type == "Unknown") &&
		(e.UserIdentity.AccountID == "anonymous" || e.UserIdentity.AccountID == "ANONYMOUS_PRINCIPAL") {
		r.Rule = NewTerms
	}
	if scan.CloudTrail(b, true) != (r.Rule != "") || scan.CloudTrail(b, false) != (r.Rule != "") {
		t.Fatalf("scanner disagrees on %s", b)
	}
	return r
}

func readLine(t *testing.T, b []byte) Record {
	f := strings.Fields(string(b))
	when, err := time.Parse("[02/Jan/2006:15:04:05 -0700]", f[2]+" "+f[3])
	if err != nil {
		t.Fatal(err)
	}
	r := Record{Key: f[1], Time: when.Unix(), ID: f[6]}
	if a, err := netip.ParseAddr(f[4]); err == nil && !(a.Is4() && a.As4()[0] == 10) {
		r.Rule = Allowlist
	}
	if scan.S3Access(b) != (r.Rule != "") {
		t.Fatalf("scanner disagrees on %s", b)
	}
	return r
}

func TestGeneratorIsDeterministic(t *testing.T) {
	a, b := &Generator{Config: smallConfig()}, &Generator{Config: smallConfig()}
	b.CloudTrailChunk(0) // the order of the chunks does not matter
	x, y := a.CloudTrailChunk(1), b.CloudTrailChunk(1)
	for i := range x {
		if !bytes.Equal(x[i].Value, y[i].Value) || x[i].Partition != y[i].Partition {
			t.Fatalf("record %d differs", i)
		}
	}
}

func TestGeneratorShape(t *testing.T) {
	trail, lines := generate(smallConfig())
	ids := map[string]bool{}
	home := map[string]int32{}
	var sizes, lineSizes []int
	candidates, services, matches := 0, 0, 0
	for _, r := range trail {
		sizes = append(sizes, len(r.Value))
		if bytes.Contains(r.Value, []byte(`"type":"AWSService"`)) {
			services++
		}
		if r.Rule != "" {
			candidates++
		}
		ids[r.ID] = true
	}
	for _, r := range lines {
		lineSizes = append(lineSizes, len(r.Value))
		if r.Rule != "" {
			matches++
		}
		ids[r.ID] = true
	}
	for _, r := range append(trail, lines...) {
		if p, ok := home[r.Key]; r.Rule != "" && ok && p != r.Partition {
			t.Fatalf("%s is in partitions %d and %d", r.Key, p, r.Partition)
		}
		if r.Rule != "" {
			home[r.Key] = r.Partition
		}
	}
	slices.Sort(sizes)
	slices.Sort(lineSizes)
	n := len(sizes)
	t.Logf("CloudTrail p50 %d p99 %d, S3 p50 %d; candidates %d, services %d of %d; matches %d of %d",
		sizes[n/2], sizes[n*99/100], lineSizes[len(lineSizes)/2], candidates, services, n, matches, len(lines))
	within := func(what string, got, low, high int) {
		if got < low || got > high {
			t.Errorf("%s: %d, want %d to %d", what, got, low, high)
		}
	}
	within("p50 of CloudTrail", sizes[n/2], 1550, 1750)
	within("p99 of CloudTrail", sizes[n*99/100], 2300, 2700)
	within("p50 of S3", lineSizes[len(lineSizes)/2], 400, 500)
	within("candidates per 1000", candidates*1000/n, 17, 23)
	within("services per 1000", services*1000/n, 105, 135)
	within("matches per 1000", matches*1000/len(lines), 660, 720)
	within("ids", len(ids), len(trail)+len(lines), len(trail)+len(lines))
}

// One scanner and one hot bucket take the share that was asked for, and the rest of the data set is as varied as ever.
func TestGeneratorSkew(t *testing.T) {
	cfg := smallConfig()
	cfg.Candidates, cfg.Scanner, cfg.HotBucket = 0.2, 0.6, 0.9
	trail, lines := generate(cfg)
	for what, recs := range map[string][]Record{"scanner": trail, "hot bucket": lines} {
		perKey, all := map[string]int{}, 0
		for _, r := range recs {
			if r.Rule != "" {
				perKey[r.Key]++
				all++
			}
		}
		share := float64(slices.Max(slices.Collect(maps.Values(perKey)))) / float64(all)
		want := map[string]float64{"scanner": 0.6, "hot bucket": 0.9}[what]
		if share < want-0.03 || share > want+0.06 || len(perKey) < 100 {
			t.Errorf("%s: %.2f of %d records, %d keys, want %.2f", what, share, all, len(perKey), want)
		}
	}
}
