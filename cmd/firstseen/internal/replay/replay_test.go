package replay

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/processor"
	"firstseen/traffic"
)

// replayed is a deployment whose logs are replayed.
type replayed struct{ *clitest.Past }

// replay runs the command and returns its report.
func (d *replayed) replay(args ...string) (r report) {
	d.T.Helper()
	e := execute(d.T, nil, append([]string{"replay", "-c", d.File, "--json"}, args...)...)
	if e.Code != cli.ExitOK {
		d.T.Fatalf("replay %v: exit code %d\n%s", args, e.Code, e.Stderr)
	}
	if err := json.Unmarshal([]byte(e.Stdout), &r); err != nil {
		d.T.Fatal(err)
	}
	return r
}

// sum adds up the rules of a report.
func (r report) sum() (s ruleDiff) {
	for _, d := range r.Rules {
		s.Would, s.Did, s.Same, s.Moved, s.Added, s.Gone = s.Would+d.Would, s.Did+d.Did, s.Same+d.Same, s.Moved+d.Moved, s.Added+d.Added, s.Gone+d.Gone
		s.WouldCaps, s.DidCaps = s.WouldCaps+d.WouldCaps, s.DidCaps+d.DidCaps
	}
	return s
}

const noCapOnAlerts = traffic.NewTermsRule + ".max_alerts=off"

func TestReplayOfTheSameRules(t *testing.T) {
	d := replayOfTheSameRules(t, clitest.Broker(t), "same")
	d.writesNothing()
	d.Produce(d.Inputs[:1]) // there is no worker now
	unread := fmt.Sprintf("has not read all of %s/%d yet", d.Inputs[0].Topic, d.Inputs[0].Partition)
	if notes := d.replay("--from", "earliest").Notes; len(notes) != 1 || !strings.Contains(notes[0], unread) {
		t.Errorf("notes %q, want that the deployment %s", notes, unread)
	}
}

// replayOfTheSameRules replays what a worker has processed with the rules it had: all is the same, wherever the range
// begins and ends, if what the rules remember is read before it.
func replayOfTheSameRules(t *testing.T, brokers, app string) *replayed {
	d := &replayed{clitest.NewPast(t, brokers, app, noCapOnAlerts)}
	d.Produce(d.Inputs)
	d.Work(func() int { return d.Alerts })
	trail, lines := d.Worker.Sources[0].Topic, d.Worker.Sources[1].Topic
	for _, test := range []struct {
		args string
		want int // alerts, at least
	}{
		{"--from earliest", d.Alerts},
		{"--from " + d.Day(10), d.Alerts / 4},
		{"--from " + d.Day(10) + " --to " + d.Day(11.5), 20},
		{"--from " + d.Day(10) + " --warm 9d12h --state-dir " + t.TempDir(), d.Alerts / 4},
		{fmt.Sprintf("--from %[1]s/0:300,%[1]s/2:350,%[2]s/1:200,%[2]s/2:400 --to latest", trail, lines), 100},
		{fmt.Sprintf("--from earliest --to %s/1:300", trail), 100},
		{"--from latest", 0},
	} {
		r := d.replay(strings.Fields(test.args)...)
		s := r.sum()
		if s.Would != s.Did || s.Same != s.Did || s.Moved+s.Added+s.Gone != 0 || len(r.Notes) > 0 {
			t.Errorf("%s: %+v %v", test.args, s, r.Notes)
		}
		if s.Did < int64(test.want) {
			t.Errorf("%s: %d alerts, want %d at least", test.args, s.Did, test.want)
		}
		if against := d.replay(append(strings.Fields(test.args), "--against", "rules")...).sum(); fmt.Sprint(against) != fmt.Sprint(s) {
			t.Errorf("%s: against the rules %+v, against the alerts %+v", test.args, against, s)
		}
	}
	if s := d.replay("--from", d.Day(10), "--warm", "0").sum(); s.Added == 0 || s.Gone > 0 {
		t.Errorf("without a warm-up addresses should be new that were not: %+v", s)
	}
	return d
}

// writesNothing compares the brokers before and after a replay.
func (d *replayed) writesNothing() {
	d.T.Helper()
	adm := kadm.NewClient(d.Client)
	look := func() string {
		topics, err := adm.ListTopics(d.T.Context())
		if err != nil {
			d.T.Fatal(err)
		}
		ends, err2 := adm.ListEndOffsets(d.T.Context(), topics.Names()...)
		groups, err3 := adm.ListGroups(d.T.Context())
		txns, err4 := adm.ListTransactions(d.T.Context(), nil, nil)
		if err2 != nil || err3 != nil || err4 != nil {
			d.T.Fatal(err2, err3, err4)
		}
		return fmt.Sprint(topics.Names(), ends.Offsets().Sorted(), groups.Groups(), txns.TransactionalIDs())
	}
	before := look()
	d.replay("--from", d.Day(10), "--to", d.Day(11))
	if after := look(); after != before {
		d.T.Errorf("before: %s\nafter:  %s", before, after)
	}
}

