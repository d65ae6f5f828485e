package alert

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// required are the fields that every ECS alert has, with their types in ECS 9.4. A type with [] is an array.
var required = map[string]string{
	"@timestamp": "date", "ecs.version": "keyword", "message": "keyword",
	"event.kind": "keyword", "event.category": "keyword[]", "event.type": "keyword[]", "event.action": "keyword",
	"event.outcome": "keyword", "event.provider": "keyword", "event.module": "keyword", "event.dataset": "keyword",
	"event.id": "keyword", "event.start": "date", "event.end": "date", "event.severity": "long",
	"event.risk_score": "long", "event.reason": "keyword", "event.created": "date",
	"rule.id": "keyword", "rule.name": "keyword", "rule.version": "keyword", "rule.category": "keyword",
	"rule.description": "keyword", "rule.reference": "keyword", "rule.ruleset": "keyword",
	"related.ip": "ip[]", "tags": "keyword[]",
	"firstseen.alert.id": "keyword", "firstseen.alert.status": "keyword", "firstseen.alert.count": "long",
	"firstseen.alert.first_seen": "date", "firstseen.alert.last_seen": "date", "firstseen.flags": "keyword[]",
}

// more are the fields that each kind of alert has besides.
var more = map[string]map[string]string{
	"event": {
		"source.address": "keyword", "cloud.provider": "keyword", "firstseen.ruleset.sha256": "keyword",
		"firstseen.origin.index": "long",
	},
	"threat": {
		"threat.framework": "keyword", "threat.tactic.id": "keyword[]", "threat.tactic.name": "keyword[]",
		"threat.tactic.reference": "keyword[]", "threat.technique.id": "keyword[]",
		"threat.technique.name": "keyword[]", "threat.technique.reference": "keyword[]",
	},
	"new-terms": {
		"firstseen.new_terms.fields": "keyword[]", "firstseen.new_terms.values": "keyword[]",
		"firstseen.new_terms.history": "keyword", "firstseen.new_terms.history_complete": "boolean",
		"firstseen.new_terms.history_start": "date", "source.ip": "ip", "cloud.account.id": "keyword",
		"cloud.region": "keyword", "aws.cloudtrail.read_only": "boolean", "aws.cloudtrail.user_identity.type": "keyword",
		"firstseen.origin.topic": "keyword", "firstseen.origin.partition": "long", "firstseen.origin.offset": "long",
		"firstseen.origin.event_id": "keyword",
	},
	"new-terms-again": {"firstseen.new_terms.previous_seen": "date"},
	"allowlist": {
		"firstseen.allowlist.networks_version": "keyword", "firstseen.group.by": "keyword[]",
		"firstseen.group.window_start": "date", "firstseen.group.window_end": "date", "firstseen.group.threshold": "long",
		"http.response.status_code": "long", "http.response.body.bytes": "long", "aws.s3access.remote_ip": "ip",
		"eventName": "keyword", "eventSource": "keyword",
		"awsRegion": "keyword", "recipientAccountId": "keyword",
		"sourceIPAddress": "keyword", "userAgent": "keyword",
		"userIdentity": "keyword", "bucket": "keyword",
		"firstseen.origin.file": "keyword", "firstseen.origin.line": "long",
	},
	"overflow":  {"firstseen.suppressed.count": "long", "firstseen.suppressed.topic": "keyword"},
	"threshold": {"firstseen.group.threshold_reached": "date"},
	"gap": {
		"firstseen.gap.topic": "keyword", "firstseen.gap.partition": "long", "firstseen.gap.first_offset": "long",
		"firstseen.gap.next_offset": "long", "firstseen.gap.records": "long",
	},
}

// TestECSFields: every alert has the fields that a subscriber may count on, in the types of ECS.
func TestECSFields(t *testing.T) {
	for _, s := range samples(t) {
		doc := parse(t, s.alert.AppendECS(nil))
		wanted := []map[string]string{required, more[s.name]}
		if s.alert.Match != nil {
			wanted = append(wanted, more["event"])
		}
		if len(s.alert.rule().Threat) > 0 {
			wanted = append(wanted, more["threat"])
		}
		for _, fields := range wanted {
			check(t, s.name, doc, fields)
		}
	}
}

// TestECSConstants: what detections and dashboards select by.
func TestECSConstants(t *testing.T) {
	severities := map[string]float64{"low": 21, "medium": 47, "high": 73, "critical": 99}
	for severity, number := range severities {
		rule := &Rule{Category: rareSource.Category, Dataset: rareSource.Dataset, Severity: severity}
		doc := parse(t, (&Alert{Kind: Open, Rule: rule}).AppendECS(nil))
		for path, want := range map[string]any{
			"event.kind": "alert", "ecs.version": "9.4.0", "event.module": "aws", "event.dataset": "aws.cloudtrail",
			"event.severity": number, "event.risk_score": number, "rule.category": "new_terms",
			"event.category": []any{"intrusion_detection"}, "event.type": []any{"info"},
		} {
			if got, _ := at(doc, path); !equal(got, want) {
				t.Errorf("%s: %s is %v, want %v", severity, path, got, want)
			}
		}
	}
}

