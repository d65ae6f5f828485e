package imported

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// assignment says which value a generated record has for each ECS field.
type assignment map[string]string

var fillers = []string{"", "x", "a/b", "Zürich", "w 1", "arn:aws:iam::123456789012:role/", "-", "q\"uote", "back\\slash"}

// drawRecord makes a CloudTrail record for a query: an assignment that is meant to satisfy it (or, now and then, not to),
// with a few fields changed. So most conditions hold in many records, and each of them fails in some. The owner is that
// of its address.
func drawRecord(t *rapid.T, q *query) ([]byte, owner) {
	a := assignment{}
	steer(t, q, rapid.IntRange(0, 9).Draw(t, "aim") > 0, a)
	conditions := q.conditions()
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 3}).Draw(t, "changes") {
		c := rapid.SampledFrom(conditions).Draw(t, "changed")
		switch rapid.IntRange(0, 5).Draw(t, "change") {
		case 0:
			delete(a, c.field)
		case 1:
			a[c.field] = swapCase(a[c.field])
		case 2:
			a[c.field] += rapid.SampledFrom(fillers).Draw(t, "suffix")
		case 3:
			a[c.field] = rapid.SampledFrom(fillers).Draw(t, "other")
		default:
			a[c.field] = fill(t, rapid.SampledFrom(conditions).Draw(t, "of").text)
		}
	}
	text, err := json.Marshal(a.record(t))
	if err != nil {
		t.Fatal(err)
	}
	return text, a.owner()
}

// owner is who announces an address.
type owner struct{ number, organization string }

func (a assignment) owner() owner {
	o := owner{a["source.as.number"], a["source.as.organization.name"]}
	if _, err := strconv.ParseUint(o.number, 10, 32); err != nil && o.organization != "" {
		o.number = "64496"
	} else if err != nil {
		o.number = ""
	}
	return o
}

// steer sets fields so that the query holds, or does not.
func steer(t *rapid.T, q *query, want bool, a assignment) {
	switch {
	case q.op == "not":
		steer(t, q.kids[0], !want, a)
	case q.field != "" && want && strings.HasPrefix(q.text, star):
		a[q.field] += fill(t, q.text) // behind what another condition on the field wants
	case q.field != "" && want:
		a[q.field] = fill(t, q.text)
	case q.field != "":
		if _, set := a[q.field]; !set && rapid.Bool().Draw(t, "something else") {
			a[q.field] = rapid.SampledFrom([]string{"203.0.113.7", "other", "2001:db8::1"}).Draw(t, "else")
		}
	case want == (q.op == "and"): // all of them
		for _, k := range q.kids {
			steer(t, k, want, a)
		}
	default:
		steer(t, rapid.SampledFrom(q.kids).Draw(t, "one of"), want, a)
	}
}

// fill puts something for the wildcards of a value.
func fill(t *rapid.T, text string) string {
	if text == star {
		return rapid.SampledFrom([]string{"203.0.113.7", "something"}).Draw(t, "anything")
	}
	for strings.Contains(text, star) {
		text = strings.Replace(text, star, rapid.SampledFrom(fillers).Draw(t, "wild"), 1)
	}
	return text
}

func swapCase(s string) string {
	if up := strings.ToUpper(s); up != s {
		return up
	}
	return strings.ToLower(s)
}

// record is a CloudTrail record that has what is assigned, as far as a record can.
func (a assignment) record(t *rapid.T) map[string]any {
	r := map[string]any{"eventVersion": "1.11", "eventTime": "2026-03-10T12:10:14Z", "eventName": "Untouched"}
	for member, field := range copied {
		if v, ok := a[field]; ok && !strings.HasPrefix(member, "resources.") {
			put(r, strings.Split(member, "."), v)
		}
	}
	if v, ok := a["source.ip"]; a["source.address"] == "" && (ok || a.owner().number != "") {
		r["sourceIPAddress"] = cmp.Or(v, "198.51.100.9")
	}
	if r["eventName"] == "" {
		r["eventName"] = "Untouched" // without any name it is no record
	}
	switch outcome := a["event.outcome"]; {
	case r["eventName"] == "ConsoleLogin" && outcome != "":
		put(r, []string{"responseElements", "ConsoleLogin"}, strings.ToUpper(outcome[:1])+outcome[1:])
	case outcome == "failure" && r["errorCode"] == nil:
		r["errorCode"] = "AccessDenied"
	}
	if v, ok := a["aws.cloudtrail.console_login.additional_eventdata.mfa_used"]; ok {
		put(r, []string{"additionalEventData", "MFAUsed"}, map[string]string{"true": "Yes"}[v]+map[string]string{"false": "No"}[v])
	}
	if a["aws.cloudtrail.user_identity.type"] == "AssumedRole" || rapid.IntRange(0, 5).Draw(t, "role") == 0 {
		put(r, []string{"userIdentity", "sessionContext", "sessionIssuer", "userName"}, a["user.name"])
	}
	a.resources(t, r)
	for member, name := range objects {
		if v, ok := a["aws.cloudtrail."+name]; ok {
			put(r, []string{member, rapid.SampledFrom([]string{"a", "text", "z"}).Draw(t, "key")}, v)
		}
		fields := make([]string, 0, len(a))
		for field := range a {
			fields = append(fields, field)
		}
		slices.Sort(fields)
		for _, field := range fields {
			if rest, ok := strings.CutPrefix(field, "aws.cloudtrail.flattened."+name+"."); ok {
				path := append([]string{member}, strings.Split(rest, ".")...)
				if n := len(path); n > 2 && rapid.IntRange(0, 4).Draw(t, "dotted key") == 0 {
					path = append(path[:n-2], path[n-2]+"."+path[n-1])
				}
				put(r, path, typed(t, a[field]))
			}
		}
	}
	return r
}

func (a assignment) resources(t *rapid.T, r map[string]any) {
	var list []any
	for i := range rapid.IntRange(0, 2).Draw(t, "resources") {
		list = append(list, map[string]any{"ARN": fmt.Sprint("arn:aws:s3:::b", i), "accountId": "111122223333", "type": ""})
	}
	if arn, ok := a["aws.cloudtrail.resources.arn"]; ok {
		list = append(list, map[string]any{"ARN": arn})
	}
	if list != nil {
		r["resources"] = list
	}
}

// typed gives numbers and booleans their JSON type, or leaves them text; and values sometimes company in an array.
func typed(t *rapid.T, text string) any {
	var value any = text
	_, err := strconv.ParseInt(text, 10, 32)
	switch bare := rapid.Bool().Draw(t, "bare"); {
	case bare && err == nil:
		value = json.Number(text)
	case bare && (text == "true" || text == "false"):
		value = text == "true"
	}
	if rapid.IntRange(0, 4).Draw(t, "company") == 0 {
		return []any{"company", nil, "", value}
	}
	return value
}

// put sets a member at a path of objects.
func put(r map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		next, ok := r[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			r[key] = next
		}
		r = next
	}
	r[path[len(path)-1]] = value
}
