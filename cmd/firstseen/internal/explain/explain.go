// Package explain says of an event why it did alert or did not, rule by rule, and what of that is known for certain.
package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/config"
	"firstseen/processor"
	"firstseen/rules"
	"firstseen/schemas"
)

// Command is firstseen explain.
type Command struct {
	deployment.Flags `embed:""`
	Rules            []string  `sep:"none" placeholder:"PATH" help:"Rule file, or directory of them, beside those of the configuration; the same id replaces. May be given several times."`
	Strict           bool      `help:"Both built-in rules to the letter."`
	Rule             string    `placeholder:"ID" help:"Only this rule."`
	Index            int32     `default:"-1" placeholder:"N" help:"Which record of the message or file, from 0; firstseen.origin.index of an alert."`
	Line             int64     `placeholder:"N" help:"Only the value of the file that begins at this line; firstseen.origin.line of an alert."`
	Format           string    `enum:"auto,cloudtrail,s3access" default:"auto" help:"Of a file: auto (told by each record), cloudtrail or s3access."`
	State            string    `placeholder:"DIR" help:"What was seen: the state directory of scan --state, or of a worker that does not run. No broker is asked."`
	Now              time.Time `placeholder:"TIME" help:"Of a file: the time of records without one, and the latest that is believed; RFC 3339. Default: the clock."`
	JSON             bool      `name:"json" help:"Print one JSON document."`
	Event            string    `arg:"" name:"event" help:"FILE, - for standard input, or TOPIC/PARTITION/OFFSET."`
}

// inquiry is one run of the command.
type inquiry struct {
	*Command
	cfg      *config.Config
	worker   processor.Config
	set      *rules.Set
	bounds   schemas.Bounds
	validate bool
	now      int64
	lookup   *processor.Lookup // nil: what was seen is not known
	record   *kgo.Record       // nil: the event is of a file
}

// Run explains one event. What was seen is asked of the brokers if the event is there or the configuration names any, of
// a directory with --state, and of nobody else: then the answer says what it depends on.
func (c *Command) Run(a *cli.App) error {
	x, err := c.open(a)
	if err != nil {
		return cli.Usage(err)
	}
	topic, partition, offset, inKafka := parseOffset(c.Event)
	if inKafka && c.State != "" {
		return cli.Usage(fmt.Errorf("%s is a record in Kafka, and --state keeps from asking the brokers: leave one of them out", c.Event))
	}
	unreachable := x.connect(a, inKafka)
	if x.lookup != nil {
		defer x.lookup.Close() // it was only read
	}
	if unreachable != nil && (inKafka || c.State != "") { // of a file much can be said without
		return unreachable
	}
	var p *picked
	if inKafka {
		p, err = x.pickRecord(a.Ctx, topic, partition, offset)
	} else if p, err = x.pickFile(a); err != nil {
		err = cli.Usage(err)
	}
	if err != nil {
		return err
	}
	if err := x.decode(p); err != nil {
		return cli.Usage(err)
	}
	view, err := x.view(a.Ctx, p)
	if err != nil {
		return err
	}
	if unreachable != nil {
		view.Store.From = "not known: " + unreachable.Error()
	}
	if c.JSON {
		enc := json.NewEncoder(a.Stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(view)
	} else {
		err = view.print(a.Stdout, c.Rule != "")
	}
	return errors.Join(unreachable, err)
}

// open loads the configuration and the rules.
func (c *Command) open(a *cli.App) (x *inquiry, err error) {
	x = &inquiry{Command: c, now: time.Now().UnixMilli()}
	if !c.Now.IsZero() {
		x.now = c.Now.UnixMilli()
	}
	if x.cfg, err = c.LoadAny(); err != nil {
		return nil, err
	}
	x.cfg.Rules.Paths = append(x.cfg.Rules.Paths, c.Rules...)
	x.cfg.Strict = x.cfg.Strict || c.Strict
	if x.set, err = deployment.LoadRules(x.cfg, deployment.NoLog()); err != nil {
		return nil, err
	}
	if c.Rule != "" && x.set.Rule(c.Rule) == nil {
		return nil, fmt.Errorf("no rule %q is loaded; firstseen rules list shows their ids", c.Rule)
	}
	if x.worker, err = deployment.WorkerConfig(x.cfg, x.set, deployment.NoLog(), nil); err != nil {
		return nil, err
	}
	x.bounds, x.validate = x.worker.Bounds, x.worker.ValidateAll
	return x, nil
}

// connect opens what the store's knowledge is asked of.
func (x *inquiry) connect(a *cli.App, inKafka bool) (err error) {
	switch {
	case x.State != "":
		x.lookup, err = deployment.OpenStateDir(x.State, x.worker)
	case inKafka || x.Config != "" || x.Set["brokers"] != "" || os.Getenv("FIRSTSEEN_BROKERS") != "":
		x.lookup, err = processor.OpenLookup(a.Ctx, x.worker)
	}
	return err
}

// pickRecord reads the message from its topic.
func (x *inquiry) pickRecord(ctx context.Context, topic string, partition int32, offset int64) (*picked, error) {
	r, err := x.lookup.Record(ctx, topic, partition, offset)
	if errors.Is(err, processor.ErrNoRecord) || errors.Is(err, processor.ErrNoTopic) {
		return nil, cli.Usage(err)
	} else if err != nil {
		return nil, err
	}
	x.record = r
	m := schemas.Message{Value: r.Value, Timestamp: -1, Topic: topic, Partition: partition, Offset: offset}
	if !r.Timestamp.IsZero() {
		m.Timestamp = r.Timestamp.UnixMilli()
	}
	for _, s := range x.worker.Sources {
		if s.Topic == topic {
			m.Format = s.Format
		}
	}
	list := recordList{most: 20}
	list.message(x.decoder(nil), m)
	switch {
	case x.Index < 0 && list.n > 1:
		return nil, cli.Usage(fmt.Errorf("the message has %s: say which one with --index N\n%s", show.Plural(int64(list.n), "record"), list.String()))
	case x.Index >= list.n:
		return nil, cli.Usage(fmt.Errorf("the message has %s, there is none with --index %d: they are counted from 0", show.Plural(int64(list.n), "record"), x.Index))
	}
	return &picked{message: m, index: max(x.Index, 0)}, nil
}
