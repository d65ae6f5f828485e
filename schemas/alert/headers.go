package alert

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Format is a shape of document; its name is the value of the header firstseen-format.
type Format string

// The formats.
const (
	ECS     Format = "ecs"
	OCSF    Format = "ocsf"
	Panther Format = "panther"
	Avro    Format = "avro" // the bare body; with a schema registry Confluent's five bytes go before it
)

// Append appends the document of that format. It fails for an unknown format only.
func (a *Alert) Append(dst []byte, f Format) ([]byte, error) {
	switch f {
	case ECS:
		return a.AppendECS(dst), nil
	case OCSF:
		return a.AppendOCSF(dst), nil
	case Panther:
		return a.AppendPanther(dst), nil
	case Avro:
		return a.AppendAvro(dst)
	}
	return dst, fmt.Errorf("unknown alert format %q", f)
}

// Headers returns the Kafka headers of the ECS document: content type, CloudEvents 1.0 in binary mode, and what a
// subscriber filters by without parsing the value.
func (a *Alert) Headers() [][2]string { return a.HeadersAs(ECS) }

// HeadersAs returns the headers of a document of that format.
func (a *Alert) HeadersAs(f Format) [][2]string {
	r := a.rule()
	contentType := "application/json"
	if f == Avro {
		contentType = "application/avro"
	}
	var ends [3]int // in the values that are made for it, which are one string
	b := a.appendEventID(make([]byte, 0, 256))
	ends[0] = len(b)
	b = append(append(b, "firstseen.alert."...), a.Kind...)
	ends[1] = len(b)
	b = append(append(b, "/firstseen/rules/"...), url.PathEscape(r.ID)...)
	ends[2] = len(b)
	s := string(appendTime(b, a.Time))
	return (&[10][2]string{ // room for one more
		{"content-type", contentType},
		{"ce_specversion", "1.0"},
		{"ce_id", s[:ends[0]]},
		{"ce_type", s[ends[0]:ends[1]]},
		{"ce_source", s[ends[1]:ends[2]]},
		{"ce_time", s[ends[2]:]},
		{"firstseen-rule", r.ID},
		{"firstseen-severity", strings.ToLower(r.Severity)},
		{"firstseen-format", string(f)},
	})[:9]
}

// appendEventID appends what tells documents of one alert apart: updates have its id and the count they bring.
func (a *Alert) appendEventID(dst []byte) []byte {
	dst = appendID(dst, a.ID)
	if a.Kind == Closed {
		dst = strconv.AppendInt(append(dst, "/closed/"...), max(a.Count, a.Suppressed), 10)
	}
	return dst
}
