package imported

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"firstseen/rules/kql"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// left are the keys that say nothing about which events make an alert: how the other product schedules the rule, shows
// it, or tells its users about it.
var left = []string{
	"metadata", "transform", "rule.investigation_fields", "rule.timestamp_override", "rule.timestamp_override_fallback_disabled",
	"rule.timeline_id", "rule.timeline_title", "rule.version", "rule.meta", "rule.output_index", "rule.namespace", "rule.related_integrations",
	"rule.required_fields", "rule.bypass_bbr_timing", "rule.revision", "rule.immutable", "rule.rule_source",
}

// unlike are the keys that change what a rule does in a way that a rule file cannot say. An empty value is none.
var unlike = map[string]string{
	"rule.filters":            "filters beside the query cannot be carried: write them into the query",
	"rule.exceptions_list":    "exception lists are kept elsewhere: write them into the query",
	"rule.severity_mapping":   "here a rule has one severity",
	"rule.risk_score_mapping": "here a rule has one risk score",
	"rule.rule_name_override": "alerts cannot be renamed by a field: use a title",
	"rule.saved_id":           "a saved query is kept elsewhere",
	"rule.data_view_id":       "a data view is kept elsewhere",
	"rule.actions":            "actions are for who reads the alerts' topic",
	"rule.response_actions":   "actions are for who reads the alerts' topic",
	"rule.throttle":           "actions are for who reads the alerts' topic",
	"rule.threat_index":       "indicator matches cannot be carried",
	"rule.anomaly_threshold":  "machine learning cannot be carried",
}

// keys looks at the keys that are not carried: each is of no matter, or a reason to refuse the rule.
func (e *elastic) keys(meta toml.MetaData, text []byte) {
	var all map[string]any
	if _, err := toml.Decode(string(text), &all); err != nil {
		return // not reached: it has been read before
	}
	var seen []string
	for _, key := range meta.Undecoded() {
		name := strings.Join(key[:min(len(key), 2)], ".")
		if len(key) > 2 && meta.IsDefined(key[:2]...) && !slices.Contains(left, name) && unlike[name] == "" {
			name = key.String() // inside a table that is carried
		}
		if slices.Contains(left, key[0]) || slices.Contains(left, name) || slices.Contains(seen, name) || isEmpty(lookup(all, name)) {
			continue
		}
		seen = append(seen, name)
		if reason, ok := unlike[name]; ok {
			e.refuse(name, reason)
		} else {
			e.refuse(name, "this key is not known, so what it means cannot be carried")
		}
	}
}

// lookup finds the value of a dotted name, nil where it lies in a list.
func lookup(all map[string]any, name string) any {
	var value any = all
	for _, word := range strings.Split(name, ".") {
		table, ok := value.(map[string]any)
		if !ok {
			return "in a list"
		}
		value = table[word]
	}
	return value
}

func isEmpty(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map || v.Kind() == reflect.String) && v.Len() == 0
}

// query carries the query. It is the same language; what may differ is which fields there are.
func (e *elastic) query() {
	e.out().Query = tidy(e.rule.Query)
	if e.out().Query == "" {
		e.refuse("rule.query", "is missing")
		return
	}
	expr, err := kql.Parse(e.out().Query)
	if err != nil {
		e.refuse("rule.query", err.Error())
		return
	}
	e.known("rule.query", kql.Fields(expr))
}

// made are fields that no record has: Elastic's pipeline makes them, of data or code that is not here.
var made = []struct{ prefix, how string }{
	{"source.geo.", "looked up in a database of places"},
	{"user_agent.", "taken apart by Elastic's pipeline; user_agent.original is the whole"},
	{"entity.", "put together by Elastic's pipeline"},
	{"related.", "put together by Elastic's pipeline"},
}

// known refuses the fields that are made elsewhere, with the reason, and those that no CloudTrail record has.
func (e *elastic) known(where string, names []string) {
	for _, name := range names {
		if _, ok := schemas.Known(name); ok || strings.Contains(name, "*") || strings.HasPrefix(name, "aws.cloudtrail.flattened.") {
			continue // the rest is for the reader of rule files
		}
		reason := "records of CloudTrail have no such field"
		if near := rulefile.Nearest(name, schemas.KnownNames()); near != "" {
			reason += fmt.Sprintf(" (did you mean %q?)", near)
		}
		for _, m := range made {
			if strings.HasPrefix(name, m.prefix) {
				reason = "no record has this field: it is " + m.how
			}
		}
		e.refuse(where, fmt.Sprintf("%q: %s", name, reason))
	}
}

func base(name string) string { return filepath.Base(name) }
