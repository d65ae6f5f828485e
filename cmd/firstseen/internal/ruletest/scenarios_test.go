package ruletest

import (
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
)

// What scenarios are about: a rule with new terms, a dedup window and a cap, over access logs.
const scenarioRule = `id: acme.new
name: New address
dataset: aws.s3access
query: 'operation: REST.GET.OBJECT'
new_terms: {fields: [source.address], history: 7d}
dedup: {by: [bucket, operation], period: 10m}
max_alerts: {count: 1, per: 1h}
title: "{remoteip} reads {bucket}"
severity: high
tests:
`

// scenario returns what the test of a rule with one scenario prints about it, and whether it passed.
func scenario(t *testing.T, rule, scenario string) (says string, passed bool) {
	t.Helper()
	text := rule + "  - name: it\n    log: {bucket: logs, operation: REST.GET.OBJECT, remoteip: 192.0.2.1}\n    " +
		strings.ReplaceAll(strings.TrimSpace(scenario), "\n", "\n    ") + "\n"
	e := execute(t, nil, "test", clitest.Write(t, "rule.yaml", text))
	if e.Code != cli.ExitOK && e.Code != cli.ExitFindings {
		t.Fatalf("exit code %d\n%s%s", e.Code, e.Stderr, text)
	}
	_, says, _ = strings.Cut(e.Stdout, "/it\n")
	lines := strings.Split(strings.ReplaceAll(says, "      ", ""), "\n")
	return strings.Join(lines[:len(lines)-2], "\n"), e.Code == cli.ExitOK // without the summary
}

// Whatever a scenario says of an alert is compared, and what it does not say is not.
func TestScenarioAlerts(t *testing.T) {
	const events = "events: [{name: first}, {after: 1m, log: {remoteip: 192.0.2.2}}, {at: day 9, name: again}]\nalerts:\n"
	for _, c := range []struct{ alerts, says string }{
		{`- {event: first}
- {event: again}`, ""},
		{`- {}
- {}`, ""},
		{`- {event: 1, title: 192.0.2.1 reads logs, severity: high, reason: "192.0.2.1", group: "logs, REST.GET.OBJECT", terms: [192.0.2.1], count: 1}
- {title: 192.0.2.1 reads logs}`, ""},
		{`- {event: first}
- {event: again, title: 192.0.2.2 reads logs}`, `missing: event 3 (again) makes an alert, open, title "192.0.2.2 reads logs"
not expected: event 3 (again) makes an alert, open, title "192.0.2.1 reads logs", terms ["192.0.2.1"], count 1`},
		{`- {event: first, severity: low}
- {event: again}`, `missing: event 1 (first) makes an alert, open, severity "low"
not expected: event 1 (first) makes an alert, open, title "192.0.2.1 reads logs", severity "high", terms ["192.0.2.1"], count 1`},
		{`- {event: first, group: logs}
- {event: again}`, `missing: event 1 (first) makes an alert, open, group "logs"
not expected: event 1 (first) makes an alert, open, title "192.0.2.1 reads logs", group "logs, REST.GET.OBJECT", terms ["192.0.2.1"], count 1`},
		{`- {event: first, reason: not seen before}
- {event: again, reason: not seen in the 7 days before}`, ""},
		{`- {event: first, reason: not seen before}
- {event: again, count: 2}`, `missing: event 3 (again) makes an alert, open, count 2
not expected: event 3 (again) makes an alert, open, title "192.0.2.1 reads logs", reason "`},
		{`- {event: first, reason: not seen in the 7 days before}
- {event: again}`, `missing: event 1 (first) makes an alert, open, reason "not seen in the 7 days before"
not expected: event 1 (first) makes an alert, open, title "192.0.2.1 reads logs", reason "192.0.2.1 read`},
		{`- {event: again}
- {event: first}`, `not in this order: event 3 (again) makes an alert, open`},
		{`- {}`, `not expected: event 3 (again) makes an alert, open, title "192.0.2.1 reads logs", terms ["192.0.2.1"], count 1`},
		{`- {event: first}
- {}
- {}`, `missing: an event makes an alert, open`},
		{`- {event: first}
- {event: again, kind: overflow}`, `missing: event 3 (again) makes an alert, overflow
not expected: event 3 (again) makes an alert, open, title "192.0.2.1 reads logs", terms ["192.0.2.1"], count 1`},
	} {
		if says, passed := scenario(t, scenarioRule, events+c.alerts); passed != (c.says == "") || !strings.HasPrefix(says, c.says) {
			t.Errorf("%s\nsays\n%s\nwant\n%s", c.alerts, says, c.says)
		}
	}
}

