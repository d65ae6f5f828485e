package demo

import (
	"context"
	"fmt"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/rules"
	"firstseen/schemas/alert"
	"firstseen/traffic"
)

// story plays an attack within quiet traffic, in ten seconds of real time.
func (d *demo) story(seed uint64) error {
	set, _, err := rules.Load(rules.LoadOptions{})
	if err != nil {
		return err
	}
	d.say.line("%sfirstseen demo%s: everything in this process, nothing left behind\n", d.say.strong, d.say.plain)
	d.say.line("  broker      %s, embedded, for development only", d.broker.Addr())
	for i, r := range set.Rules() {
		name := "rules"
		if i > 0 {
			name = ""
		}
		d.say.line("  %-10s  %s", name, r.ID())
	}
	d.say.line("  subscriber  reads %s.alerts, committed records only\n", appName)
	return d.perform(func() error {
		d.say.begin()
		s, err := traffic.NewStory(seed, d.say.began, 10*time.Second, 200)
		if err != nil {
			return err
		}
		if err := d.chapters(s); err != nil {
			return err
		}
		d.sum()
		if err := d.judge(s.Alerts); err != nil {
			return err
		}
		d.next([2]string{"demo --crash", "the worker is killed with SIGKILL in the middle, again and again"},
			[2]string{"scan --output text PATH", "your CloudTrail files or S3 access logs, without Kafka"},
			[2]string{"run --dev", "a worker and an embedded broker that any Kafka client can use"},
			[2]string{"run -c firstseen.yml", "a worker on your Kafka"})
		return nil
	})
}

// chapters produces the records of one chapter after the other and says, once they are processed, what became of them.
func (d *demo) chapters(s *traffic.Story) error {
	at, left, told := d.moments(s.Records), s.Records, 0
	for i, c := range s.Chapters {
		cli.Pause(d.ctx, time.Until(d.say.began.Add(c.Time.Sub(s.Chapters[0].Time))))
		if d.ctx.Err() != nil {
			return context.Cause(d.ctx)
		}
		n := len(left)
		if i+1 < len(s.Chapters) {
			for n = 0; n < len(left) && left[n].Time.Before(s.Chapters[i+1].Time); n++ {
			}
		}
		d.say.happens("%s", c.Text)
		if err := d.produce(left[:n], func(i int) time.Time { return at[i] }); err != nil {
			return err
		}
		at, left = at[n:], left[n:]
		if err := d.settle(10 * time.Second); err != nil {
			return err
		}
		alerts := len(d.sub.counted().alerts)
		became := "no alert"
		if alerts > told {
			became = show.Plural(int64(alerts-told), "alert")
		}
		d.say.adds("%s, %s", show.Plural(int64(n), "record"), became)
		told = alerts
	}
	return nil
}

// moments is when each record is produced: as long after the beginning as its event time is after that of the first,
// those of one second spread over it.
func (d *demo) moments(records []traffic.Record) []time.Time {
	in := map[time.Time]int{}
	for _, r := range records {
		in[r.Time]++
	}
	at, n := make([]time.Time, len(records)), map[time.Time]int{}
	for i, r := range records {
		at[i] = d.say.began.Add(r.Time.Sub(records[0].Time) + time.Second*time.Duration(n[r.Time])/time.Duration(in[r.Time]))
		n[r.Time]++
	}
	return at
}

// sum says what was counted.
func (d *demo) sum() {
	c := d.sub.counted()
	alerts := map[string]int{}
	for _, a := range c.alerts {
		if a.status == alert.Closed {
			alerts[a.status]++
		} else {
			alerts[a.category]++
		}
	}
	of := fmt.Sprintf("new terms %d, allowlist %d", alerts["new_terms"], alerts["allowlist"])
	if n := alerts[alert.Closed]; n > 0 {
		of += fmt.Sprintf("; and %s when a window closed", show.Plural(int64(n), "update"))
	}
	d.say.line("\nwhat a subscriber counted")
	number := func(n int) string { return show.Grouped(int64(n)) }
	d.say.row("records", number(c.records), "read from the source topics, one a message")
	d.say.row("candidates", number(c.candidates), "anonymous access, combined by address within a transaction")
	d.say.row("findings", number(c.findings), "new addresses, and requests from outside the allowlist, combined by bucket")
	d.say.row("alerts", number(len(c.alerts)-alerts[alert.Closed]), of)
	d.say.row("suppressed", number(c.suppressed), "over the cap of a rule")
	d.say.row("dead letters", number(c.dead), "input that could not be read")
	if c.aborted > 0 {
		d.say.row("aborted", number(c.aborted), "records of transactions that died with a worker: on the broker, never shown")
	}
	median, longest := c.delays()
	d.say.row("latency", fmt.Sprintf("%d ms", median.Milliseconds()), fmt.Sprintf("from a produced record to its alert, median; at most %d ms", longest.Milliseconds()))
}
