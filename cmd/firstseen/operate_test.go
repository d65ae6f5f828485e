package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/processor"
	"firstseen/state"
)

// TestOperate goes through what an operator does with a deployment of one worker: examine it, look at its dead letters
// and write them back, and, once it is stopped, compare its state with the changelogs and take it out of the groups.
func TestOperate(t *testing.T) {
	a := clitest.Deploy(t, &commands{}, func(*clitest.Deployment) {})
	expect := func(code int, part string, args ...string) clitest.Execution {
		t.Helper()
		e := execute(t, nil, append(args, "-c", a.Config)...)
		if e.Code != code || !strings.Contains(e.Stdout+e.Stderr, part) {
			t.Fatalf("%v: exit code %d, want %d and %q\n%s%s", args, e.Code, code, part, e.Stdout, e.Stderr)
		}
		return e
	}
	a.Add("cloudtrail", clitest.AnonymousRead("a", "203.0.113.7", "2026-01-02T00:00:00Z"))
	odd := a.Add("s3access", strings.Replace(clitest.AccessLine("192.0.2.2", "31/Jan/2026:10:00:00 +0000", "wget"), "192.0.2.2", "10.0.0.1/8", 1))
	broken := a.Add("cloudtrail", strings.Replace(clitest.AnonymousRead("x", "203.0.113.7", "2026-01-14T00:00:00Z"), "}}", ",}}", 1))
	processed(a, broken)
	processed(a, odd) // another lane reads it

	e := expect(cli.ExitOK, "all instances run the rules of this configuration", "doctor")
	if strings.Contains(e.Stdout, "warn ") || strings.Contains(e.Stdout, "FAIL") || !strings.HasSuffix(e.Stderr, "0 warnings, 0 failed\n") {
		t.Errorf("of a deployment that is well:\n%s%s", e.Stdout, e.Stderr)
	}
	var checks []processor.Check
	if e = expect(cli.ExitOK, "", "doctor", "--json"); json.Unmarshal([]byte(e.Stdout), &checks) != nil || len(checks) < 20 {
		t.Errorf("%d checks:\n%s", len(checks), e.Stdout)
	}
	expect(cli.ExitOK, "warn  rules         ask: the rules of this configuration", "doctor", "--set", "rules.set="+clitest.NewTermsRule+".new_terms.history=3d")
	expect(cli.ExitGuarantee, "FAIL  topics        sources: the deployment reads cloudtrail, s3access, this configuration names cloudtrail; next: correct sources", "doctor", "--set", "sources=cloudtrail")
	expect(cli.ExitGuarantee, "no broker answers", "doctor", "--set", "brokers="+clitest.FreeAddress(t))

	run := []string{"run", "--set", "http.listen=off", "--set", "instance=other"}
	expect(cli.ExitGuarantee, "the deployment reads cloudtrail, s3access, this worker is configured for cloudtrail", append(run, "--set", "sources=cloudtrail", "--set", "state.dir="+t.TempDir())...)
	expect(cli.ExitGuarantee, "in use by another process: give each worker a state directory of its own", append(run, "--set", "commit.session_timeout=2s", "--set", "commit.transaction_timeout=1s")...)

	e = expect(cli.ExitOK, "2 dead letters, 2 shown", "dlq", "list")
	if strings.Count(e.Stdout, "\n") != 2 || !strings.Contains(e.Stdout, "invalid_json      "+broken) || !strings.Contains(e.Stdout, "rule_error        s3access/0/0 record 0  ") {
		t.Errorf("dlq list:\n%s", e.Stdout)
	}
	var letter struct {
		Topic  string
		Offset int64
		Index  int32
		Value  string
	}
	if e = expect(cli.ExitOK, "1 dead letter, 1 shown", "dlq", "list", "--json", "--reason", "invalid_json", "--since", "1h"); json.Unmarshal([]byte(e.Stdout), &letter) != nil ||
		letter.Topic != "cloudtrail" || letter.Offset != 1 || letter.Index != -1 || !strings.Contains(letter.Value, `,}}`) {
		t.Errorf("%+v\n%s", letter, e.Stdout)
	}
	expect(cli.ExitOK, "0 dead letters", "dlq", "list", "--since", time.Now().Add(time.Hour).Format(time.RFC3339))
	expect(cli.ExitOK, "2 dead letters, 1 shown", "dlq", "list", "-n", "1")
	expect(cli.ExitUsage, "the reasons are", "dlq", "list", "--reason", "unlucky")
	expect(cli.ExitUsage, "--since tomorrow", "dlq", "list", "--since", "tomorrow")
	expect(cli.ExitUsage, "", "dlq", "redrive")
	expect(cli.ExitUsage, "", "dlq", "redrive", "--all", "--reason", "invalid_json")
	for range 2 {
		expect(cli.ExitOK, "would be redriven: s3access/0/0 record 0, rule_error", "dlq", "redrive", "--reason", "rule_error", "--dry-run")
	}
	expect(cli.ExitOK, "redriven: s3access/0/0 record 0, rule_error\n1 redriven, 0 skipped", "dlq", "redrive", "--reason", "rule_error")

	expect(cli.ExitGuarantee, "is in use by a running worker: stop it first", "state", "verify")
	expect(cli.ExitUsage, `have no member of instance "two"; they have members of: one`, "leave", "two")
	a.Stop()
	e = expect(cli.ExitOK, "ok       detect/", "state", "verify")
	if strings.Contains(e.Stdout, "FAIL") || strings.Count(e.Stdout, "\n") != 8 {
		t.Errorf("state verify:\n%s", e.Stdout)
	}
	expect(cli.ExitOK, "holds no such range", "state", "verify", "--partition", "9")
	expect(cli.ExitUsage, "no such directory", "state", "verify", "--state", filepath.Join(t.TempDir(), "none"))
	forge(t, a.State)
	e = expect(cli.ExitGuarantee, fmt.Sprintf("delete %s, the worker restores it", a.State), "state", "verify")
	if !strings.Contains(e.Stdout, `"made up"`) || strings.Count(e.Stdout, "FAIL") != 1 {
		t.Errorf("state verify:\n%s", e.Stdout)
	}
	expect(cli.ExitOK, "removed ask-group-one-0", "leave", "one")
	expect(cli.ExitUsage, "they have members of: none else", "leave", "one")
	expect(cli.ExitOK, "no worker runs this stage", "doctor")
}

// processed waits until the workers have processed an event.
func processed(a *clitest.Deployment, event string) {
	a.T.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // between two questions to a broker
		e := execute(a.T, nil, "explain", "--json", "-c", a.Config, event)
		var v struct{ Message struct{ State string } }
		if err := json.Unmarshal([]byte(e.Stdout), &v); e.Code != cli.ExitOK || err != nil {
			a.T.Fatalf("explain %s: exit code %d, %v\n%s%s", event, e.Code, err, e.Stdout, e.Stderr)
		}
		if v.Message.State != "not_read" {
			return
		}
		if time.Since(began) > 20*time.Second {
			a.T.Fatalf("%s is not processed: %+v", event, v)
		}
	}
}

// forge puts a key into a state directory that no changelog has.
func forge(t *testing.T, dir string) {
	t.Helper()
	store, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Range(state.Detect, 1)
	if err != nil {
		t.Fatal(err)
	}
	pos, _ := r.Position()
	if err := r.Apply(pos, pos, func(yield func(key, value []byte) bool) { yield([]byte("\x01rulestatmade up"), []byte("value")) }); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
