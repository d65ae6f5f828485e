package rules

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"firstseen/schemas"
)

func sortedText(s string) []string {
	lines := strings.Split(s, "\n")
	slices.Sort(lines)
	return lines
}

// each is a sink that calls a function for each event.
type each struct {
	t  *testing.T
	do func(*schemas.Event)
}

func (e each) Event(event *schemas.Event) { e.do(event) }
func (e each) Dead(l schemas.DeadLetter) {
	e.t.Errorf("dead letter %s: %s in %s", l.Reason, l.Detail, l.Value)
}

// decode calls do for the record as the set's rules see it.
func decode(t *testing.T, s *Set, record string, do func(*schemas.Event)) schemas.Stats {
	t.Helper()
	d := schemas.NewDecoder(schemas.Config{Layout: s.Layout(), Filters: s.Filters(), Strict: s.Strict()})
	return d.Decode(schemas.Message{Value: []byte(record), Timestamp: testTime, Now: testTime}, each{t, do})
}

// verdicts says what the rules make of a record: the ids of those that match, and of those with an error.
func verdicts(t *testing.T, s *Set, record string) string {
	t.Helper()
	var b strings.Builder
	decode(t, s, record, func(e *schemas.Event) {
		s.Match(e, func(r *Rule, err error) {
			b.WriteString(r.ID())
			if err != nil {
				b.WriteString(" error")
			}
		})
	})
	return b.String()
}

func accessFrom(remoteIP, bucket string) string {
	return fmt.Sprintf(`{"remoteip": %s, "bucket": %q, "time": "2026-01-01T00:00:00Z", "operation": "REST.GET.OBJECT"}`, remoteIP, bucket)
}

// The order of the checks is Panther's: buckets, then a source at all, then one that parses, then the networks.
func TestAllowlistOrder(t *testing.T) {
	set := []string{ipList + ".query=bucket: watched", ipList + ".allowlist.networks=[10.0.0.0/8, 2001:db8::/32, '192.0.2.0/24 expires=2025-12-31', '198.51.100.0/24 expires=2026-01-01']"}
	const match, failed = ipList, ipList + " error"
	loose, strict := mustLoad(t, LoadOptions{Set: set}), mustLoad(t, LoadOptions{Set: set, Strict: true})
	for source, want := range map[string][2]string{
		`"10.0.0.1"`:           {"", ""},
		`"11.0.0.1"`:           {match, match},
		`"2001:db8::1"`:        {"", ""},
		`"2001:db9::1"`:        {match, match},
		`"10.1.0.0/16"`:        {"", ""},
		`"10.0.0.0/7"`:         {match, match}, // wider than the entry
		`"::/0"`:               {match, match},
		`"192.0.2.1"`:          {match, match}, // the entry ended the day before
		`"198.51.100.1"`:       {"", ""},
		`"::ffff:10.0.0.1"`:    {"", match},
		`"::ffff:11.0.0.1"`:    {match, match},
		`"-"`:                  {"", ""},
		`""`:                   {"", ""},
		`null`:                 {"", ""},
		`"10.0.0.1/8"`:         {failed, failed},
		`"10.0.0.0/255.0.0.0"`: {failed, failed},
		`"010.0.0.1"`:          {failed, failed},
		`"10.0.0.1:443"`:       {failed, failed},
		`" 10.0.0.1"`:          {failed, failed},
		`"AWS Internal"`:       {failed, failed},
		`167772161`:            {failed, failed},
	} {
		for i, s := range []*Set{loose, strict} {
			if got := verdicts(t, s, accessFrom(source, "watched")); got != want[i] {
				t.Errorf("%s, strict=%v: got %q, want %q", source, s.Strict(), got, want[i])
			}
			if got := verdicts(t, s, accessFrom(source, "other")); got != "" {
				t.Errorf("%s in a bucket that is not watched: got %q", source, got)
			}
		}
	}
}

func anonymous(account, address, more string) string {
	return fmt.Sprintf(`{"eventVersion":"1.10","eventTime":"2026-01-01T00:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject",
		"userIdentity":{"type":"AWSAccount","principalId":"","accountId":%q},"sourceIPAddress":%q%s}`, account, address, more)
}