// TestEventCannotSpeakForTheAlert: fields that the alert sets are not taken from the event.
func TestEventCannotSpeakForTheAlert(t *testing.T) {
	a := *samples(t)[0].alert
	m := *a.Match
	m.Evidence = evidence(t, "event.id", "forged", "event.kind", "forged", "event.module", "forged", "event.dataset",
		"forged", "@timestamp", "2099-01-01T00:00:00Z", "cloud.provider", "forged", "source.address", "203.0.113.7")
	a.Match = &m
	doc := a.AppendECS(nil)
	if strings.Contains(string(doc), "forged") || strings.Contains(string(doc), "2099") {
		t.Errorf("%s", doc)
	}
}

// TestValuesOfTheWrongType are left out: an index would refuse the whole alert.
func TestValuesOfTheWrongType(t *testing.T) {
	a := *samples(t)[0].alert
	m := *a.Match
	m.Evidence = evidence(t, "source.ip", "not an address", "http.response.status_code", "2e2", "http.response.body.bytes", "-",
		"aws.cloudtrail.read_only", "yes", "http.response.status_code", "404", "user.name", "")
	a.Match = &m
	doc := parse(t, a.AppendECS(nil))
	for _, path := range []string{"source.ip", "http.response.body.bytes", "aws.cloudtrail.read_only", "user.name"} {
		if v, ok := at(doc, path); ok {
			t.Errorf("%s: %v", path, v)
		}
	}
	if v, _ := at(doc, "http.response.status_code"); v != 404.0 {
		t.Errorf("status %v", v)
	}
}

func TestRelatedIPs(t *testing.T) {
	e := eventOf(t, "source.address", "81.2.69.142, 192.168.10.10,x,81.2.69.142", "source.ip", "::1", "client.ip", "::1")
	if got, want := fmt.Sprint(e.ips(nil)), "[::1 81.2.69.142 192.168.10.10]"; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	many := eventOf(t, "source.address", strings.Repeat("10.0.0.1,", 10)+"::1,::2,::3,::4,::5,::6,::7,::8,::9,::a,::b,::c,::d,::e,::f,1::1")
	if got := many.ips(nil); len(got) != 16 || got[15].String() != "::f" {
		t.Errorf("%v", got)
	}
}

// TestHistoryComplete: complete means that the whole window before the event has been recorded, however late the alert.
func TestHistoryComplete(t *testing.T) {
	for start, want := range map[int64]bool{
		noon - 7*day: true, noon - 7*day + 1: false, wire.NoTime: false, noon - 8*day: true,
	} {
		if n := (&NewTerms{History: 7 * day, HistoryStart: start}); n.Complete(noon) != want {
			t.Errorf("history from %d: %v", start, !want)
		}
	}
	a := *samples(t)[0].alert
	a.Time, a.NewTerms = noon+day, &NewTerms{History: 7 * day, HistoryStart: noon - 6*day}
	if v, _ := at(parse(t, a.AppendECS(nil)), "firstseen.new_terms.history_complete"); v != false {
		t.Errorf("complete: %v", v)
	}
}

func TestFlags(t *testing.T) {
	a := *samples(t)[2].alert
	a.Flags = schemas.Degraded
	got, _ := at(parse(t, a.AppendECS(nil)), "firstseen.flags")
	if want := []any{"time_unverified", "degraded"}; !equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func parse(t testing.TB, doc []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
	return m
}

// at returns the value of a dotted path.
func at(doc map[string]any, path string) (any, bool) {
	name, rest, more := strings.Cut(path, ".")
	v, ok := doc[name]
	if inner, isObject := v.(map[string]any); more && isObject {
		return at(inner, rest)
	}
	return v, ok && !more
}

func equal(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// check requires fields of the given types.
func check(t *testing.T, name string, doc map[string]any, fields map[string]string) {
	t.Helper()
	for path, typ := range fields {
		v, ok := at(doc, path)
		values := []any{v}
		if elem, array := strings.CutSuffix(typ, "[]"); array {
			typ = elem
			values, ok = v.([]any)
		}
		for _, v := range values {
			ok = ok && isOf(typ, v)
		}
		if !ok {
			t.Errorf("%s: %s is %v, want %s", name, path, v, fields[path])
		}
	}
}

func isOf(typ string, v any) bool {
	s, text := v.(string)
	var err error
	switch typ {
	case "keyword":
	case "date":
		_, err = time.Parse(time.RFC3339, s)
	case "ip":
		_, err = netip.ParseAddr(s)
	case "long":
		n, ok := v.(float64)
		return ok && n == float64(int64(n))
	case "boolean":
		_, ok := v.(bool)
		return ok
	}
	return text && err == nil
}