// What was suppressed is compared, with its reason, if the scenario lists something that was.
func TestSuppressedAlerts(t *testing.T) {
	capped := strings.Replace(scenarioRule, "dedup: {by: [bucket, operation], period: 10m}\n", "", 1)
	shadow := strings.Replace(capped, "severity: high", "severity: high\nmode: shadow", 1)
	const two = "events: [{name: a}, {name: b, after: 1m, log: {remoteip: 192.0.2.2}}]\n"
	for _, c := range []struct{ rule, scenario, says string }{
		{capped, two + "alerts: [{event: a}, {event: b, kind: overflow}]", ""},
		{capped, two + "alerts: [{event: a}, {event: b, suppressed: cap}, {event: b, kind: overflow}]", ""},
		{capped, two + "alerts: [{event: a}, {event: b, kind: overflow}, {event: b, suppressed: cap}]", "not in this order: event 2 (b) makes an alert, overflow"},
		{capped, two + "alerts: [{event: a}, {event: b, suppressed: learning}, {event: b, kind: overflow}]", `missing: event 2 (b) makes an alert, open, suppressed "learning"
not expected: event 2 (b) makes an alert, open, title "192.0.2.2 reads logs", terms ["192.0.2.2"], count 1, suppressed "cap"`},
		// A rule is tested as if it were active, unless its alerts are to be in the shadow; that uses no cap.
		{shadow, two + "alerts: [{event: a}, {event: b, kind: overflow}]", ""},
		{shadow, two + "alerts: [{event: a, suppressed: shadow}, {event: b, suppressed: shadow}]", ""},
		{capped, two + "alerts: [{event: a, suppressed: shadow}, {event: b, suppressed: shadow}]", ""},
		{capped, two + "alerts: [{event: a, suppressed: shadow}]", `not expected: event 2 (b) makes an alert, open, title "192.0.2.2 reads logs", terms ["192.0.2.2"], count 1, suppressed "shadow"`},
		// While a rule is learning it remembers and holds its alerts back.
		{capped, "learning_until: day 8\nevents: [{at: day 2}, {at: day 8 12:00}, {at: day 8 12:00, name: new, log: {remoteip: 192.0.2.2}}]\nalerts: [{event: new}]", ""},
		{capped, "learning_until: day 8\nevents: [{at: day 2}, {at: day 8 12:00, log: {remoteip: 192.0.2.2}}]\nalerts: [{event: 1, suppressed: learning}, {event: 2}]", ""},
	} {
		if says, passed := scenario(t, c.rule, c.scenario); passed != (c.says == "") || says != c.says {
			t.Errorf("%s\nsays\n%s\nwant\n%s", c.scenario, says, c.says)
		}
	}
}

// The clock of a scenario is the time of the records that have none: in days, to the second.
func TestScenarioClock(t *testing.T) {
	bare := strings.NewReplacer("dedup: {by: [bucket, operation], period: 10m}\n", "", "max_alerts: {count: 1, per: 1h}\n", "").Replace(scenarioRule)
	for _, c := range []struct{ scenario, says string }{
		{"events: [{}, {after: 7d}, {after: 7d}]\nalerts: [{event: 1}]", ""},
		{"events: [{}, {at: day 8 00:00:00}, {at: day 15 00:00:01}]\nalerts: [{event: 1}, {event: 3}]", ""},
		{"events: [{at: \"2026-01-01T00:00:00Z\"}, {at: day 8}, {at: \"2026-01-15T00:00:01Z\"}]\nalerts: [{event: 1}, {event: 3}]", ""},
		// A record's own time counts, not when it comes; one that comes late changes nothing for those after it.
		{"events: [{}, {at: day 12, log: {time: \"2026-01-02T00:00:00Z\"}}, {at: day 9, name: late}]\nalerts: [{event: 1}]", ""},
		{"events: [{at: day 9, log: {time: \"2026-01-09T00:00:00Z\"}}, {at: day 9 12:00, log: {time: \"2026-01-01T00:00:00Z\"}}, {at: day 16}]\nalerts: [{event: 1}]", ""},
	} {
		if says, passed := scenario(t, bare, c.scenario); passed != (c.says == "") || says != c.says {
			t.Errorf("%s\nsays\n%s\nwant\n%s", c.scenario, says, c.says)
		}
	}
}

// Rules that are given together do not see the records of each other's scenarios.
func TestScenariosAreApart(t *testing.T) {
	one := scenarioRule + "  - {name: it, events: [{log: {bucket: logs, operation: REST.GET.OBJECT, remoteip: 192.0.2.1}}], alerts: [{}]}\n"
	other := strings.Replace(one, "acme.new", "acme.other", 1)
	e := execute(t, nil, "test", clitest.Files(t, "one.yaml", one, "other.yaml", other))
	if e.Code != cli.ExitOK || e.Stdout != "PASS  acme.new/it\nPASS  acme.other/it\n2 passed, 0 failed\n" {
		t.Errorf("exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
}
