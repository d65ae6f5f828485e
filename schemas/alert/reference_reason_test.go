package alert

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

// TestReasonIsTheReference: every sentence is that of the reference.
func TestReasonIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := someAlert(t)
		if got, want := a.Reason(), a.referenceReason(); got != want {
			t.Fatalf("%s\nwant %s", got, want)
		}
	})
}

func (a *Alert) referenceReason() string {
	r, e := a.rule(), referenceEvent{a.evidence()}
	var s string
	switch {
	case a.Kind == Gap:
		s = a.gapReason()
	case a.Suppressed > 0 || a.Kind == Overflow:
		s = a.overflowReason(r, a.event())
	default:
		s = e.deed(a.event()) + "; " + a.referenceBecause(r)
		if g := a.Group; g != nil && g.Threshold > 1 {
			s += fmt.Sprintf("; it happened %d times within the window from %s", g.Threshold, referenceStamp(g.Start))
		}
		if a.Kind == Closed {
			matches := "matches"
			if a.Count == 1 {
				matches = "match"
			}
			s += fmt.Sprintf("; %d %s until the window closed, the last at %s", a.Count, matches, referenceStamp(a.LastSeen))
		}
	}
	n := 0
	for i := range s {
		if n++; n > MaxText {
			return s[:i]
		}
	}
	return s
}

func (a *Alert) referenceBecause(r *Rule) string {
	n := a.NewTerms
	switch {
	case n == nil && r.Category == "allowlist":
		return "the address is outside every allowlisted network"
	case n == nil:
		return fmt.Sprintf("that is what rule %q looks for", r.Name)
	}
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
	unit, units := n.History/1000, "second"
	for _, u := range []struct {
		ms   int64
		name string
	}{{60_000, "minute"}, {3_600_000, "hour"}, {86_400_000, "day"}} {
		if n.History != 0 && n.History%u.ms == 0 {
			unit, units = n.History/u.ms, u.name
		}
	}
	if unit != 1 {
		units += "s"
	}
	period := fmt.Sprintf("%d %s", unit, units)
	switch {
	case n.PreviousSeen != wire.NoTime:
		return what + " was not seen in the " + period + " before, last at " + referenceStamp(n.PreviousSeen)
	case n.Complete(a.eventTime()):
		return what + " was not seen in the " + period + " before"
	case n.HistoryStart != wire.NoTime && n.HistoryStart < a.eventTime():
		return what + " was not seen before, with a history that begins at " + referenceStamp(n.HistoryStart)
	}
	return what + " was not seen before"
}

// TestVerbsAreThoseOfTheReference: every call has its verb, as CloudTrail and as the access log call it.
func TestVerbsAreThoseOfTheReference(t *testing.T) {
	for _, v := range referenceVerbs {
		for _, name := range strings.Fields(v.names) {
			for _, action := range []string{name, "REST." + name, "BATCH.REST." + name, name + "." + name, name + "s"} {
				for _, pairs := range [][]string{{"event.action", action}, {"event.action", action, "aws.s3access.bucket", "b"}} {
					a := &Alert{Rule: denied, Match: &wire.Match{Evidence: evidence(t, pairs...)}}
					if got, want := a.Reason(), a.referenceReason(); got != want {
						t.Errorf("%v: %s, want %s", pairs, got, want)
					}
				}
			}
		}
	}
}

var referenceVerbs = []struct{ base, past, toward, names string }{
	{"read", "read", "", "GetObject HeadObject SelectObjectContent GET.OBJECT HEAD.OBJECT"},
	{"list", "listed", "", "ListObjects ListObjectsV2 ListBucket ListObjectVersions GET.BUCKET GET.BUCKETVERSIONS"},
	{"write", "wrote", " to", "PutObject PostObject CopyObject UploadPart PUT.OBJECT POST.OBJECT COPY.OBJECT PUT.PART"},
	{"delete", "deleted", " from", "DeleteObject DeleteObjects DELETE.OBJECT"},
}

// deed says who did what; e is asked for the bucket, which other tests are about.
func (e referenceEvent) deed(asked *event) string {
	bucket, _ := asked.object()
	action := or(e.get("event.action"), e.get("aws.s3access.operation"))
	_, operation, _ := strings.Cut(action, ".")
	base, past, toward := "call "+cut(action, 128), "called "+cut(action, 128), " on"
	if action == "" {
		base, past = "make a call", "made a call"
	}
	for _, v := range referenceVerbs {
		names := strings.Fields(v.names)
		if bucket != "" && (slices.Contains(names, action) || slices.Contains(names, operation)) {
			base, past, toward = v.base, v.past, v.toward
		}
	}
	s := or(cut(e.address(), 256), "a caller without an address") + " "
	if e.get("event.outcome") == "failure" {
		s += "tried to " + base
	} else {
		s += past
	}
	if bucket != "" {
		s += toward + " bucket " + cut(bucket, 256)
	}
	if asked.anonymous() {
		s += " without credentials"
	}
	return s
}

func referenceStamp(ms int64) string {
	if ms == wire.NoTime {
		return "an unknown time"
	}
	s := time.UnixMilli(min(max(ms, -62135596800000), 253402300799999)).UTC().Format("2006-01-02T15:04:05.000Z")
	return strings.Replace(s, ".000Z", "Z", 1)
}
