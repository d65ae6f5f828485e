package schemas

import (
	"bytes"

	"firstseen/schemas/jsonscan"
)

// sniffed is what the first key of an object says about it.
type sniffed uint8

const (
	sniffNothing sniffed = iota
	sniffCloudTrail
	sniffS3
)

// sniff looks at the first key of the object at i. AWS writes eventVersion first; other writers sort the keys or begin
// with the action. A guess that turns out wrong costs time, not the record.
func sniff(data []byte, i int) sniffed {
	i = jsonscan.Space(data, i+1)
	if i >= len(data) || data[i] != '"' {
		return sniffNothing
	}
	n := bytes.IndexByte(data[i+1:min(len(data), i+34)], '"')
	if n < 0 {
		return sniffNothing
	}
	key := data[i+1 : i+1+n]
	switch string(key) {
	case "eventVersion", "eventTime", "eventName", "eventSource", "eventID", "userIdentity", "additionalEventData",
		"apiVersion", "awsRegion", "errorCode", "errorMessage", "eventCategory", "eventType", "managementEvent":
		return sniffCloudTrail
	}
	var folded [33]byte
	if _, ok := s3Names[string(jsonscan.Fold(folded[:0], key))]; ok {
		return sniffS3
	}
	return sniffNothing
}

// object decodes the JSON object at i and returns the index after it.
func (d *Decoder) object(data []byte, i, level int) (next int) {
	kind := sniff(data, i)
	if kind == sniffNothing {
		return d.envelope(data, i, level, kind)
	}
	var (
		end    int
		reason Reason
		single = d.single // then the first object ends with the data, or is none
	)
	if d.single = false; single {
		end = bytes.LastIndexByte(data, '}') + 1
	} else if end = objectLine(data, i, false); end > 0 {
	} else if end, reason = d.skipTo(data, i); reason != "" {
		return d.remains(data, i, end, reason)
	}
	raw := data[i:end]
	v, reason := d.record(raw, kind, !single)
	switch {
	case v == isNone:
		return d.envelope(data, i, level, kind)
	case v != isBad:
		return end
	case single && reason != TooLarge:
		return d.object(data, i, level)
	case reason == InvalidJSON:
		return d.remains(data, i, end, reason)
	}
	d.dead(reason, "", raw)
	return end
}

// record decodes one record of a kind: filter unless that has been done, parse, emit. Of isNone and isBad the caller makes what is right there.
func (d *Decoder) record(raw []byte, kind sniffed, filter bool) (verdict, Reason) {
	s, parse := CloudTrail, d.cloudTrail
	if kind == sniffS3 {
		s, parse = S3Access, d.s3JSON
	}
	if s == CloudTrail && d.m.Format == FormatS3Access || s == S3Access && d.m.Format == FormatCloudTrail {
		return isNone, ""
	}
	switch {
	case d.counting:
		d.count()
		return isEvent, ""
	case len(raw) > d.bounds.RecordBytes:
		return isBad, TooLarge
	case filter && d.filter && d.rejects(s, raw):
		d.count()
		d.stats.Filtered++
		return isEvent, ""
	}
	v, reason := parse(raw)
	switch v {
	case isEvent:
		d.emit(d.events[s])
	case isSkipped:
		d.skip()
	}
	return v, reason
}

// parse parses the whole of raw and leaves the hits in the parser.
func (d *Decoder) parse(tree *jsonscan.Tree, raw []byte) Reason {
	end, fault := d.parser.Parse(tree, raw, 0, d.bounds.Depth)
	d.fault = 0
	if fault == jsonscan.None && jsonscan.Space(raw, end) < len(raw) {
		fault = jsonscan.Syntax
	}
	if fault != jsonscan.None {
		d.fault = end
		return reasonOf(fault)
	}
	return ""
}
