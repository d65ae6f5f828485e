//go:build ignore

// Convert turns the honey bucket's CSV export into CloudTrail records, one JSON object a line:
// newest-first.ndjson in the order of the CSV, oldest-first.ndjson in the reverse of it. Run it where it stands:
//
//	cd testdata/honeybucket && go run convert.go
//
// Only what the export has is written. A region is there for the few requests whose Host header names one, and
// errorCode is not there at all.
package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	f, err := os.Open("aws_s3_honeybucketlogs.csv")
	if err != nil {
		log.Fatal(err)
	}
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		log.Fatal(err)
	}
	var lines [][]byte
	for i, row := range rows[1:] {
		line, err := record(rows[0], row)
		if err != nil {
			log.Fatalf("row %d: %v", i+2, err)
		}
		lines = append(lines, line)
	}
	write("newest-first.ndjson", lines)
	slices.Reverse(lines)
	write("oldest-first.ndjson", lines)
}

func write(name string, lines [][]byte) {
	if err := os.WriteFile(name, bytes.Join(lines, nil), 0o644); err != nil {
		log.Fatal(err)
	}
}

// record makes one line of JSON, newline included.
func record(names, row []string) ([]byte, error) {
	column := make(map[string]string, len(names))
	for i, name := range names {
		column[name] = row[i]
	}
	identity, err := dict(column["User ID"])
	if err != nil {
		return nil, fmt.Errorf("User ID: %w", err)
	}
	parameters, err := dict(column["Request Parameters"])
	if err != nil {
		return nil, fmt.Errorf("Request Parameters: %w", err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err = enc.Encode(struct {
		UserIdentity      map[string]string `json:"userIdentity"`
		EventTime         string            `json:"eventTime"`
		EventSource       string            `json:"eventSource"`
		EventName         string            `json:"eventName"`
		Region            string            `json:"awsRegion,omitempty"`
		SourceIPAddress   string            `json:"sourceIPAddress"`
		UserAgent         string            `json:"userAgent"`
		RequestParameters map[string]string `json:"requestParameters"`
		RequestID         string            `json:"requestID"`
		EventID           string            `json:"eventID"`
		EventType         string            `json:"eventType"`
	}{
		identity, column["Event DateTime"], "s3.amazonaws.com", column["Event Name"], region(parameters["Host"]),
		column["Source IP"], column["Request User Agent"], parameters,
		column["Request ID"], column["Event ID"], column["Event Type"],
	})
	return out.Bytes(), err
}

var regional = regexp.MustCompile(`\bs3[.-]([a-z]+-[a-z]+-\d)\.amazonaws\.com$`)

// region is what a regional endpoint names, "" for the global one.
func region(host string) string {
	if m := regional.FindStringSubmatch(host); m != nil {
		return m[1]
	}
	return ""
}

// pair is one `'key': 'value'` of a Python dict of plain strings.
var pair = regexp.MustCompile(`^'([^'\\]*)': '([^'\\]*)'(, |$)`)

// dict reads a Python dict of strings without escapes, which is all the export has, and refuses anything else.
func dict(s string) (map[string]string, error) {
	body, ok := strings.CutPrefix(s, "{")
	body, end := strings.CutSuffix(body, "}")
	if !ok || !end {
		return nil, fmt.Errorf("not a dict: %s", s)
	}
	out := map[string]string{}
	for body != "" {
		m := pair.FindStringSubmatch(body)
		if m == nil {
			return nil, fmt.Errorf("not 'key': 'value': %s", body)
		}
		out[m[1]] = m[2]
		body = body[len(m[0]):]
	}
	return out, nil
}
