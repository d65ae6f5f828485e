package explain

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
)

// explained runs the command with --json on standard input or on an event in Kafka, and must end well.
func explained(t *testing.T, stdin string, args ...string) view {
	t.Helper()
	e := execute(t, strings.NewReader(stdin), append([]string{"explain", "--json"}, args...)...)
	var v view
	if err := json.Unmarshal([]byte(e.Stdout), &v); e.Code != cli.ExitOK || err != nil {
		t.Fatalf("explain %v: exit code %d, %v\n%s%s", args, e.Code, err, e.Stdout, e.Stderr)
	}
	return v
}

// of returns what is said about a rule.
func (v view) of(t *testing.T, id string) ruleView {
	t.Helper()
	i := slices.IndexFunc(v.Rules, func(r ruleView) bool { return r.Rule == id })
	if i < 0 {
		t.Fatalf("nothing is said about %s: %+v", id, v)
	}
	return v.Rules[i]
}

// The first line is the answer, for each thing that can decide without anything that was seen.
func TestExplainAnswers(t *testing.T) {
	list := clitest.Write(t, "list.txt", "192.0.2.0/24 owner=netops expires=2027-01-01 # head office\n198.51.100.0/24 expires=2026-01-01\n")
	allow := []string{"--set", "rules.set=" + clitest.IPListRule + `.allowlist.files=["` + list + `"]`}
	const bare = "No alert: no rule looks at records of "
	for _, c := range []struct {
		name, record, want string
		args               []string
	}{
		{"a new-terms rule matches", clitest.AnonymousRead("e", "203.0.113.7", "2026-01-10T00:00:00Z"),
			"Rule " + clitest.NewTermsRule + " matches, and whether it alerts is not known: it depends on whether 203.0.113.7 was seen in the 7d before 2026-01-10T00:00:00Z", nil},
		{"its query does not hold", strings.Replace(clitest.AnonymousRead("e", "203.0.113.7", "2026-01-10T00:00:00Z"), `"GetObject"`, `"HeadObject"`, 1),
			"No alert from rule " + clitest.NewTermsRule + `: its query does not hold: event.action is "HeadObject"`, nil},
		{"it has no term", clitest.AnonymousRead("e", "", "2026-01-10T00:00:00Z"),
			"No alert from rule " + clitest.NewTermsRule + ": the query holds, but the record has no value in one of source.address", nil},
		{"the address is allowed", clitest.AccessLine("192.0.2.9", "31/Jan/2026:10:00:00 +0000", "curl"),
			"No alert from rule " + clitest.IPListRule + ": 192.0.2.9 is allowed by 192.0.2.0/24 at " + list + ":1, expires 2027-01-02T00:00:00Z, owner netops (head office)", allow},
		{"the entry has expired", clitest.AccessLine("198.51.100.9", "31/Jan/2026:10:00:00 +0000", "curl"),
			"Rule " + clitest.IPListRule + " matches, and whether it alerts is not known: it depends on whether an alert of its group was made in the 1h before", allow},
		{"there is no address", `{"remoteip":"-","bucket":"b","time":"2026-01-01T00:00:00Z","operation":"REST.GET.OBJECT"}`,
			"No alert from rule " + clitest.IPListRule + ": the record has no remoteip to look up", nil},
		{"it is no address", `{"remoteip":"10.0.0.1/8","bucket":"b","time":"2026-01-01T00:00:00Z","operation":"REST.GET.OBJECT"}`,
			"No alert, a dead letter (rule_error): rule " + clitest.IPListRule + `: remoteip: source "10.0.0.1/8": host bits set`, nil},
		{"an exception holds", clitest.AnonymousRead("e", "203.0.113.7", "2026-01-10T00:00:00Z"),
			"No alert from rule " + clitest.NewTermsRule + ": its exception holds: source.ip: \"203.0.113.0/24\" is true of \"203.0.113.7\"",
			[]string{"--set", "rules.set=" + clitest.NewTermsRule + ".except=source.ip: 203.0.113.0/24"}},
		{"the rule is off", clitest.AnonymousRead("e", "203.0.113.7", "2026-01-10T00:00:00Z"), bare + "aws.cloudtrail", []string{"--set", "rules.set=" + clitest.NewTermsRule + ".mode=off"}},
		{"the other dataset", clitest.AnonymousRead("e", "203.0.113.7", "2026-01-10T00:00:00Z"), "No alert from rule " + clitest.IPListRule + ": it looks at aws.s3access", []string{"--rule", clitest.IPListRule}},
		{"broken JSON", `{"eventVersion": `, "Dead letter (truncated), no alert: breaks off", nil},
		{"nobody's shape", `{"a": 1}`, "Dead letter (unknown_shape), no alert: no envelope and no record that is known", nil},
		{"a notification", `{"Event":"s3:TestEvent"}`, "No alert: the record is no API call and no request", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := execute(t, strings.NewReader(c.record), append([]string{"explain", clitest.Now, "-"}, c.args...)...)
			if first, _, _ := strings.Cut(e.Stdout, "\n"); e.Code != cli.ExitOK || !strings.HasPrefix(first, c.want) {
				t.Errorf("exit code %d, got\n%s%s\nwant\n%s", e.Code, first, e.Stderr, c.want)
			}
		})
	}
}

