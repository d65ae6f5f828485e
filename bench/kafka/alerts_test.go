package kafka

import (
	"testing"

	"firstseen/bench/gen"
)

func TestParseAlert(t *testing.T) {
	for value, want := range map[string]gen.Alert{
		`{"rule":"new_terms","source":"192.0.2.1","event_time":"2026-01-05T00:15:03Z","event_id":"e"}`: {Rule: gen.NewTerms, Key: "192.0.2.1", EventID: "e", Time: 1767572103},
		`{"rule":"allowlist","bucket":"b","event_time":"2026-01-05T00:15:03Z","event_id":"r"}`:         {Rule: gen.Allowlist, Key: "b", EventID: "r", Time: 1767572103},
		`{"rule":{"id":"x","category":"new_terms"},"source":{"address":"192.0.2.1"},"event":{"start":"2026-01-05T00:15:03Z"},
		  "firstseen":{"alert":{"status":"open"},"new_terms":{"values":["192.0.2.1"]},"origin":{"event_id":"e"}}}`: {Rule: gen.NewTerms, Key: "192.0.2.1", EventID: "e", Time: 1767572103},
		`{"rule":{"category":"allowlist"},"source":{"address":"192.0.2.1"},"bucket":"b","event":{"start":"2026-01-05T00:15:03Z"},
		  "firstseen":{"alert":{"status":"open"},"origin":{"event_id":"r:REST.GET.OBJECT:k:1"}}}`: {Rule: gen.Allowlist, Key: "b", EventID: "r", Time: 1767572103},
	} {
		got, opens, err := ParseAlert([]byte(value))
		if err != nil || !opens || got != want {
			t.Errorf("%s: %+v %v %v, want %+v", value, got, opens, err, want)
		}
	}
	closed := `{"rule":{"category":"allowlist"},"event":{"start":"2026-01-05T00:15:03Z"},"firstseen":{"alert":{"status":"closed"}}}`
	if _, opens, err := ParseAlert([]byte(closed)); opens || err != nil {
		t.Errorf("a closed update counts as an alert: %v", err)
	}
}
