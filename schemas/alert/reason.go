package alert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firstseen/schemas/wire"
)

// Reason says in a sentence what happened and why that is an alert: "203.0.113.7 read bucket acme-logs without
// credentials; this address was not seen in the 7 days before". It has at most 1024 characters. It may contain what
// the network sent; Text shows it safely.
func (a *Alert) Reason() string {
	r, e := a.rule(), a.event()
	var s string
	switch {
	case a.Kind == Gap:
		s = a.gapReason()
	case a.Suppressed > 0 || a.Kind == Overflow:
		s = a.overflowReason(r, e)
	default:
		s = deed(e) + "; " + a.because(r, e)
		if g := a.Group; g != nil && g.Threshold > 1 {
			s += fmt.Sprintf("; it happened %d times within the window from %s", g.Threshold, stamp(g.Start))
		}
		if a.Kind == Closed {
			s += fmt.Sprintf("; %s until the window closed, the last at %s", plural(a.Count, "match", "matches"), stamp(a.LastSeen))
		}
	}
	return cut(s, MaxText)
}

// because is why the rule matched.
func (a *Alert) because(r *Rule, e event) string {
	switch {
	case a.NewTerms != nil:
		return a.novelty(r)
	case r.Category == "allowlist":
		return "the address is outside every allowlisted network"
	}
	return "that is what rule " + strconv.Quote(r.Name) + " looks for"
}

// novelty says what was new and how long it had not been seen.
func (a *Alert) novelty(r *Rule) string {
	n := a.NewTerms
	what := "this combination of " + strings.Join(r.Fields, " and ")
	if len(r.Fields) == 1 {
		switch r.Fields[0] {
		case "source.address", "source.ip", "client.address", "client.ip", "aws.s3access.remote_ip", "remoteip":
			what = "this address"
		case "source.network":
			what = "this network"
		default:
			what = "this " + r.Fields[0]
		}
	}
	switch {
	case n.PreviousSeen != wire.NoTime:
		return what + " was not seen in the " + span(n.History) + " before, last at " + stamp(n.PreviousSeen)
	case n.Complete(a.eventTime()):
		return what + " was not seen in the " + span(n.History) + " before"
	case n.HistoryStart != wire.NoTime && n.HistoryStart < a.eventTime():
		return what + " was not seen before, with a history that begins at " + stamp(n.HistoryStart)
	}
	return what + " was not seen before"
}

func (a *Alert) overflowReason(r *Rule, e event) string {
	when := "has reached its cap on alerts"
	if a.Kind == Closed {
		when = "was over its cap on alerts"
	}
	where := "the suppressed ones"
	if a.SuppressedTopic != "" {
		where = "topic " + a.SuppressedTopic
	}
	s := fmt.Sprintf("rule %q %s: %s went to %s instead", r.Name, when, plural(a.Suppressed, "alert", "alerts"), where)
	if address := e.address(); address != "" {
		s += "; the first alert of the cap's window was about " + cut(address, 256)
	}
	return s
}

func (a *Alert) gapReason() string {
	m := a.Missing
	if m == nil {
		m = &Missing{}
	}
	return fmt.Sprintf("%s of topic %s, partition %d, from offset %d, expired before they were read; nothing is known about them",
		plural(m.Next-m.First, "record", "records"), cut(m.Topic, 256), m.Partition, m.First)
}

// deed says who did what to which bucket.
func deed(e event) string {
	bucket, _ := e.object()
	v := verbOf(e, bucket != "")
	did := v.past
	if e.get("event.outcome") == "failure" {
		did = "tried to " + v.base
	}
	s := or(cut(e.address(), 256), "a caller without an address") + " " + did
	if bucket != "" {
		s += v.toward + " bucket " + cut(bucket, 256)
	}
	if e.anonymous() {
		s += " without credentials"
	}
	return s
}

// verb is what a call does, with what stands between it and the bucket.
type verb struct{ base, past, toward string }

// verbOf returns the verb of the call, which has its own only with a bucket to say it of. Names are those of CloudTrail
// (GetObject) and of the access log (REST.GET.OBJECT).
func verbOf(e event, onBucket bool) verb {
	action := e.first("event.action", "aws.s3access.operation")
	_, operation, _ := strings.Cut(action, ".") // behind REST., SOAP., WEBSITE., BATCH.
	any := func(names ...string) bool {
		return onBucket && (slices.Contains(names, action) || slices.Contains(names, operation))
	}
	switch {
	case any("GetObject", "HeadObject", "SelectObjectContent", "GET.OBJECT", "HEAD.OBJECT"):
		return verb{"read", "read", ""}
	case any("ListObjects", "ListObjectsV2", "ListBucket", "ListObjectVersions", "GET.BUCKET", "GET.BUCKETVERSIONS"):
		return verb{"list", "listed", ""}
	case any("PutObject", "PostObject", "CopyObject", "UploadPart", "PUT.OBJECT", "POST.OBJECT", "COPY.OBJECT", "PUT.PART"):
		return verb{"write", "wrote", " to"}
	case any("DeleteObject", "DeleteObjects", "DELETE.OBJECT"):
		return verb{"delete", "deleted", " from"}
	case action == "":
		return verb{"make a call", "made a call", " on"}
	}
	action = cut(action, 128)
	return verb{"call " + action, "called " + action, " on"}
}

// Text returns the alert for a terminal: a line with time, severity and title, one with the reason, and one with where
// to look. Whatever the network sent shows as printable characters.
func (a *Alert) Text() string {
	r, e := a.rule(), a.event()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-8s %-8s %s\n", stamp(a.Time), strings.ToUpper(r.Severity), a.Kind, visible(a.title(), 1000))
	fmt.Fprintf(&b, "  %s\n", visible(a.Reason(), MaxText))
	fmt.Fprintf(&b, "  rule %s, alert %s", visible(r.ID, 256), a.ID)
	if a.Match != nil {
		fmt.Fprintf(&b, ", event %s", visible(EventID(a.Match), 256))
	}
	if agent := e.get("user_agent.original"); agent != "" {
		fmt.Fprintf(&b, ", user agent %s", visible(agent, 128))
	}
	if names := a.flags().Names(); len(names) > 0 {
		fmt.Fprintf(&b, " [%s]", strings.Join(names, " "))
	}
	b.WriteByte('\n')
	return b.String()
}

// stamp writes a time for a person, without the milliseconds it does not have.
func stamp(ms int64) string {
	if ms == wire.NoTime {
		return "an unknown time"
	}
	return strings.Replace(string(appendTime(nil, ms)), ".000Z", "Z", 1)
}

// span writes milliseconds for a person: 7 days.
func span(ms int64) string {
	for _, u := range units {
		if ms%u.ms == 0 && ms != 0 {
			return plural(ms/u.ms, u.long, u.long+"s")
		}
	}
	return plural(ms/1000, "second", "seconds")
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}

// or returns s, or other if s is empty.
func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
