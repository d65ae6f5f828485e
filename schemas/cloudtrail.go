package schemas

import (
	"bytes"

	"firstseen/schemas/internal/times"
	"firstseen/schemas/jsonscan"
)

// verdict is what a parsed object turned out to be.
type verdict uint8

const (
	isEvent   verdict = iota
	isNone            // not what its parser is for
	isSkipped         // a notification, which only looks like an API call
	isBad             // no JSON, or without a time
)

// cloudTrail parses raw, a whole JSON object, as a CloudTrail record and fills the event. FORMATS 2 is the table of
// fields.go; what is more than a copy is here. Sources: AWS's record reference, Elastic's aws.cloudtrail pipeline.
func (d *Decoder) cloudTrail(raw []byte) (verdict, Reason) {
	if reason := d.parse(d.layout.tree, raw); reason != "" {
		return isBad, reason
	}
	d.text = d.text[:0]
	e := d.begin(CloudTrail, raw)
	var login, when []byte
	for i := range d.parser.Hits {
		h := &d.parser.Hits[i]
		if h.Kind >= jsonscan.Object {
			if s := Slot(h.ID) - Slot(fRequestText); uint(s) < uint(len(e.objects)) {
				e.objects[s] = raw[h.Start:h.End]
			}
			continue
		}
		text := raw[h.Start:h.End]
		if len(text) == 0 {
			continue
		}
		if !h.Plain {
			text = d.unquote(text)
		}
		switch h.ID {
		case hitConsoleLogin:
			login = text
		case hitTime:
			when = text
		default:
			e.add(Slot(h.ID), Value{Text: text, Kind: Kind(h.Kind), Elem: h.Elem})
		}
	}
	switch {
	case string(e.Text(Slot(fProvider))) == "aws:s3":
		return isSkipped, ""
	case !d.isCloudTrail(e, when):
		return isNone, ""
	}
	millis, ok := times.Parse(when)
	if e.Time, e.Flags, ok = d.clock.settle(millis, ok); !ok {
		return isBad, NoTime
	}
	d.deriveCloudTrail(e, login)
	d.deriveAny(e)
	return isEvent, ""
}

// isCloudTrail tells an API call from other objects. A source that is said to be CloudTrail may leave more out.
func (d *Decoder) isCloudTrail(e *Event, when []byte) bool {
	named := e.Text(Slot(fAction)) != nil
	if d.m.Format == FormatCloudTrail {
		return named || e.Text(Slot(fProvider)) != nil
	}
	return named && (when != nil || e.Text(Slot(fProvider)) != nil || e.Text(Slot(fUserType)) != nil || e.Text(Slot(fEventID)) != nil)
}

var (
	textSuccess = []byte("success")
	textFailure = []byte("failure")
	textUnknown = []byte("unknown")
	answers     = map[string][]byte{"Yes": []byte("true"), "No": []byte("false")}
)

func (d *Decoder) deriveCloudTrail(e *Event, login []byte) {
	outcome := textSuccess
	if e.Text(Slot(fErrorCode)) != nil || e.Text(Slot(fErrorMessage)) != nil {
		outcome = textFailure
	}
	if login != nil && string(e.Text(Slot(fAction))) == "ConsoleLogin" {
		outcome = d.keep(bytes.ToLower(login))
	}
	e.add(Slot(fOutcome), Value{Text: outcome})

	// Elastic's field is a boolean, and says this of console logins only.
	if used := e.Text(Slot(fMFAUsed)); used != nil {
		e.slots[fMFAUsed] = e.slots[fMFAUsed][:0]
		if answer, ok := answers[string(used)]; ok && string(e.Text(Slot(fAction))) == "ConsoleLogin" {
			e.add(Slot(fMFAUsed), Value{Text: answer, Kind: Bool})
		}
	}
	if address := e.Text(Slot(fSourceAddress)); address != nil {
		if ip := d.canonical(address); ip != nil {
			e.add(Slot(fSourceIP), Value{Text: ip})
			d.deriveNetwork(e, ip)
			d.deriveOwner(e, ip)
		}
	}
	// An assumed role has no user name; its issuer, the role, has.
	if issuer := e.Values(Slot(fIssuerName)); len(issuer) > 0 {
		if string(e.Text(Slot(fUserType))) == "AssumedRole" || e.Text(Slot(fUserName)) == nil {
			e.set(Slot(fUserName), issuer[0])
		}
	}
	for i, object := range e.objects {
		if f := fRequestText + Field(i); object != nil && d.layout.wants[f] {
			start := len(d.text)
			d.text, _ = jsonscan.AppendText(d.text, object, 0)
			if text := d.text[start:len(d.text):len(d.text)]; len(text) > 0 {
				e.add(Slot(f), Value{Text: text})
			}
		}
	}
}
