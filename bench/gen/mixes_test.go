package gen

import (
	"bytes"
	"testing"

	"firstseen/bench/scan"
)

// The first records are candidates, each with an address that no other record has.
func TestTermsOfTheirOwn(t *testing.T) {
	cfg := smallConfig()
	cfg.Terms, cfg.Candidates = 7000, 0.5
	trail, _ := generate(cfg)
	count := map[string]int{}
	for _, r := range trail {
		if r.Rule == NewTerms {
			count[r.Key]++
		}
	}
	for i, r := range trail[:cfg.Terms] {
		if r.Rule != NewTerms || count[r.Key] != 1 {
			t.Fatalf("record %d is for rule %q, and its address %s is in %d candidates", i, r.Rule, r.Key, count[r.Key])
		}
		if !scan.CloudTrail(r.Value, false) || !bytes.Contains(r.Value, []byte(`"sourceIPAddress":"`+r.Key+`"`)) {
			t.Fatalf("not what it is said to be: %s", r.Value)
		}
	}
	if others := len(count) - cfg.Terms; others < 50 || others > cfg.Pool {
		t.Errorf("%d other addresses of a pool of %d", others, cfg.Pool)
	}
}

func TestShareOfLinesThatMatch(t *testing.T) {
	for inside, want := range map[float64]float64{0.99: 0, 0.30: 0.69, 0: 0.99} {
		cfg := smallConfig()
		cfg.Inside = inside
		_, lines := generate(cfg)
		matches := 0
		for _, r := range lines {
			if scan.S3Access(r.Value) != (r.Rule == Allowlist) {
				t.Fatalf("rule %q, but the line is %s", r.Rule, r.Value)
			}
			if r.Rule == Allowlist {
				matches++
			}
		}
		if share := float64(matches) / float64(len(lines)); share < want-0.02 || share > want+0.02 {
			t.Errorf("inside %v: %.3f match, want %.2f", inside, share, want)
		}
	}
}