func TestAnonymousInEitherSpelling(t *testing.T) {
	loose, strict := mustLoad(t, LoadOptions{}), mustLoad(t, LoadOptions{Strict: true})
	for account, want := range map[string][2]string{
		"anonymous": {rareSource, rareSource}, "ANONYMOUS_PRINCIPAL": {rareSource, ""}, "111122223333": {"", ""}, "Anonymous": {"", ""},
	} {
		for i, s := range []*Set{loose, strict} {
			if got := verdicts(t, s, anonymous(account, "203.0.113.7", "")); got != want[i] {
				t.Errorf("%s, strict=%v: got %q, want %q", account, s.Strict(), got, want[i])
			}
		}
	}
}

// ruleFor loads one rule for CloudTrail, with these keys besides the required ones.
func ruleFor(t *testing.T, strict bool, keys string) (*Set, *Rule) {
	t.Helper()
	file := filepath.Join(write(t, "r.yaml", "id: r\nname: R\ndataset: aws.cloudtrail\nseverity: low\n"+keys), "r.yaml")
	s := mustLoad(t, LoadOptions{Paths: []string{file}, NoBuiltin: true, Strict: strict})
	return s, s.Rule("r")
}

func TestTerms(t *testing.T) {
	terms := func(strict bool, fields, record string) string {
		s, r := ruleFor(t, strict, "new_terms: {history: 7d, fields: ["+fields+"]}\n")
		var all []string
		decode(t, s, record, func(e *schemas.Event) {
			r.EachTerms(e, func(values [][]byte) {
				var words []string
				for _, v := range values {
					words = append(words, string(v))
				}
				all = append(all, strings.Join(words, "+"))
			})
		})
		return strings.Join(all, " ")
	}
	const resources = `,"resources":[{"ARN":"a","type":"x"},{"ARN":"b"},{"ARN":"a","type":"y"},{"ARN":""},{"ARN":null}]`
	for _, c := range []struct {
		why, fields, address, more, want string
	}{
		{"an address is canonical", "source.address", "2001:DB8:0:0::1", "", "2001:db8::1"},
		{"a mapped address is IPv4", "source.address", "::ffff:203.0.113.7", "", "203.0.113.7"},
		{"the zone goes", "source.address", "fe80::1%eth0", "", "fe80::1"},
		{"a service is verbatim", "source.address", "AWS Internal", "", "AWS Internal"},
		{"so is what is nearly an address", "source.address", "203.0.113.007", "", "203.0.113.007"},
		{"a service has no ip", "source.ip", "AWS Internal", "", ""},
		{"an array contributes each value once", "aws.cloudtrail.resources.arn", "x", resources, "a b"},
		{"the cross product, in the order of the fields", "aws.cloudtrail.resources.type, source.address, aws.cloudtrail.resources.arn", "::1", resources,
			"x+::1+a x+::1+b y+::1+a y+::1+b"},
		{"an absent field leaves nothing", "source.address, aws.cloudtrail.resources.arn", "::1", "", ""},
		{"request parameters are fields", "aws.cloudtrail.flattened.request_parameters.bucketName", "x", `,"requestParameters":{"bucketName":"acme"}`, "acme"},
	} {
		if got := terms(false, c.fields, anonymous("anonymous", c.address, c.more)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.why, got, c.want)
		}
	}
	if got := terms(true, "source.address", anonymous("a", "::ffff:203.0.113.7", "")); got != "::ffff:203.0.113.7" {
		t.Errorf("strict leaves a mapped address: got %q", got)
	}
	long := strings.Repeat("é", 2000)
	one, other := terms(false, "user_agent.original", anonymous("a", "x", `,"userAgent":"`+long+`1"`)), terms(false, "user_agent.original", anonymous("a", "x", `,"userAgent":"`+long+`2"`))
	if len(one) > maxValue || one == other || !strings.HasPrefix(one, "éé") || !utf8.ValidString(one) {
		t.Errorf("a long value is cut and stays distinct: got %d bytes, %q and %q", len(one), one, other)
	}
}

// A forged record cannot make millions of terms; nor is it lost.
func TestTooManyCombinations(t *testing.T) {
	s, _ := ruleFor(t, false, "new_terms: {history: 7d, fields: [aws.cloudtrail.resources.arn, aws.cloudtrail.resources.type]}\n")
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, `,{"ARN":"a%d","type":"t%d"}`, i, i)
	}
	if got := verdicts(t, s, anonymous("a", "x", `,"resources":[`+b.String()[1:]+`]`)); got != "r error" {
		t.Errorf("got %q", got)
	}
}

