package schemas

import (
	"bytes"
	"encoding/base64"

	"firstseen/schemas/jsonscan"
)

// span is where a member's value is; none if end is 0.
type span struct{ at, end int }

func (s span) in(data []byte) []byte { return data[s.at:s.end] }

// is reports whether the value is this string, spelled without escapes.
func (s span) is(data []byte, text string) bool {
	return s.end-s.at == len(text)+2 && string(data[s.at+1:s.end-1]) == text
}

// members are those of an object's members that tell what it is.
type members struct {
	eventName, eventSource, userIdentity, eventTime span // CloudTrail, when the first key did not say so
	detailType, detail, source                      span // EventBridge
	messageType, logEvents                          span // CloudWatch Logs
	schema, payload                                 span // Kafka Connect
	message, log                                    span // Vector, Filebeat, Logstash, Fluent Bit, rsyslog
	event                                           span // S3 test event
	notice                                          span // digests, Insights
	other                                           span
}

func (m *members) of(key []byte) *span {
	switch string(key) {
	case "eventName":
		return &m.eventName
	case "eventSource":
		return &m.eventSource
	case "userIdentity":
		return &m.userIdentity
	case "eventTime":
		return &m.eventTime
	case "detail-type":
		return &m.detailType
	case "detail":
		return &m.detail
	case "source":
		return &m.source
	case "messageType":
		return &m.messageType
	case "logEvents":
		return &m.logEvents
	case "schema":
		return &m.schema
	case "payload":
		return &m.payload
	case "message":
		return &m.message
	case "log":
		return &m.log
	case "Event":
		return &m.event
	case "digestStartTime", "digestS3Bucket", "insightDetails":
		return &m.notice
	}
	return &m.other
}

// envelope decodes the object at i by all of its members. tried is what it has turned out not to be.
func (d *Decoder) envelope(data []byte, i, level int, tried sniffed) (next int) {
	var m members
	start, records := i, false
	for i = jsonscan.Space(data, i+1); i < len(data) && data[i] != '}'; {
		end, _, fault := jsonscan.String(data, i+1)
		colon := jsonscan.Space(data, end+1)
		if data[i] != '"' || fault == jsonscan.Syntax || fault == jsonscan.None && colon < len(data) && data[colon] != ':' {
			return d.malformed(data, start, i)
		}
		at := jsonscan.Space(data, colon+1)
		if fault != jsonscan.None || at >= len(data) {
			return d.partOf(data, start, span{i, len(data)}, &m, nil, level, Truncated)
		}
		key := data[i+1 : end]
		if string(key) == "Records" && data[at] == '[' {
			if level >= d.bounds.Nesting {
				return d.nestedTooMuch(data, start)
			}
			var ok bool
			if i, ok = d.elements(data, at+1, level+1, (*Decoder).recordElement); !ok {
				return i
			}
			records, start = true, i
		} else {
			var reason Reason
			if i, reason = d.skipTo(data, at); reason != "" {
				return d.partOf(data, start, span{at, i}, &m, m.of(key), level, reason)
			}
			*m.of(key) = span{at, i}
		}
		if i = jsonscan.Space(data, i); i < len(data) && data[i] == ',' {
			i = jsonscan.Space(data, i+1)
		} else if i < len(data) && data[i] != '}' {
			return d.malformed(data, start, i)
		}
	}
	if i >= len(data) {
		return d.partOf(data, start, span{i, i}, &m, nil, level, Truncated)
	}
	if !records {
		d.classify(data, span{start, i + 1}, &m, level, tried)
	}
	return i + 1
}

// kind is what record the object can be.
func (m *members) kind() sniffed {
	if m.eventName.end > 0 && (m.eventSource.end > 0 || m.userIdentity.end > 0 || m.eventTime.end > 0) {
		return sniffCloudTrail
	}
	return sniffS3
}

// isTrail reports whether EventBridge says that it carries a CloudTrail record, of an API call or of anything else.
func (m *members) isTrail(data []byte) bool {
	return m.detail.end > 0 && bytes.HasSuffix(m.detailType.in(data), []byte(` via CloudTrail"`))
}

// unwrap decodes what the object carries if it is an envelope, and returns where that ends. The object itself need not
// be complete.
func (d *Decoder) unwrap(data []byte, m *members, level int) (end int, ok bool) {
	carried := m.message
	switch {
	case m.messageType.end > 0 && m.logEvents.end > 0 && data[m.logEvents.at] == '[':
		if m.messageType.is(data, "CONTROL_MESSAGE") {
			d.skip()
		} else {
			d.elements(data, m.logEvents.at+1, level, (*Decoder).logElement)
		}
		return m.logEvents.end, true
	case m.isTrail(data):
		carried = m.detail
	case m.schema.end > 0 && m.payload.end > 0:
		d.connect(data, m, level)
		return m.payload.end, true
	case m.kind() == sniffCloudTrail:
		return 0, false
	case m.message.end > 0 && bytes.IndexByte([]byte(`"{[`), data[m.message.at]) >= 0:
	case m.log.end > 0 && data[m.log.at] == '"':
		carried = m.log
	default:
		return 0, false
	}
	d.enter(carried.in(data), level)
	return carried.end, true
}

// classify decodes an object whose members are known.
func (d *Decoder) classify(data []byte, object span, m *members, level int, tried sniffed) {
	if m.event.is(data, "s3:TestEvent") || m.kind() != sniffCloudTrail && m.notice.end > 0 ||
		m.source.is(data, "aws.s3") && m.detail.end > 0 && !m.isTrail(data) {
		d.skip()
		return
	}
	if _, ok := d.unwrap(data, m, level); ok {
		return
	}
	raw := object.in(data)
	v, reason := isNone, Reason("")
	if kind := m.kind(); kind != tried {
		v, reason = d.record(raw, kind, true)
	}
	switch {
	case v == isBad:
		d.dead(reason, "", raw)
	case v == isNone:
		d.dead(UnknownShape, "no envelope and no record that is known", raw)
	}
}

// connect decodes the payload of Kafka Connect's JSON converter, which is base64 if the schema says bytes.
func (d *Decoder) connect(data []byte, m *members, level int) {
	payload := m.payload.in(data)
	switch {
	case payload[0] == 'n':
		d.skip() // a tombstone
		return
	case payload[0] == '"' && bytes.Contains(m.schema.in(data), []byte(`"bytes"`)):
		plain := make([]byte, base64.StdEncoding.DecodedLen(len(payload)))
		n, err := base64.StdEncoding.Decode(plain, payload[1:len(payload)-1])
		if err == nil && level < d.bounds.Nesting {
			d.inner(plain[:n], level+1)
			return
		}
	}
	d.enter(payload, level)
}
