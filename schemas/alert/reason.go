package alert

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"firstseen/schemas/wire"
)

// Reason says in a sentence what happened and why that is an alert: "203.0.113.7 read bucket acme-logs without
// credentials; this address was not seen in the 7 days before". It has at most 1024 characters. It may contain what
// the network sent; Text shows it safely.
func (a *Alert) Reason() string { return a.reason(a.rule(), a.event()) }

func (a *Alert) reason(r *Rule, e *event) string {
	switch {
	case a.Kind == Gap:
		return cut(a.gapReason(), MaxText)
	case a.Suppressed > 0 || a.Kind == Overflow:
		return cut(a.overflowReason(r, e), MaxText)
	}
	s := appendDeed(make([]byte, 0, 512), e)
	s = a.appendBecause(append(s, "; "...), r)
	if g := a.Group; g != nil && g.Threshold > 1 {
		s = strconv.AppendInt(append(s, "; it happened "...), g.Threshold, 10)
		s = appendStamp(append(s, " times within the window from "...), g.Start)
	}
	if a.Kind == Closed {
		s = appendPlural(append(s, "; "...), a.Count, "match", "matches")
		s = appendStamp(append(s, " until the window closed, the last at "...), a.LastSeen)
	}
	return cut(string(s), MaxText)
}

// appendBecause appends why the rule matched.
func (a *Alert) appendBecause(dst []byte, r *Rule) []byte {
	switch {
	case a.NewTerms != nil:
		return a.appendNovelty(dst, r)
	case r.Category == "allowlist":
		return append(dst, "the address is outside every allowlisted network"...)
	}
	return append(strconv.AppendQuote(append(dst, "that is what rule "...), r.Name), " looks for"...)
}

// appendNovelty appends what was new and how long it had not been seen.
func (a *Alert) appendNovelty(dst []byte, r *Rule) []byte {
	n := a.NewTerms
	dst = append(dst, "this "...)
	if len(r.Fields) == 1 {
		switch field := r.Fields[0]; field {
		case "source.address", "source.ip", "client.address", "client.ip", "aws.s3access.remote_ip", "remoteip":
			dst = append(dst, "address"...)
		case "source.network":
			dst = append(dst, "network"...)
		default:
			dst = append(dst, field...)
		}
	} else {
		dst = append(dst, "combination of "...)
		for i, field := range r.Fields {
			if i > 0 {
				dst = append(dst, " and "...)
			}
			dst = append(dst, field...)
		}
	}
	known, complete := n.PreviousSeen != wire.NoTime, n.Complete(a.eventTime())
	switch {
	case known || complete:
		dst = append(appendSpan(append(dst, " was not seen in the "...), n.History), " before"...)
		if known {
			dst = appendStamp(append(dst, ", last at "...), n.PreviousSeen)
		}
		return dst
	case n.HistoryStart != wire.NoTime && n.HistoryStart < a.eventTime():
		return appendStamp(append(dst, " was not seen before, with a history that begins at "...), n.HistoryStart)
	}
	return append(dst, " was not seen before"...)
}

func (a *Alert) overflowReason(r *Rule, e *event) string {
	when := "has reached its cap on alerts"
	if a.Kind == Closed {
		when = "was over its cap on alerts"
	}
	where := "the suppressed ones"
	if a.SuppressedTopic != "" {
		where = "topic " + a.SuppressedTopic
	}
	s := fmt.Sprintf("rule %q %s: %s went to %s instead", r.Name, when, appendPlural(nil, a.Suppressed, "alert", "alerts"), where)
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
		appendPlural(nil, m.Next-m.First, "record", "records"), cut(m.Topic, 256), m.Partition, m.First)
}

// appendDeed appends who did what to which bucket.
func appendDeed(dst []byte, e *event) []byte {
	bucket, _ := e.object()
	v := verbOf(e, bucket != "")
	dst = append(dst, or(cut(e.address(), 256), "a caller without an address")...)
	if e.get("event.outcome") == "failure" {
		dst = append(append(dst, " tried to "...), v.base...)
	} else {
		dst = append(append(dst, ' '), v.past...)
	}
	if bucket != "" {
		dst = append(append(append(dst, v.toward...), " bucket "...), cut(bucket, 256)...)
	}
	if e.anonymous() {
		dst = append(dst, " without credentials"...)
	}
	return dst
}

// verb is what a call does, with what stands between it and the bucket.
type verb struct{ base, past, toward string }

// verbs are those of calls that have their own.
var verbs = func() map[string]verb {
	m := map[string]verb{}
	for v, names := range map[verb]string{
		{"read", "read", ""}:           "GetObject HeadObject SelectObjectContent GET.OBJECT HEAD.OBJECT",
		{"list", "listed", ""}:         "ListObjects ListObjectsV2 ListBucket ListObjectVersions GET.BUCKET GET.BUCKETVERSIONS",
		{"write", "wrote", " to"}:      "PutObject PostObject CopyObject UploadPart PUT.OBJECT POST.OBJECT COPY.OBJECT PUT.PART",
		{"delete", "deleted", " from"}: "DeleteObject DeleteObjects DELETE.OBJECT",
	} {
		for _, name := range strings.Fields(names) {
			m[name] = v
		}
	}
	return m
}()

// verbOf returns the verb of the call, which has its own only with a bucket to say it of. Names are those of CloudTrail
// (GetObject) and of the access log (REST.GET.OBJECT).
func verbOf(e *event, onBucket bool) verb {
	action := e.first("event.action", "aws.s3access.operation")
	if onBucket {
		if v, ok := verbs[action]; ok {
			return v
		}
		_, operation, _ := strings.Cut(action, ".") // behind REST., SOAP., WEBSITE., BATCH.
		if v, ok := verbs[operation]; ok {
			return v
		}
	}
	if action == "" {
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
	fmt.Fprintf(&b, "%s %-8s %-8s %s\n", appendStamp(nil, a.Time), strings.ToUpper(r.Severity), a.Kind, visible(a.title(), 1000))
	fmt.Fprintf(&b, "  %s\n", visible(a.reason(r, e), MaxText))
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

// appendStamp appends a time for a person, without the milliseconds it does not have.
func appendStamp(dst []byte, ms int64) []byte {
	if ms == wire.NoTime {
		return append(dst, "an unknown time"...)
	}
	dst = appendTime(dst, ms)
	if short, ok := bytes.CutSuffix(dst, []byte(".000Z")); ok {
		dst = append(short, 'Z')
	}
	return dst
}

// appendSpan appends milliseconds for a person: 7 days.
func appendSpan(dst []byte, ms int64) []byte {
	for i := range units {
		if u := &units[i]; ms%u.ms == 0 && ms != 0 {
			return appendPlural(dst, ms/u.ms, u.long, u.long+"s")
		}
	}
	return appendPlural(dst, ms/1000, "second", "seconds")
}

func appendPlural(dst []byte, n int64, one, many string) []byte {
	if n == 1 {
		return append(append(dst, "1 "...), one...)
	}
	return append(append(strconv.AppendInt(dst, n, 10), ' '), many...)
}

// or returns s, or other if s is empty.
func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