func TestTitleAndGroup(t *testing.T) {
	s := mustLoad(t, LoadOptions{})
	r := s.Rule(ipList)
	for record, want := range map[string]string{
		accessFrom(`"11.0.0.1"`, "acme"): "Non-Approved IP access to S3 Bucket [acme]",
		accessFrom(`"11.0.0.1"`, ""):     "Non-Approved IP access to S3 Bucket [<UNKNOWN_BUCKET>]",
	} {
		decode(t, s, record, func(e *schemas.Event) {
			title := r.Title(e)
			if title != want || r.Group(e, title, nil) != ipList+"\x00"+want {
				t.Errorf("got %q in group %q, want %q", title, r.Group(e, title, nil), want)
			}
			var got []string
			r.Summary(e, func(attribute string, value []byte) { got = append(got, attribute+"="+string(value)) })
			if all := strings.Join(got, " "); !strings.HasSuffix(all, "remoteip=11.0.0.1") || strings.Contains(all, "key") || strings.Contains(all, "bucket=acme") != strings.Contains(title, "acme") {
				t.Errorf("summary %v", got)
			}
		})
	}
	record := anonymous("anonymous", "203.0.113.7", `,"userAgent":"`+strings.Repeat("ü", 1001)+`","resources":[{"ARN":"a\u0000b"},{"ARN":"c"}]`)
	for keys, want := range map[string]string{
		"max_alerts: {count: 1}\n": "r",
		"max_alerts: {count: 1}\ndedup: {by: [source.address], period: 1h}\n": "r\x00203.0.113.7",
		"dedup: {period: 1h}\n":                                                              "r",
		"dedup: {period: 1h}\ntitle: 'by {source.address}'\n":                                "r\x00by 203.0.113.7",
		"dedup: {by: [source.address, user.id, aws.cloudtrail.resources.arn], period: 1h}\n": "r\x00203.0.113.7\x00\x00a\\0b, c",
		"new_terms: {fields: [cloud.account.id], history: 1d}\n":                             "r\x00anonymous",
		"query: 'event.action: GetObject'\n":                                                 "r\x00203.0.113.7",
	} {
		s, r := ruleFor(t, false, keys)
		decode(t, s, record, func(e *schemas.Event) {
			var terms [][]byte
			r.EachTerms(e, func(values [][]byte) { terms = slices.Clone(values) })
			if got := r.Group(e, r.Title(e), terms); got != want {
				t.Errorf("%s: got %q, want %q", keys, got, want)
			}
		})
	}
	s, r = ruleFor(t, false, "title: '{user_agent.original} {{x}} {user.id}'\n")
	decode(t, s, record, func(e *schemas.Event) {
		if got := r.Title(e); got != strings.Repeat("ü", 985)+"... (truncated)" {
			t.Errorf("a long title: %q", got)
		}
	})
}

func TestState(t *testing.T) {
	state := func(strict bool, keys string) string {
		_, r := ruleFor(t, strict, keys)
		return fmt.Sprintf("%x", r.State())
	}
	const keys = "new_terms: {fields: [source.address], history: 7d}\n"
	// What has been seen is kept under this id: another one would make everything new.
	if got := state(false, keys); got != "800e3165f157006b" {
		t.Errorf("got %s", got)
	}
	if got := mustLoad(t, LoadOptions{}).Rule(rareSource).State(); fmt.Sprintf("%x", got) != "2ec8ecedab011222" {
		t.Errorf("got %x", got)
	}
	if state(false, keys) != state(false, strings.Replace(keys, "7d", "30d", 1)+"query: 'event.action: x'\nmode: shadow\n") {
		t.Error("a changed window and query begin a new history")
	}
	for _, other := range []string{strings.Replace(keys, "source.address", "source.ip", 1), strings.Replace(keys, "source.address", "source.address, user.id", 1)} {
		if state(false, keys) == state(false, other) {
			t.Errorf("other fields, the same history: %s", other)
		}
	}
	if state(false, keys) == state(true, keys) {
		t.Error("in strict mode addresses are other terms, but the history is the same")
	}
	if users := strings.Replace(keys, "source.address", "user.id", 1); state(false, users) != state(true, users) {
		t.Error("strict makes a new history of a rule without addresses")
	}
	_, r := ruleFor(t, false, strings.Replace(keys, "source.address", "user.id, source.address", 1))
	if !r.KeyedBySource() || r.SourceTerm() != 1 {
		t.Errorf("keyed by source: %v, term %d", r.KeyedBySource(), r.SourceTerm())
	}
}

