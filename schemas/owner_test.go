package schemas

import (
	"net/netip"
	"strings"
	"testing"
)

// owners has one network.
type owners struct {
	network      string
	organization string
}

func (o owners) Owner(addr netip.Addr) (uint32, string, bool) {
	return 64496, o.organization, netip.MustParsePrefix(o.network).Contains(addr)
}

// source.as.* is who announces source.ip, where somebody knows.
func TestSourceAS(t *testing.T) {
	const event = `{"eventVersion":"1.11","eventTime":"2026-03-10T12:10:14Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","sourceIPAddress":"`
	const line = `owner bucket [06/Feb/2026:00:00:38 +0000] 203.0.113.7 - 3E57427F3EXAMPLE REST.GET.OBJECT key "GET /key HTTP/1.1" 200 - 1 1 1 1 "-" "agent" -`
	known := Config{Owners: owners{"203.0.113.0/24", "Example, Inc."}}
	for _, test := range []struct {
		cfg    Config
		record string
		want   string
	}{
		{known, event + `203.0.113.7"}`, "source.as.number=64496; source.as.organization.name=Example, Inc."},
		{known, event + `::ffff:203.0.113.7"}`, "source.as.number=64496; source.as.organization.name=Example, Inc."},
		{Config{Owners: known.Owners, Strict: true}, event + `::ffff:203.0.113.7"}`, "source.as.number=64496; source.as.organization.name=Example, Inc."},
		{known, event + `198.51.100.1"}`, ""},
		{known, event + `AWS Internal"}`, ""},
		{known, line, "source.as.number=64496; source.as.organization.name=Example, Inc."},
		{Config{Owners: owners{"203.0.113.0/24", ""}}, event + `203.0.113.7"}`, "source.as.number=64496"},
		{Config{}, event + `203.0.113.7"}`, ""},
	} {
		got := strings.Join(fieldsOf(t, test.cfg, test.record, "source.as.number", "source.as.organization.name"), "; ")
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.record, got, test.want)
		}
	}
}
