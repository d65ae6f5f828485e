package schemas

import (
	"fmt"
	"strings"
	"testing"
)

// The network of a source is the /24 or /48 around its address, in both datasets; what is no address has none.
func TestSourceNetwork(t *testing.T) {
	for source, want := range map[string][2]string{ // by default, strict
		"203.0.113.7":         {"203.0.113.0/24", "203.0.113.0/24"},
		"203.0.113.255":       {"203.0.113.0/24", "203.0.113.0/24"},
		"0.0.0.1":             {"0.0.0.0/24", "0.0.0.0/24"},
		"2001:DB8:1:2::3":     {"2001:db8:1::/48", "2001:db8:1::/48"},
		"2001:db8::":          {"2001:db8::/48", "2001:db8::/48"},
		"fe80::1%eth0":        {"fe80::/48", "fe80::/48"},
		"::ffff:203.0.113.7":  {"203.0.113.0/24", "::/48"},
		"AWS Internal":        {"", ""},
		"203.0.113.0/24":      {"", ""}, // a network is no address
		"s3.amazonaws.com":    {"", ""},
		"81.2.69.142, 10.0.0": {"", ""},
	} {
		for _, record := range []string{
			fmt.Sprintf(`{"eventVersion":"1.10","eventName":"GetObject","eventSource":"s3.amazonaws.com","sourceIPAddress":%q}`, source),
			fmt.Sprintf(`{"remoteip":%q,"bucket":"b"}`, source),
		} {
			for i, strict := range []bool{false, true} {
				got := strings.Join(fieldsOf(t, Config{Strict: strict}, record, "source.network"), " ")
				if got = strings.TrimPrefix(got, "source.network="); got != want[i] {
					t.Errorf("%s, strict=%v: got %q, want %q", record, strict, got, want[i])
				}
			}
		}
	}
	line := `o b [06/Feb/2026:00:00:38 +0000] 198.51.100.9 - R REST.GET.OBJECT k`
	if got := fieldsOf(t, Config{}, line, "source.*"); len(got) != 1 || got[0] != "source.*=198.51.100.9|198.51.100.9|198.51.100.0/24" {
		t.Errorf("got %q", got)
	}
}

// A field that no rule names is not made.
func TestSourceNetworkIsMadeOnDemand(t *testing.T) {
	NewDecoder(Config{}).Decode(Message{Value: []byte(`{"remoteip":"203.0.113.7","bucket":"b"}`), Timestamp: now}, eventFunc(func(e *Event) {
		if v := e.Values(Slot(fSourceNetwork)); len(v) > 0 {
			t.Errorf("got %q", v[0].Text)
		}
	}))
}