// A record that a rule matches passes the filter of its dataset, with every rule of the set at once; and a dataset
// without rules is not even parsed.
func TestFilters(t *testing.T) {
	s := mustLoad(t, LoadOptions{Set: []string{ipList + ".mode=off"}})
	stats := func(s *Set, record string) string {
		st := decode(t, s, record, func(*schemas.Event) {})
		return fmt.Sprint(st.Filtered, " filtered ", st.Events, " events")
	}
	for record, want := range map[string]string{
		anonymous("anonymous", "1.2.3.4", ""):    "0 filtered 1 events",
		anonymous("111122223333", "1.2.3.4", ""): "1 filtered 0 events",
		accessFrom(`"11.0.0.1"`, "b"):            "1 filtered 0 events",
	} {
		if got := stats(s, record); got != want {
			t.Errorf("%s: got %s, want %s", record, got, want)
		}
	}
	both := write(t, "r.yaml", "id: r\nname: R\ndataset: aws.cloudtrail\nseverity: low\nquery: 'user_agent.original: *Boto3* and cloud.region: eu-west-1'\n")
	s = mustLoad(t, LoadOptions{Paths: []string{both}})
	for record, want := range map[string]string{
		anonymous("anonymous", "1.2.3.4", ""):                                                      "0 filtered 1 events",
		anonymous("111122223333", "1.2.3.4", `,"userAgent":"[Boto3/1.9]","awsRegion":"eu-west-1"`): "0 filtered 1 events",
		anonymous("111122223333", "1.2.3.4", `,"userAgent":"[Boto3/1.9]","awsRegion":"eu-west-2"`): "1 filtered 0 events",
	} {
		if got := stats(s, record); got != want {
			t.Errorf("%s: got %s, want %s", record, got, want)
		}
	}
}

// What filters look for really stands in the record: every field that is said to be copied is, byte for byte.
func TestCopiedFieldsAreCopied(t *testing.T) {
	records := map[schemas.Dataset]string{
		schemas.CloudTrail: `{"eventVersion":"1.10","eventTime":"2026-01-01T00:00:00Z","eventID":"Event-ID","eventSource":"Source.com","eventName":"Name",
			"eventType":"AwsApiCall","eventCategory":"Data","awsRegion":"Region","sourceIPAddress":"2001:DB8::0:1","userAgent":"Agent/1 (é)","errorCode":"Code","errorMessage":"Message",
			"recipientAccountId":"Recipient","vpcEndpointId":"Vpce","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"Cipher","clientProvidedHostHeader":"Host"},
			"userIdentity":{"type":"AssumedRole","principalId":"Principal:Session","arn":"Arn","accountId":"Account","accessKeyId":"Key","invokedBy":"Invoker","userName":"User",
			"sessionContext":{"sessionIssuer":{"userName":"Issuer","type":"Role","principalId":"Issuer-ID","arn":"Issuer-Arn","accountId":"Issuer-Account"}}},"resources":[{"ARN":"ResArn","type":"ResType","accountId":"ResAccount"}],"requestParameters":{"bucketName":"Bucket","n":1.50}}`,
		schemas.S3Access: `Owner Bucket-Name [02/Jan/2026:15:04:05 +0000] 2001:DB8::1 arn:aws:iam::1:user/Ann ReqID REST.GET.OBJECT a%2520b "GET /a%2520b HTTP/1.1" 200 - 1 1 1 1 "-" "Agent" -`,
	}
	for dataset, record := range records {
		names := append(slices.Clone(copied[dataset]), "aws.cloudtrail.flattened.request_parameters.bucketName", "aws.cloudtrail.flattened.request_parameters.n")
		layout := schemas.NewLayout(names)
		seen := 0
		schemas.NewDecoder(schemas.Config{Layout: layout}).Decode(schemas.Message{Value: []byte(record), Timestamp: testTime}, each{t, func(e *schemas.Event) {
			for _, name := range names {
				slot, _ := layout.Slot(name)
				for _, v := range e.Values(slot) {
					seen++
					if !strings.Contains(record, string(v.Text)) {
						t.Errorf("%s is %q, which is not in the record", name, v.Text)
					}
				}
				if len(e.Values(slot)) == 0 && (dataset == schemas.CloudTrail || !strings.HasPrefix(name, "aws.cloudtrail.")) {
					t.Errorf("%s: the record has no %s", dataset, name)
				}
			}
		}})
		if seen == 0 {
			t.Errorf("%s: no event", dataset)
		}
	}
}

