package schemas

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// Wrapping names what is around a record in a message, the outermost first: for people who ask how a record was found.
// raw is the record as an event has it. It is slow, reads no more than a decoder with the default bounds, and ok is
// false where it does not find the way, as in a message that breaks off.
func Wrapping(message, raw []byte) (names []string, ok bool) {
	w := wrapped{raw: bytes.TrimSpace(raw)}
	ok = len(w.raw) > 0 && w.in(message, 0)
	return w.names, ok
}

// wrapped looks for a record, and keeps the way to it.
type wrapped struct {
	raw   []byte
	names []string
}

// within goes on with what an envelope of that name carries, and forgets the name if the record is not in it.
func (w *wrapped) within(name string, data []byte, level int) bool {
	w.names = append(w.names, name)
	if w.in(data, level+1) {
		return true
	}
	w.names = w.names[:len(w.names)-1]
	return false
}

func (w *wrapped) in(data []byte, level int) bool {
	if level > 2*DefaultBounds.Nesting { // gzip, arrays and strings are levels here
		return false
	}
	if len(data) > 1 && data[0] == 0x1f && data[1] == 0x8b {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return false
		}
		data, _ = io.ReadAll(io.LimitReader(z, int64(DefaultBounds.MessageBytes))) // as far as it goes
		return w.within("gzip", data, level)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	f := NewFileReader(bytes.NewReader(data), "", Bounds{})
	for {
		m, err := f.Next()
		if err != nil {
			return false
		}
		value := bytes.TrimSpace(m.Value)
		several := len(value) < len(data)
		if several {
			w.names = append(w.names, "several values in a row")
		}
		if bytes.Equal(value, w.raw) || len(value) > 0 && w.value(value, level) {
			return true
		}
		if several {
			w.names = w.names[:len(w.names)-1]
		}
	}
}

// value looks inside one value.
func (w *wrapped) value(value []byte, level int) bool {
	switch value[0] {
	case '"':
		var text string
		return json.Unmarshal(value, &text) == nil && w.within("JSON string", []byte(text), level)
	case '[':
		return w.elements("JSON array", value, level)
	case '{':
		return w.object(value, level)
	}
	at := payloadOf(value)
	return at > 0 && w.within("Logstash plain text", value[at:], level)
}

func (w *wrapped) elements(name string, array []byte, level int) bool {
	var elements []json.RawMessage
	if json.Unmarshal(array, &elements) != nil {
		return false
	}
	for _, e := range elements {
		if w.within(name, e, level) {
			return true
		}
	}
	return false
}

// object looks inside the envelopes in the order in which a decoder tells them apart.
func (w *wrapped) object(value []byte, level int) bool {
	var m map[string]json.RawMessage
	if json.Unmarshal(value, &m) != nil {
		return false
	}
	var kind string
	_ = json.Unmarshal(m["detail-type"], &kind) // of another type it is none
	switch {
	case m["Records"] != nil:
		return w.elements(`CloudTrail file {"Records": [...]}`, m["Records"], level)
	case m["messageType"] != nil && m["logEvents"] != nil:
		var events []struct{ Message string }
		if json.Unmarshal(m["logEvents"], &events) != nil {
			return false
		}
		for _, e := range events {
			if w.within("CloudWatch Logs subscription", []byte(e.Message), level) {
				return true
			}
		}
		return false
	case m["detail"] != nil && strings.HasSuffix(kind, " via CloudTrail"):
		return w.within("EventBridge event", m["detail"], level)
	case m["schema"] != nil && m["payload"] != nil:
		return w.connect(m["schema"], m["payload"], level)
	}
	for _, key := range []string{"message", "log"} {
		if w.carried(key, m[key], level) {
			return true
		}
	}
	return false
}

// carried looks inside what a log shipper (Vector, Filebeat, Logstash, Fluent Bit, rsyslog) has put under a key.
func (w *wrapped) carried(key string, value json.RawMessage, level int) bool {
	if value == nil {
		return false
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		text = string(value)
	}
	return w.within(`"`+key+`" of a log shipper`, []byte(text), level)
}

// connect looks inside the payload of Kafka Connect, which is base64 if the schema says bytes.
func (w *wrapped) connect(schema, payload json.RawMessage, level int) bool {
	const name = "Kafka Connect with schema"
	var text string
	if json.Unmarshal(payload, &text) != nil {
		return w.within(name, payload, level)
	}
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil && bytes.Contains(schema, []byte(`"bytes"`)) {
		return w.within(name, plain, level)
	}
	return w.within(name, []byte(text), level)
}
