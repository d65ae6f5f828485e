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
	return [][2]string{
		{"content-type", contentType},
		{"ce_specversion", "1.0"},
		{"ce_id", a.eventID()},
		{"ce_type", "firstseen.alert." + a.Kind},
		{"ce_source", "/firstseen/rules/" + url.PathEscape(r.ID)},
		{"ce_time", string(appendTime(make([]byte, 0, 32), a.Time))},
		{"firstseen-rule", r.ID},
		{"firstseen-severity", strings.ToLower(r.Severity)},
		{"firstseen-format", string(f)},
	}
}

// eventID tells documents of one alert apart: updates have its id and the count they bring.
func (a *Alert) eventID() string {
	if a.Kind != Closed {
		return a.ID.String()
	}
	return a.ID.String() + "/closed/" + strconv.FormatInt(max(a.Count, a.Suppressed), 10)
}
