package schemas

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// evidenceOf decodes one record and returns its evidence, and what the event said.
func evidenceOf(t *testing.T, record string) (Evidence, map[string][]string) {
	t.Helper()
	var evidence Evidence
	said := map[string][]string{}
	s := NewDecoder(Config{}).Decode(Message{Value: []byte(record), Timestamp: now}, eventFunc(func(e *Event) {
		evidence = e.AppendEvidence([]byte{})
		for f, info := range fields {
			for _, v := range e.Values(Slot(f)) {
				if info.show {
					said[info.name] = append(said[info.name], string(v.Text))
				}
			}
		}
	}))
	if s.Events != 1 {
		t.Fatalf("%+v from %s", s, record)
	}
	return evidence, said
}

// Evidence says what the event said, under every name.
func TestEvidence(t *testing.T) {
	for _, record := range []string{anonymous, assumedRole, accessLine, pantherJSON, head, `{"remoteip":"::ffff:1.2.3.4"}`, `{"remoteip":"garbage"}`} {
		evidence, said := evidenceOf(t, record)
		got := map[string][]string{}
		for f, value := range evidence.All() {
			got[f.Name()] = append(got[f.Name()], string(value))
		}
		if said["aws.cloudtrail.request_parameters"] == nil && got["aws.cloudtrail.request_parameters"] != nil {
			// Made for the evidence only.
			said["aws.cloudtrail.request_parameters"] = got["aws.cloudtrail.request_parameters"]
		}
		for _, name := range []string{"event.provider"} { // constant for an access log
			if got[name] == nil {
				delete(said, name)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(said) {
			t.Errorf("%s\ngot  %v\nwant %v", record, got, said)
		}
		for name, values := range said {
			if v := evidence.Get(name); string(v) != values[0] {
				t.Errorf("%s is %q, want %q", name, v, values[0])
			}
		}
	}
	evidence, _ := evidenceOf(t, anonymous)
	if got := string(evidence.Get("aws.cloudtrail.request_parameters")); got != "{bucketName=acme-logs, Host=acme-logs.s3.us-east-1.amazonaws.com, key=2026/03/10/access.log}" {
		t.Error(got)
	}
	if evidence.Get("remoteip") != nil || evidence.Get("no such field") != nil {
		t.Error("evidence of what was not there")
	}
	if evidence, _ := evidenceOf(t, accessLine); string(evidence.Get("remoteip")) != "203.0.113.7" || string(evidence.Get("source.ip")) != "203.0.113.7" {
		t.Error("Panther's name or the copy is missing")
	} else if len(evidence) > 700 {
		t.Errorf("%d bytes for a line of %d", len(evidence), len(accessLine))
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	long := strings.Repeat("é", 4000)
	record := `{"eventName":"A","eventTime":"x","userAgent":"a` + long + `","resources":[{"ARN":"a"}` + strings.Repeat(`,{"ARN":"arn:aws:s3:::a"}`, 500) + `],"requestParameters":{"k":"` + long + `"}}`
	evidence, _ := evidenceOf(t, record)
	if len(evidence) > 4000 {
		t.Errorf("%d bytes", len(evidence))
	}
	for f, value := range evidence.All() {
		if len(value) > 1024 || !utf8.Valid(value) {
			t.Errorf("%s has %d bytes: %q", f.Name(), len(value), value)
		}
	}
}

// Evidence of another build, or damaged, never panics and gives what can be read.
func TestForeignEvidence(t *testing.T) {
	evidence := appendField(appendField(nil, 9999, []byte("new")), fAction, []byte("GetObject"))
	if got := string(Evidence(evidence).Get("event.action")); got != "GetObject" {
		t.Error(got)
	}
	for cut := range evidence {
		for range Evidence(evidence[:cut]).All() {
			t.Errorf("a value in %d of %d bytes", cut, len(evidence))
		}
	}
	if huge := binary.AppendUvarint([]byte{2}, 1<<63); Evidence(huge).Get("event.id") != nil {
		t.Error("a value of no bytes")
	}
}

func FuzzEvidence(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendField(appendField(nil, fAction, []byte("GetObject")), fS3RemoteIP, []byte("1.2.3.4")))
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		for f, value := range Evidence(b).All() {
			if f.Name() == "" || len(value) > len(b) {
				t.Error(f, value)
			}
		}
	})
}

func TestFieldTable(t *testing.T) {
	names := KnownNames()
	if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) != len(names) {
		t.Error("a name is there twice")
	}
	for _, name := range names {
		if f, ok := Known(name); !ok || f.Name() == "" {
			t.Error(name)
		}
	}
	// Numbers are written into state and topics: these never change.
	for name, number := range map[string]Field{"event.id": 2, "event.action": 4, "source.address": 14, "user_agent.original": 21, "aws.cloudtrail.user_identity.type": 52, "aws.cloudtrail.request_parameters": 70, "aws.cloudtrail.resources.arn": 80, "bucket": 102, "remoteip": 104, "sourceregion": 127, "source.network": 128} {
		if f, _ := Known(name); f != number {
			t.Errorf("%s is %d, want %d", name, f, number)
		}
	}
	for name, want := range map[string]Type{"source.ip": IP, "remoteip": IP, "source.address": Keyword, "@timestamp": Date, "httpstatus": Long, "aws.cloudtrail.read_only": Boolean, "what.ever": Keyword} {
		if got := FieldType(name); got != want {
			t.Errorf("%s is a %s, want %s", name, got, want)
		}
	}
	if Field(9999).Name() != "" || Field(0).Name() != "" {
		t.Error("a number without a field has a name")
	}
}

func TestParseIP(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "0.0.0.0": "0.0.0.0", "2001:DB8::1": "2001:db8::1", "::ffff:1.2.3.4": "1.2.3.4", "::FFFF:102:304": "1.2.3.4",
		"fe80::1%eth0": "fe80::1", "::": "::", "": "", "-": "", "1.2.3": "", "1.2.3.4.5": "", "1.2.3.04": "", "256.1.1.1": "", "1.2.3.4 ": "",
		"1.2.3.4:80": "", "10.0.0.0/8": "", "1..2.3": "", ".1.2.3": "", "1.2.3.": "", "::1::": "", "1.2.3.4%eth0": "", "AWS Internal": "",
	} {
		addr, ok := ParseIP([]byte(text), false)
		if got := addr.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %s, want %q", text, got, want)
		}
	}
	if addr, _ := ParseIP([]byte("::ffff:1.2.3.4"), true); !addr.Is4In6() {
		t.Error("strict leaves mapped addresses alone")
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9.]{1,16}|[0-9a-f:.]{1,20}`).Draw(t, "text")
		want, err := netip.ParseAddr(text)
		if got, ok := ParseIP([]byte(text), true); ok != (err == nil) || ok && got != want.WithZone("") {
			t.Fatalf("%q is %v, %v; want %v, %v", text, got, ok, want, err)
		}
	})
}
