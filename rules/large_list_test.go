package rules

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// An allowlist of 100,000 networks loads with its rule, both forms of it checked, in a time that nobody waits for. The
// bound is ten times what it takes on a slow machine.
func TestALargeAllowlistLoads(t *testing.T) {
	var b bytes.Buffer
	for i := range 100_000 {
		if i%2 == 0 {
			fmt.Fprintf(&b, "%d.%d.%d.0/24 expires=20%02d-12-31 owner=team-%d # entry %d\n", 11+i>>16, i>>8&255, i&255, 30+i%60, i%9, i)
		} else {
			fmt.Fprintf(&b, "2001:db8:%x::/48\n", i&0xffff)
		}
	}
	dir := write(t, "list.txt", b.String(), "r.yaml", listRule+"allowlist: {field: remoteip, files: [list.txt]}\nstrict: {severity: high}\n")
	began := time.Now()
	s := mustLoad(t, LoadOptions{Paths: []string{filepath.Join(dir, "r.yaml")}, NoBuiltin: true})
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	} else {
		t.Logf("100,000 networks: loaded in %v", took)
	}
	for source, want := range map[string]string{`"11.0.2.9"`: "", `"203.0.113.7"`: "list", `"2001:db8:1::5"`: "", `"2001:db9::"`: "list"} {
		if got := verdicts(t, s, accessFrom(source, "b")); got != want {
			t.Errorf("%s: got %q, want %q", source, got, want)
		}
	}
	entries := s.Rule("list").Text().Allowlist.Written
	if e := entries[2]; len(entries) != 100_000 || e.Line != 3 || e.File != filepath.Join(dir, "list.txt") || e.Owner != "team-2" {
		t.Errorf("%d entries, the third %+v", len(entries), e)
	}
}
