// Package scan reads records no further than the rules need: what a program must at least do with each.
package scan

import (
	"bytes"
	"net/netip"
)

// CloudTrail says whether the new-terms rule looks at a record. It walks the top level of the JSON object and allocates
// nothing. With early it stops at the first field that rules the record out; without, it walks every record to its end.
func CloudTrail(b []byte, early bool) bool {
	source, name, failed, account := false, false, false, false
	i := bytes.IndexByte(b, '{') + 1
	for i > 0 && i < len(b) {
		for i < len(b) && (b[i] == ',' || b[i] == ' ') {
			i++
		}
		if i >= len(b) || b[i] != '"' {
			break
		}
		end := stringEnd(b, i)
		key := b[i+1 : end-1]
		i = end
		for i < len(b) && (b[i] == ':' || b[i] == ' ') {
			i++
		}
		end = valueEnd(b, i)
		value := b[i:end]
		i = end
		switch string(key) {
		case "eventSource":
			source = string(value) == `"s3.amazonaws.com"`
			if early && !source {
				return false
			}
		case "eventName":
			switch string(value) {
			case `"GetObject"`, `"PutObject"`, `"ListObjects"`, `"DeleteObject"`, `"ListBucket"`:
				name = true
			default:
				if early {
					return false
				}
			}
		case "errorCode", "errorMessage":
			if string(value) != "null" {
				failed = true
				if early {
					return false
				}
			}
		case "userIdentity":
			account = (bytes.Contains(value, []byte(`"type":"AWSAccount"`)) || bytes.Contains(value, []byte(`"type":"Unknown"`))) &&
				(bytes.Contains(value, []byte(`"accountId":"anonymous"`)) || bytes.Contains(value, []byte(`"accountId":"ANONYMOUS_PRINCIPAL"`)))
			if early && !account {
				return false
			}
		}
	}
	return source && name && !failed && account
}

// stringEnd returns the index behind the string that begins at b[i].
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		i += n
		escapes := 0
		for b[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return len(b)
}

// valueEnd returns the index behind the value that begins at b[i].
func valueEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

var internal = netip.MustParsePrefix("10.0.0.0/8")

// S3Access says whether the remote address of an S3 access log line (owner, bucket, [time zone], address) is one from
// outside.
func S3Access(line []byte) bool {
	_, rest, ok := bytes.Cut(line, []byte("] "))
	if !ok {
		return false
	}
	field, _, _ := bytes.Cut(rest, []byte(" "))
	addr, err := netip.ParseAddr(string(field))
	return err == nil && !internal.Contains(addr)
}