func TestNoMatchCostsNothing(t *testing.T) {
	s := mustLoad(t, LoadOptions{})
	for _, record := range []string{
		anonymous("111122223333", "203.0.113.7", `,"userAgent":"anonymous"`), accessFrom(`"10.0.0.1"`, "acme"), accessFrom(`"-"`, "acme"),
	} {
		n := 0
		decode(t, s, record, func(e *schemas.Event) {
			n++
			if allocs := testing.AllocsPerRun(100, func() { s.Match(e, func(*Rule, error) { t.Error("a match") }) }); allocs != 0 {
				t.Errorf("%s: %v allocations", record, allocs)
			}
		})
		if n != 1 {
			t.Errorf("%s: %d events", record, n)
		}
	}
}

// A test of a rule fails for what is not as expected, and says so for what is no record.
func TestRunTests(t *testing.T) {
	s, r := ruleFor(t, false, "query: 'event.action: GetObject'\nmode: off\ntests:\n"+
		"  - {Name: right, ExpectedResult: true, Log: {eventSource: s3.amazonaws.com, eventName: GetObject, n: [1, 0x10, 2026-01-01, null, true]}}\n"+
		"  - {Name: wrong, ExpectedResult: true, Log: {eventSource: s3.amazonaws.com, eventName: PutObject}}\n"+
		"  - {Name: none, ExpectedResult: false, Log: {a: 1}}\n"+
		"  - {Name: broken, ExpectedResult: false, Log: '{\"eventName\":'}\n"+
		"  - {Name: two, ExpectedResult: true, Log: {Records: [{eventSource: s3.amazonaws.com, eventName: GetObject}, {eventSource: s3.amazonaws.com, eventName: GetObject}]}}\n")
	if log := r.Tests()[0].Log; !json.Valid(log) || !strings.Contains(string(log), `[1,16,"2026-01-01",null,true]`) {
		t.Errorf("log %s", log)
	}
	results := RunTests(s, r)
	if len(results) != 5 || !results[0].Passed() || results[1].Passed() || results[1].Got || results[1].Err != nil {
		t.Fatalf("got %+v", results)
	}
	if x := results[1]; x.Explanation.Because != QueryFails || !slices.Equal(x.Values["event.action"], []string{"PutObject"}) {
		t.Errorf("what decided: %s of %q", x.Explanation.Because, x.Values)
	}
	for _, r := range results[2:] {
		if r.Passed() || r.Err == nil {
			t.Errorf("a log that is no record passes: %+v", r)
		}
	}
}

// A rule with terms makes nothing of a record that has none of them, so no test of it may want a match.
func TestRunTestsTerms(t *testing.T) {
	s, r := ruleFor(t, false, "query: 'event.action: GetObject'\nnew_terms: {fields: [source.address, aws.cloudtrail.resources.arn], history: 7d}\ntests:\n"+
		"  - {Name: both, ExpectedResult: true, Log: {eventSource: s3.amazonaws.com, eventName: GetObject, sourceIPAddress: 192.0.2.1, resources: [{ARN: a}]}}\n"+
		"  - {Name: one, ExpectedResult: false, Log: {eventSource: s3.amazonaws.com, eventName: GetObject, sourceIPAddress: 192.0.2.1}}\n"+
		"  - {Name: one is wanted, ExpectedResult: true, Log: {eventSource: s3.amazonaws.com, eventName: GetObject, sourceIPAddress: 192.0.2.1}}\n")
	for i, want := range []bool{true, true, false} {
		if got := RunTests(s, r)[i]; got.Passed() != want || got.Err != nil || got.Got != (i == 0) {
			t.Errorf("%+v, want passed %v", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	s, _, err := Load(LoadOptions{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Encode())
	f.Add([]byte(`{"format":1,"rules":[{"id":"","dataset":"aws.s3access","new_terms":{"fields":[""]},"allowlist":{},"title":"{a}"}]}`))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		s, err := Decode(encoded)
		if err != nil {
			return
		}
		again, err := Decode(s.Encode())
		if err != nil || again.Hash() != s.Hash() {
			t.Fatalf("decoded again it is another set: %v", err)
		}
	})
}
