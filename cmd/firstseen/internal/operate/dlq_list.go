package operate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/config"
	"firstseen/processor"
	"firstseen/schemas"
)

type listLetters struct {
	deployment.Flags `embed:""`
	Reason           string `placeholder:"REASON" help:"Only those with this reason, such as invalid_json."`
	Since            string `placeholder:"POINT" help:"Only those written since: a time, or a duration before now such as 2h or 7d."`
	Count            int    `short:"n" default:"20" placeholder:"N" help:"Only the last N; 0: all."`
	JSON             bool   `name:"json" help:"Print one JSON document a line, with the value."`
}

// letterView is a dead letter as it is printed.
type letterView struct {
	At          string         `json:"at"` // where it is: TOPIC/PARTITION/OFFSET
	Time        string         `json:"time"`
	Reason      schemas.Reason `json:"reason"`
	Detail      string         `json:"detail"`
	Stage       string         `json:"stage"`
	Topic       string         `json:"topic"`
	Partition   int32          `json:"partition"`
	Offset      int64          `json:"offset"`
	Index       int32          `json:"index"`          // -1: the whole message
	Size        int            `json:"size,omitempty"` // of the whole value, where only a part is kept
	Value       string         `json:"value,omitempty"`
	ValueBase64 []byte         `json:"value_base64,omitempty"` // not UTF-8
}

// Run prints the last dead letters, the oldest of them first, and how many there are of each reason.
func (c *listLetters) Run(a *cli.App) error {
	if err := knownReason(c.Reason); err != nil {
		return err
	}
	wc, err := deployment.FromOutside(c.LoadAny())
	if err != nil {
		return err
	}
	since, err := sinceWhen(c.Since, time.Now())
	if err != nil {
		return cli.Usage(err)
	}
	l, err := processor.OpenLookup(a.Ctx, wc)
	if err != nil {
		return err
	}
	defer l.Close() // it was only read
	var last []processor.DeadLetter
	newest := func() {
		slices.SortStableFunc(last, func(a, b processor.DeadLetter) int {
			return cmp.Or(a.Record.Timestamp.Compare(b.Record.Timestamp), cmp.Compare(a.Record.Partition, b.Record.Partition))
		})
		if c.Count > 0 && len(last) > c.Count {
			last = slices.Delete(last, 0, len(last)-c.Count)
		}
	}
	count := map[schemas.Reason]int{}
	_, err = l.Since(a.Ctx, processor.WrittenDeadLetters, since, nil, func(r *kgo.Record) {
		d, ok := processor.ParseDeadLetter(r)
		if !ok || c.Reason != "" && string(d.Reason) != c.Reason || r.Timestamp.UnixMilli() < since {
			return
		}
		count[d.Reason]++
		if !c.JSON {
			r.Value = nil
		}
		if last = append(last, d); c.Count > 0 && len(last) > 2*c.Count+100 {
			newest()
		}
	})
	if err != nil {
		return err
	}
	newest()
	for _, d := range last {
		if err := c.print(a, d); err != nil {
			return err
		}
	}
	total := 0
	for _, r := range schemas.Reasons() {
		if n := count[r]; n > 0 {
			total += n
			fmt.Fprintf(a.Stderr, "%s: %s\n", r, show.Grouped(int64(n)))
		}
	}
	fmt.Fprintf(a.Stderr, "%s, %s shown\n", show.Plural(int64(total), "dead letter"), show.Grouped(int64(len(last))))
	return nil
}

func (c *listLetters) print(a *cli.App, d processor.DeadLetter) error {
	if !c.JSON {
		_, err := fmt.Fprintf(a.Stdout, "%s  %-16s  %s  %s\n", d.Record.Timestamp.UTC().Format(time.RFC3339), d.Reason, origin(d), show.Text(d.Detail, 200))
		return err
	}
	v := letterView{At: letterAt(d), Time: show.Time(d.Record.Timestamp.UnixMilli()), Reason: d.Reason, Detail: d.Detail, Stage: string(d.Stage),
		Topic: d.Topic, Partition: d.Partition, Offset: d.Offset, Index: d.Index, Size: d.Size}
	if utf8.Valid(d.Record.Value) {
		v.Value = string(d.Record.Value)
	} else {
		v.ValueBase64 = d.Record.Value
	}
	enc := json.NewEncoder(a.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// sinceWhen is a point in time in Unix milliseconds; an empty text is the beginning.
func sinceWhen(text string, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UnixMilli(), nil
	}
	d, err := config.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("--since %s is neither a time such as 2026-01-31T10:00:00Z nor a duration before now such as 2h or 7d", text)
	}
	return now.Add(-time.Duration(d)).UnixMilli(), nil
}