// TestReplayOfCandidates replays with other rules. The difference to the alerts of a worker is the one to a replay of
// the worker's rules.
func TestReplayOfCandidates(t *testing.T) {
	d := &replayed{clitest.NewPast(t, clitest.Broker(t), "candidates", noCapOnAlerts)}
	d.Produce(d.Inputs)
	d.Work(func() int { return d.Alerts })
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	builtin := func(file string, changes ...string) string {
		text, err := os.ReadFile("../../../../rules/builtin/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.NewReplacer(changes...).Replace(string(text)); got != string(text) {
			return got
		}
		t.Fatalf("%s has changed: %q is not in it", file, changes)
		return ""
	}
	terms, list := "aws_s3_unauthenticated_bucket_access_by_rare_source.yaml", "aws_s3_access_ip_allowlist.yaml"
	for _, test := range []struct {
		name, file  string
		added, gone bool
	}{
		{"longer history", builtin(terms, "history: 7d", "history: 14d"), false, true},
		{"shorter history", builtin(terms, "history: 7d", "history: 1d"), true, false},
		{"an hour becomes a day", builtin(list, "period: 60m", "period: 24h"), false, true},
		{"another allowlist", builtin(list, "10.0.0.0/8", "128.0.0.0/1"), true, true},
		{"in shadow mode", builtin(list, "threshold: 1", "threshold: 1\nmode: shadow"), false, true},
		{"one rule more", strings.Replace(clitest.Rule, `"acme-logs"`, "*", 1), true, false},
	} {
		args := []string{"--from", d.Day(8), "--rules", write("candidate.yaml", test.file)}
		r := d.replay(args...)
		s := r.sum()
		if (s.Added > 0) != test.added || (s.Gone > 0) != test.gone || s.Same == 0 {
			t.Errorf("%s: %+v", test.name, s)
		}
		if s.Would != s.Same+s.Moved+s.Added || s.Did != s.Same+s.Moved+s.Gone {
			t.Errorf("%s: %+v does not add up", test.name, s)
		}
		if against := d.replay(append(args, "--against", "rules")...); fmt.Sprint(against.sum()) != fmt.Sprint(s) {
			t.Errorf("%s: against the rules %+v, against the alerts %+v", test.name, against.sum(), s)
		}
		if e := execute(t, nil, append([]string{"replay", "-c", d.File, "--fail-on-diff", "--limit", "1"}, args...)...); e.Code != cli.ExitFindings {
			t.Errorf("%s: exit code %d with --fail-on-diff\n%s%s", test.name, e.Code, e.Stdout, e.Stderr)
		}
	}
}

// TestReplayOfACap has a cap that is reached: which alerts are over it is a matter of order, so they count all the same.
func TestReplayOfACap(t *testing.T) {
	d := &replayed{clitest.NewPast(t, clitest.Broker(t), "capped", traffic.NewTermsRule+".max_alerts={count: 3, per: 24h}")}
	d.Produce(d.Inputs)
	d.Work(func() int { return d.Alerts })
	for _, from := range []string{"earliest", d.Day(9)} {
		r := d.replay("--from", from)
		s := r.sum()
		if s.Same != s.Did || s.Would != s.Did || s.Added+s.Gone+s.Moved != 0 {
			t.Errorf("from %s: %+v", from, s)
		}
		if s.WouldCaps < 5 || s.DidCaps < 1 { // a worker that catches up meets the partitions in another order
			t.Errorf("from %s: the cap was reached %d and %d times, the test shows too little", from, s.WouldCaps, s.DidCaps)
		}
	}
}

// TestReplayOfAThreshold ends ranges where windows are open whose alert was made later: by a match behind the range, so
// it is none of the range's.
func TestReplayOfAThreshold(t *testing.T) {
	d := &replayed{clitest.NewPast(t, clitest.Broker(t), "threshold", traffic.AllowlistRule+".threshold=2")}
	alerts := 0
	for _, a := range d.Model.Alerts {
		if a.Rule == traffic.NewTermsRule || a.Count > 1 {
			alerts++
		}
	}
	d.Produce(d.Inputs)
	d.Work(func() int { return alerts })
	for n := range 12 {
		to := d.Start.Add(12*24*time.Hour + time.Duration(n)*20*time.Minute).Format(time.RFC3339)
		r := d.replay("--from", d.Day(10), "--to", to)
		if s := r.sum(); s.Same != s.Did || s.Would != s.Did || s.Added+s.Gone+s.Moved != 0 || s.Did < 40 {
			t.Errorf("to %s: %+v", to, s)
		}
	}
}

// TestReplayOfWhatWasLearned has a deployment that learned or skipped the first half: it made no alerts of that, and of
// what comes after it those that a replay makes.
func TestReplayOfWhatWasLearned(t *testing.T) {
	for _, test := range []struct {
		name string
		mode processor.LearningMode
	}{{"learned", processor.LearnEverything}, {"skipped", processor.SkipEverything}} {
		t.Run(test.name, func(t *testing.T) {
			d := &replayed{clitest.NewPast(t, clitest.Broker(t), test.name, traffic.AllowlistRule+".dedup.period=24h")} // many windows would have begun before
			d.Worker.Learning = processor.Learning{Mode: test.mode}
			d.Produce(d.Inputs[:2000])
			d.Work(func() int {
				d.AwaitNote("learn/")
				d.Produce(d.Inputs[2000:])
				return int(d.replay("--from", "earliest").sum().Would)
			})
			for _, from := range []string{"earliest", d.Day(9), d.Day(14)} {
				r := d.replay("--from", from)
				s := r.sum()
				if s.Same != s.Did || s.Would != s.Did || s.Added+s.Gone+s.Moved != 0 || s.Did < 50 {
					t.Errorf("from %s: %+v", from, s)
				}
				if noted := len(r.Notes) == 1 && strings.Contains(r.Notes[0], "learned"); noted != (from != d.Day(14)) {
					t.Errorf("from %s: notes %q", from, r.Notes)
				}
			}
		})
	}
}
