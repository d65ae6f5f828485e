package rules

import (
	"fmt"
	"path/filepath"
	"testing"
)

// source.network stands in no record as it is, so no filter asks for it, and it can be used wherever a field can.
func TestSourceNetworkInRules(t *testing.T) {
	records := map[string]string{
		"aws.cloudtrail": `{"eventVersion":"1.10","eventName":"GetObject","eventSource":"s3.amazonaws.com","sourceIPAddress":%q}`,
		"aws.s3access":   `{"remoteip":%q,"bucket":"b","operation":"REST.GET.OBJECT"}`,
	}
	for dataset, record := range records {
		for keys, want := range map[string][3]string{ // from 203.0.113.7, 203.0.112.7 and a service
			"query: 'source.network: \"203.0.113.0/24\"'":        {"r", "", ""},
			"query: 'source.network: 203.0.*'":                   {"r", "r", ""},
			"except: 'source.network: \"203.0.113.0/24\"'":       {"", "r", "r"},
			"query: 'source.network: *'":                         {"r", "r", ""},
			"title: '{source.network}'":                          {"r", "r", "r"},
			"dedup: {by: [source.network], period: 1h}":          {"r", "r", "r"},
			"new_terms: {fields: [source.network], history: 1d}": {"r", "r", "r"}, // without terms nothing comes of the last
		} {
			file := filepath.Join(write(t, "r.yaml", "id: r\nname: R\nseverity: low\ndataset: "+dataset+"\n"+keys+"\n"), "r.yaml")
			s := mustLoad(t, LoadOptions{Paths: []string{file}, NoBuiltin: true})
			for i, source := range []string{"203.0.113.7", "203.0.112.7", "config.amazonaws.com"} {
				if got := verdicts(t, s, fmt.Sprintf(record, source)); got != want[i] {
					t.Errorf("%s, %s, from %s: got %q, want %q", dataset, keys, source, got, want[i])
				}
			}
		}
	}
}
