package alert

import (
	"testing"

	"firstseen/schemas/wire"
)

// TestID: ids are for ever the same, and no two things share one.
func TestID(t *testing.T) {
	if got, want := ID("alert", "rule", "203.0.113.7", "event").String(), "93502b76-3827-5e95-adb8-cb12badaa572"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	seen := map[string][4]string{}
	parts := []string{"", "a", "ab", "b", "1:a", "a1:b"}
	for _, kind := range parts {
		for _, rule := range parts {
			for _, key := range parts {
				for _, event := range parts {
					id, of := ID(kind, rule, key, event).String(), [4]string{kind, rule, key, event}
					if other, ok := seen[id]; ok {
						t.Fatalf("%q and %q are both %s", of, other, id)
					}
					seen[id] = of
				}
			}
		}
	}
}

func TestEventID(t *testing.T) {
	for want, m := range map[string]*wire.Match{
		"own":            {EventID: "own", Origin: wire.Origin{Topic: "t"}},
		"trail/3/41/7":   {Origin: wire.Origin{Topic: "trail", Partition: 3, Offset: 41, Index: 7}},
		"logs/a.gz/12/1": {Origin: wire.Origin{File: "logs/a.gz", Line: 12, Index: 1}},
		"trail/-1/-9/-2": {Origin: wire.Origin{Topic: "trail", Partition: -1, Offset: -9, Index: -2}},
		"/0/0":           {},
	} {
		if got := EventID(m); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestHeaders: what a subscriber filters by without parsing. An update is another CloudEvent of the same alert.
func TestHeaders(t *testing.T) {
	all := samples(t)
	got := all[0].alert.Headers()
	id := all[0].alert.ID.String()
	want := [][2]string{
		{"content-type", "application/json"}, {"ce_specversion", "1.0"}, {"ce_id", id}, {"ce_type", "firstseen.alert.open"},
		{"ce_source", "/firstseen/rules/aws-s3-unauthenticated-bucket-access-by-rare-source"},
		{"ce_time", "2026-11-22T12:00:00.000Z"},
		{"firstseen-rule", "aws-s3-unauthenticated-bucket-access-by-rare-source"}, {"firstseen-severity", "medium"},
		{"firstseen-format", "ecs"},
	}
	if !equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	closed := all[3].alert.HeadersAs(Avro)
	if closed[0][1] != "application/avro" || closed[2][1] != all[3].alert.ID.String()+"/closed/17" || closed[8][1] != "avro" {
		t.Errorf("%v", closed)
	}
	if _, err := all[0].alert.Append(nil, "xml"); err == nil {
		t.Error("xml is a format")
	}
}

// TestOCSF: the attributes that class 2004 of OCSF 1.8.0 and the objects in it require, and how kinds map to it.
func TestOCSF(t *testing.T) {
	attributes := map[string]string{
		"activity_id": "long", "category_uid": "long", "class_uid": "long", "type_uid": "long", "time": "long",
		"severity_id": "long", "metadata.version": "keyword", "metadata.product.name": "keyword", "finding_info.uid": "keyword",
		"finding_info.title": "keyword", "finding_info.analytic.type_id": "long", "message": "keyword", "is_alert": "boolean",
	}
	for _, s := range samples(t) {
		doc := parse(t, s.alert.AppendOCSF(nil))
		check(t, s.name, doc, attributes)
		activity, analytic := 1.0, 1.0
		if s.alert.Kind == Closed {
			activity = 3
		}
		if s.alert.rule().Category == "new_terms" {
			analytic = 2
		}
		for path, want := range map[string]any{
			"class_uid": 2004, "category_uid": 2, "activity_id": activity, "type_uid": 200400 + activity,
			"finding_info.analytic.type_id": analytic, "metadata.version": "1.8.0", "finding_info.uid": s.alert.ID.String(),
		} {
			if got, _ := at(doc, path); !equal(got, want) {
				t.Errorf("%s: %s is %v, want %v", s.name, path, got, want)
			}
		}
		if s.alert.Match == nil {
			continue
		}
		e, _ := at(doc, "evidences")
		check(t, s.name, e.([]any)[0].(map[string]any), map[string]string{"api.operation": "keyword"})
		if s.alert.NewTerms == nil {
			continue
		}
		x, _ := at(doc, "anomaly_analyses")
		for _, part := range []string{"anomalies", "baselines"} {
			o := x.([]any)[0].(map[string]any)[part].([]any)[0].(map[string]any)
			check(t, s.name, o, map[string]string{"observation_parameter": "keyword", "observed_pattern": "keyword"})
		}
	}
}

// TestPanther: every key of Panther's notification, also where there is nothing to say.
func TestPanther(t *testing.T) {
	for _, s := range samples(t) {
		check(t, s.name, parse(t, s.alert.AppendPanther(nil)), map[string]string{
			"id": "keyword", "createdAt": "date", "severity": "keyword", "type": "keyword", "link": "keyword", "title": "keyword",
			"name": "keyword", "alertId": "keyword", "description": "keyword", "runbook": "keyword", "tags": "keyword[]",
			"version": "keyword", "alertContext.eventName": "keyword", "alertContext.eventSource": "keyword",
			"alertContext.awsRegion": "keyword", "alertContext.recipientAccountId": "keyword",
			"alertContext.sourceIPAddress": "keyword", "alertContext.userAgent": "keyword", "alertContext.bucket": "keyword",
		})
	}
}