// Below the answer is what it is made of: where the record was, its fields, each condition, the entry that has expired.
func TestExplainDetails(t *testing.T) {
	e := execute(t, strings.NewReader(`{"Records":[`+strings.Replace(clitest.AnonymousRead("e", "203.0.113.7", "2026-01-10T00:00:00Z"), `"e"`, `"e\u001b[31m"`, 1)+`]}`), "explain", clitest.Now, "-")
	for _, part := range []string{
		"from       stdin, line 1, record 0 of 1", `envelope   CloudTrail file {"Records": [...]}`, "time       2026-01-10T00:00:00Z\n",
		"source.address                             203.0.113.7", "event.id                                   e\\x1b[31m",
		"      yes  event.action, one of   the event has \"GetObject\"\n        yes  event.action: \"GetObject\"\n        no   event.action: \"PutObject\"\n",
		"term       source.address = 203.0.113.7", "history    7d\n",
	} {
		if !strings.Contains(e.Stdout, part) {
			t.Errorf("no %q in\n%s", part, e.Stdout)
		}
	}
	v := explained(t, `{"schema":{},"payload":`+clitest.AnonymousRead("e", "::ffff:203.0.113.7", "2099-01-10T00:00:00Z")+`}`, clitest.Now, "-")
	r := v.of(t, clitest.NewTermsRule)
	if len(v.Message.Envelope) != 1 || v.Event.ID != "e" || !slices.Equal(v.Event.Flags, []string{"time_clamped"}) || r.Decision != notKnown ||
		len(r.Outcomes) != 1 || !slices.Equal(r.Outcomes[0].Terms, []string{"203.0.113.7"}) || !r.Query.Holds || len(r.Query.Parts) != 6 {
		t.Errorf("got %+v\n%+v", v, r)
	}
}

// Of several records one must be named, and the error lists them.
func TestExplainPicks(t *testing.T) {
	file := clitest.Write(t, "trail.json", `{"Records":[`+clitest.AnonymousRead("a", "203.0.113.7", "2026-01-10T00:00:00Z")+`,{"eventVersion":"1.1","eventName":}, `+
		clitest.AnonymousRead("c", "203.0.113.8", "2026-01-10T00:00:00Z")+"]}\n"+clitest.AnonymousRead("d", "203.0.113.9", "2026-01-10T00:00:00Z")+"\n")
	e := execute(t, nil, "explain", clitest.Now, file)
	if e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, "has 4 records: say which one with --index N") ||
		!strings.Contains(e.Stderr, "--index 1    line 1     dead letter: invalid_json\n") || !strings.Contains(e.Stderr, "--index 3    line 2     2026-01-10T00:00:00Z GetObject 203.0.113.9") {
		t.Errorf("exit code %d\n%s", e.Code, e.Stderr)
	}
	for args, want := range map[string]string{"--index=0": "a", "--index=2": "c", "--index=3": "d", "--line=2": "d"} {
		if v := explained(t, "", clitest.Now, args, file); v.Event.ID != want {
			t.Errorf("%s: event %q, want %q", args, v.Event.ID, want)
		}
	}
	if v := explained(t, "", clitest.Now, "--index=1", file); v.Event != nil || v.Dead == nil || v.Dead.Reason != "invalid_json" {
		t.Errorf("the bad element: %+v", v)
	}
	for _, c := range []struct{ says, args string }{
		{"there is none with --index 4", "--index=4 " + file}, {"no record begins at line 7", "--line=7 " + file},
		{"is a directory", filepath.Dir(file)}, {"no such file", "nowhere"}, {`no rule "x" is loaded`, "--rule=x " + file},
		{"no such directory", "--index=0 --state=nowhere " + file}, {"--state keeps from asking the brokers", "--state=. cloudtrail/0/0"},
	} {
		if e := execute(t, nil, append([]string{"explain"}, strings.Fields(c.args)...)...); e.Code != cli.ExitUsage || !strings.Contains(e.Stderr, c.says) {
			t.Errorf("%s: exit code %d, %q; want %q", c.args, e.Code, e.Stderr, c.says)
		}
	}
}

