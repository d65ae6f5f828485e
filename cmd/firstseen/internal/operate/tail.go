package operate

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/processor"
)

// Tail is firstseen tail.
type Tail struct {
	deployment.Flags `embed:""`
	FromStart        bool   `help:"Begin with the oldest alert instead of the next."`
	Suppressed       bool   `help:"Print the suppressed findings instead of the alerts."`
	Output           string `enum:"text,json" default:"text" help:"text: two lines an alert; json: the document, one a line."`
	Count            int    `short:"n" placeholder:"N" help:"End after N alerts."`
}

// Run prints alerts as a read_committed subscriber sees them, until it is interrupted.
func (c *Tail) Run(a *cli.App) error {
	cfg, adm, done, err := connect(a, &c.Flags)
	if err != nil {
		return err
	}
	defer done()
	topic := cfg.App + ".alerts"
	if c.Suppressed {
		topic = cfg.App + ".suppressed"
	}
	details, err := adm.ListTopics(a.Ctx, topic)
	if err != nil {
		return fmt.Errorf("%w: %w", processor.ErrUnreachable, err)
	}
	if err := details.Error(); err != nil {
		return fmt.Errorf("%w: %s (%w): a worker creates it when it starts; is %s the app of a deployment?", processor.ErrNoTopic, topic, err, cfg.App)
	}
	opts, err := cfg.ClientOpts()
	if err != nil {
		return cli.Usage(err)
	}
	from := kgo.NewOffset().AtEnd()
	if c.FromStart {
		from = kgo.NewOffset().AtStart()
	}
	cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		return cli.Usage(err)
	}
	defer cl.Close()
	for n := 0; ; {
		fetches := cl.PollFetches(a.Ctx)
		if a.Ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			fmt.Fprintf(a.Stderr, "firstseen: read %s/%d: %v\n", e.Topic, e.Partition, e.Err)
		}
		for r := range fetches.RecordsAll() {
			if err := printAlert(a.Stdout, r.Value, c.Output == "json", held(r)); err != nil {
				return err
			}
			if n++; n == c.Count {
				return nil
			}
		}
	}
}

// held is why an alert is suppressed, with a comma before it; empty: it is not.
func held(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key == "firstseen-suppressed" {
			return ", suppressed: " + string(h.Value)
		}
	}
	return ""
}

// printAlert prints an ECS alert document for people, or any document as it is.
func printAlert(w io.Writer, document []byte, raw bool, held string) error {
	var doc struct {
		Timestamp string `json:"@timestamp"`
		Message   string
		Event     struct {
			Severity int
			Reason   string
		}
		Rule      struct{ ID string }
		Firstseen struct {
			Alert struct {
				Status string
				Count  int64
			}
		}
	}
	if raw || json.Unmarshal(document, &doc) != nil || doc.Rule.ID == "" && doc.Message == "" {
		_, err := fmt.Fprintf(w, "%s\n", document)
		return err
	}
	severity := map[int]string{21: "low", 47: "medium", 73: "high", 99: "critical"}[doc.Event.Severity]
	_, err := fmt.Fprintf(w, "%s  %-8s  %-8s  %s\n    %s  [%s%s]\n", doc.Timestamp, strings.ToUpper(severity), doc.Firstseen.Alert.Status, doc.Message, doc.Event.Reason, doc.Rule.ID, held)
	return err
}
