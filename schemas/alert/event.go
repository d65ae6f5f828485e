package alert

import (
	"net/netip"
	"slices"
	"strings"
	"unsafe"

	"firstseen/schemas"
)

// event is the evidence of the event that an alert shows, taken apart. It is a view of the evidence.
type event struct {
	values []fieldValue     // in the order of the evidence
	at     [maxPlaces]int32 // by place of a field the first value, as its number in values from 1; 0: none
}

type fieldValue struct {
	place int // of the field
	text  string
}

func (a *Alert) event() *event {
	e := new(event)
	e.read(a.evidence())
	return e
}

func (a *Alert) evidence() schemas.Evidence {
	if a.Match == nil {
		return nil
	}
	return a.Match.Evidence
}

// read makes it the event of that evidence.
func (e *event) read(evidence schemas.Evidence) {
	e.values, e.at = e.values[:0], [maxPlaces]int32{}
	for f, value := range evidence.All() {
		i := fieldPlaces[f]
		e.values = append(e.values, fieldValue{i, unsafe.String(unsafe.SliceData(value), len(value))})
		if e.at[i] == 0 {
			e.at[i] = int32(len(e.values))
		}
	}
}

// get returns the first value of a field, empty if there is none.
func (e *event) get(name string) string {
	if i, ok := placeOf(name); ok && e.at[i] > 0 {
		return e.values[e.at[i]-1].text
	}
	return ""
}

// first returns the first of the fields that the event has.
func (e *event) first(names ...string) string {
	for _, name := range names {
		if v := e.get(name); v != "" {
			return v
		}
	}
	return ""
}

func (e *event) address() string {
	return e.first("source.address", "client.address", "aws.s3access.remote_ip")
}

// ips returns every address of the event, each once: the source, the client, and those of a list such as
// "81.2.69.142, 192.168.10.10". At most 16, in memory that may be given.
func (e *event) ips(ips []netip.Addr) []netip.Addr {
	add := func(s string) {
		if ip, err := netip.ParseAddr(strings.TrimSpace(s)); err == nil && len(ips) < 16 {
			if ip = ip.WithZone(""); !slices.Contains(ips, ip) {
				ips = append(ips, ip)
			}
		}
	}
	add(e.get("source.ip"))
	add(e.get("client.ip"))
	if list := e.get("source.address"); strings.Contains(list, ",") {
		for part := range strings.SplitSeq(list, ",") {
			add(part)
		}
	}
	return ips
}

// object returns the bucket and the object key of an S3 call. AWS writes the ARNs, while the caller's key is part of
// the request parameters, so these come last.
func (e *event) object() (bucket, key string) {
	if bucket = e.get("aws.s3access.bucket"); bucket != "" {
		return bucket, e.get("aws.s3access.key")
	}
	arn, _ := placeOf("aws.cloudtrail.resources.arn")
	for _, v := range e.values[max(e.at[arn]-1, 0):] {
		if v.place != arn {
			continue
		}
		if _, path, ok := strings.Cut(v.text, ":s3:::"); ok {
			b, k, _ := strings.Cut(path, "/")
			bucket = b
			if key == "" {
				key = k
			}
		}
	}
	parameters := strings.Trim(e.get("aws.cloudtrail.request_parameters"), "{}")
	if bucket == "" {
		bucket = parameter(parameters, "bucketName=")
	}
	if key == "" {
		key = parameter(parameters, "key=")
	}
	return bucket, key
}

// parameter finds a parameter in text such as "bucketName=b, key=k".
func parameter(text, name string) string {
	for part := range strings.SplitSeq(text, ", ") {
		if v, ok := strings.CutPrefix(part, name); ok {
			return v
		}
	}
	return ""
}

// anonymous says whether the caller showed no credentials.
func (e *event) anonymous() bool {
	if e.get("aws.s3access.bucket") != "" {
		return e.get("aws.s3access.requester") == ""
	}
	account := e.get("cloud.account.id")
	return account == "anonymous" || account == "ANONYMOUS_PRINCIPAL"
}

// region returns the region of the call. An access log names it only in the host header, as in
// bucket.s3.eu-west-1.amazonaws.com or bucket.s3-eu-west-1.amazonaws.com.
func (e *event) region() string {
	if r := e.get("cloud.region"); r != "" {
		return r
	}
	rest, more := strings.ToLower(e.first("aws.s3access.host_header", "tls.client.server_name")), true
	for more {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		if r, ok := strings.CutPrefix(label, "s3-"); ok && strings.Count(r, "-") >= 2 {
			return r
		}
		if label == "s3" {
			next, behind, also := strings.Cut(rest, ".")
			if next == "dualstack" && also {
				next, _, _ = strings.Cut(behind, ".")
			}
			if strings.Count(next, "-") >= 2 {
				return next
			}
		}
	}
	return ""
}