// What a state directory knows decides about events it has not seen, and about those that it proves were known.
func TestExplainWithState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	read := func(id, at string) string { return clitest.AnonymousRead(id, "203.0.113.7", at) + "\n" }
	before := clitest.Write(t, "before", read("a", "2026-01-02T00:00:00Z")+read("b", "2026-01-06T00:00:00Z")+read("c", "2026-01-12T00:00:00Z")+
		clitest.AccessLine("192.0.2.1", "31/Jan/2026:10:00:00 +0000", "curl"))
	if n := len(alertsOf(t, "--state", dir, before)); n != 2 {
		t.Fatalf("%d alerts", n)
	}
	line := func(at string) string {
		return strings.Replace(clitest.AccessLine("192.0.2.2", "31/Jan/2026:"+at+":00 +0000", "wget"), "3E57427F33A59F07", "ANOTHER", 1)
	}
	for _, c := range []struct{ record, decision, says string }{
		{read("new", "2026-01-12T03:00:00Z"), wouldNotAlert, "203.0.113.7 was seen 3h before (history 7d)"},
		{read("new", "2026-01-19T00:00:00Z"), wouldNotAlert, "seen 7d before"},
		{read("new", "2026-01-19T00:00:01Z"), wouldAlert, "last seen 7d before, longer ago than its history of 7d (no more than 100 alerts in 5m"},
		{clitest.AnonymousRead("new", "203.0.113.8", "2026-01-12T03:00:00Z"), wouldAlert, "nothing is known of 203.0.113.8"},
		{read("b", "2026-01-06T00:00:00Z"), noAlert, "203.0.113.7 was seen 4d before"},
		{read("c", "2026-01-12T00:00:00Z"), notKnown, "does not tell when it was last seen before this event"},
		{read("a", "2026-01-02T00:00:00Z"), notKnown, "was first seen at the time of this event"},
		{read("late", "2026-01-01T00:00:00Z"), notKnown, "does not tell"},
		{clitest.AccessLine("192.0.2.1", "31/Jan/2026:10:00:00 +0000", "curl"), madeAlert, "it opened the window from 2026-01-31T10:00:00Z, of 1 match so far"},
		{line("10:30"), joinedWindow, "it is in the window from 2026-01-31T10:00:00Z to 2026-01-31T11:00:00Z"},
		{line("11:30"), wouldAlert, "no window of its group is open"},
		{line("09:30"), notKnown, "it is older than the group's window"},
	} {
		v := explained(t, c.record, clitest.Now, "--state", dir, "-")
		if r := v.Rules[0]; r.Decision != c.decision || !strings.Contains(v.Answer[0], c.says) {
			t.Errorf("%s: %s, %s\nwant %s, %s", c.record, r.Decision, v.Answer[0], c.decision, c.says)
		}
	}
	e := execute(t, nil, "state", "get", "--state", dir, "::ffff:203.0.113.7")
	for _, part := range []string{"203.0.113.7  " + clitest.NewTermsRule, "2026-01-02T00:00:00Z  2026-01-12T00:00:00Z  2026-01-19T00:00:00Z  3"} {
		if e.Code != cli.ExitOK || !strings.Contains(e.Stdout, part) {
			t.Errorf("state get: no %q in\n%s%s", part, e.Stdout, e.Stderr)
		}
	}
	if e := execute(t, nil, "state", "get", "--state", dir, "192.0.2.77"); e.Code != cli.ExitOK || !strings.HasPrefix(e.Stdout, "nothing is known of 192.0.2.77") {
		t.Errorf("state get: %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
}
