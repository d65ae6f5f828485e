package rules

import (
	"path/filepath"
	"strings"
	"testing"
)

// The query, the exception and the allowlist are looked at in this order: what an earlier one leaves out reaches nothing
// of a later one. The mode of the rule is not looked at.
func TestCoverage(t *testing.T) {
	const keys = `query: 'operation: (REST.GET.OBJECT or REST.PUT.OBJECT)'
except: 'bucket: scratch'
allowlist: {field: remoteip, networks: [10.0.0.0/8, 10.1.0.0/16, "2001:db8::/32"]}
`
	record := func(remoteIP, bucket, operation string) string {
		return strings.Replace(accessFrom(remoteIP, bucket), "REST.GET.OBJECT", operation, 1)
	}
	read, write1, head := "REST.GET.OBJECT", "REST.PUT.OBJECT", "REST.HEAD.OBJECT"
	for _, mode := range []string{"", "mode: off\n"} {
		file := filepath.Join(write(t, "r.yaml", listRule+keys+mode), "r.yaml")
		s := mustLoad(t, LoadOptions{Paths: []string{file}, NoBuiltin: true})
		c := NewCoverage(s, s.Rules()[0])
		for _, step := range []struct {
			record      string
			reached, of int
			missed      string
		}{
			{record(`"10.0.0.1"`, "scratch", head), 1, 9, `no test has operation: "REST.GET.OBJECT"
no test has operation: "REST.PUT.OBJECT"
except: no test gets as far as bucket: "scratch"
allowlist: no test has an address outside of it
allowlist: no test has an address in 10.0.0.0/8
allowlist: no test has an address in 10.1.0.0/16
allowlist: no test has an address in 2001:db8::/32`},
			{record(`"10.0.0.1"`, "scratch", read), 3, 9, `no test has operation: "REST.PUT.OBJECT"
except: no test is without bucket: "scratch"
allowlist: no test has an address outside of it
allowlist: no test has an address in 10.0.0.0/8
allowlist: no test has an address in 10.1.0.0/16
allowlist: no test has an address in 2001:db8::/32`},
			{record(`"10.1.0.1"`, "acme", read), 5, 9, `no test has operation: "REST.PUT.OBJECT"
allowlist: no test has an address outside of it
allowlist: no test has an address in 10.0.0.0/8
allowlist: no test has an address in 2001:db8::/32`},
			{record(`"no address"`, "acme", read), 5, 9, `no test has operation: "REST.PUT.OBJECT"
allowlist: no test has an address outside of it
allowlist: no test has an address in 10.0.0.0/8
allowlist: no test has an address in 2001:db8::/32`},
			{record(`null`, "acme", write1), 6, 9, `allowlist: no test has an address outside of it
allowlist: no test has an address in 10.0.0.0/8
allowlist: no test has an address in 2001:db8::/32`},
			{`nonsense`, 6, 9, `allowlist: no test has an address outside of it
allowlist: no test has an address in 10.0.0.0/8
allowlist: no test has an address in 2001:db8::/32`},
			{record(`"10.200.0.1"`, "acme", read), 7, 9, "allowlist: no test has an address outside of it\nallowlist: no test has an address in 2001:db8::/32"},
			{record(`"203.0.113.7"`, "acme", read), 8, 9, "allowlist: no test has an address in 2001:db8::/32"},
			{record(`"2001:db8::1"`, "acme", read), 9, 9, ""},
		} {
			if err := c.Add([]byte(step.record), testTime); err != nil {
				t.Fatal(err)
			}
			reached, of := c.Reached()
			if missed := strings.Join(c.Missed(), "\n"); missed != step.missed || reached != step.reached || of != step.of {
				t.Errorf("%safter %s: %d of %d, want %d of %d, missed\n%s\nwant\n%s", mode, step.record, reached, of, step.reached, step.of, missed, step.missed)
			}
		}
	}
}

// Of a long list a few networks are named.
func TestCoverageOfALongList(t *testing.T) {
	networks := "allowlist: {field: remoteip, networks: [10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24, 10.0.3.0/24, 10.0.4.0/24, 10.0.5.0/24, 10.0.6.0/24, 10.0.7.0/24]}\n"
	file := filepath.Join(write(t, "r.yaml", listRule+networks), "r.yaml")
	s := mustLoad(t, LoadOptions{Paths: []string{file}, NoBuiltin: true})
	missed := NewCoverage(s, s.Rules()[0]).Missed()
	if len(missed) != 7 || missed[1] != "allowlist: no test has an address in 10.0.0.0/24" || missed[6] != "allowlist: nor in 3 more networks" {
		t.Errorf("got %q", missed)
	}
}
