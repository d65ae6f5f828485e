package processor

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas/wire"
)

// The rules under test.
const (
	ruleNewTerms  = "aws-s3-unauthenticated-bucket-access-by-rare-source"
	ruleAllowlist = "AWS.S3.ServerAccess.IPWhitelist"
)

// input is a record of a load whose answer is known. Rule is empty where no rule looks at it.
type input struct {
	record    *kgo.Record
	rule, key string
	id        string
	time      int64 // Unix seconds
}

// load makes n records over some days, three in ten up to 15 minutes late. The records of an address, and those of a
// bucket, are in one partition, so that their order, and with it the answer, is known.
func load(seed uint64, n int, partitions int32) []input {
	rnd := rand.New(rand.NewPCG(seed, 1))
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).Unix()
	place := func(key string) int32 {
		h := fnv.New32a()
		h.Write([]byte(key))
		return int32(h.Sum32() % uint32(partitions))
	}
	out := make([]input, n)
	for i := range out {
		t := start + int64(i)*20*86400/int64(n)
		if rnd.IntN(10) < 3 {
			t -= rnd.Int64N(900)
		}
		at := time.Unix(t, 0).UTC()
		in := input{time: t, id: fmt.Sprintf("%08x-%d", seed, i)}
		if rnd.IntN(2) == 0 {
			addr, account := fmt.Sprintf("198.51.%d.%d", rnd.IntN(40), rnd.IntN(30)), "111122223333"
			if rnd.IntN(3) > 0 {
				account, in.rule, in.key = "anonymous", ruleNewTerms, addr
			}
			in.record = &kgo.Record{Topic: "cloudtrail", Partition: place(addr), Value: fmt.Appendf(nil,
				`{"eventVersion":"1.11","userIdentity":{"type":"AWSAccount","principalId":"","accountId":"%s"},"eventTime":"%s","eventSource":"s3.amazonaws.com",`+
					`"eventName":"GetObject","awsRegion":"us-east-1","sourceIPAddress":"%s","userAgent":"curl/8","requestParameters":{"bucketName":"b"},"responseElements":null,`+
					`"requestID":"R%d","eventID":"%s","eventType":"AwsApiCall","recipientAccountId":"111122223333"}`, account, at.Format(time.RFC3339), addr, i, in.id)}
		} else {
			bucket, addr := fmt.Sprintf("bucket-%d", rnd.IntN(30)), fmt.Sprintf("10.0.0.%d", rnd.IntN(256))
			if rnd.IntN(3) > 0 {
				addr, in.rule, in.key = fmt.Sprintf("203.0.113.%d", rnd.IntN(256)), ruleAllowlist, bucket
			}
			in.record = &kgo.Record{Topic: "s3access", Partition: place(bucket), Value: fmt.Appendf(nil,
				`0123456789abcdef %s [%s] %s - %s REST.GET.OBJECT key "GET /key HTTP/1.1" 200 - 10 10 5 4 "-" "curl/8" - host SigV4 TLS AuthHeader h TLSv1.3 - -`,
				bucket, at.Format("02/Jan/2006:15:04:05 -0700"), addr, in.id)}
			in.id += ":REST.GET.OBJECT:key"
		}
		out[i] = in
	}
	return out
}

// answer is what a load must lead to: plain maps, one record at a time.
type answer struct {
	alerts map[string]string // rule and event id of each alert -> key
	terms  map[string]wire.Term
}

func answerOf(inputs []input) answer {
	a := answer{map[string]string{}, map[string]wire.Term{}}
	opened := map[string]int64{}
	for _, in := range inputs {
		id := in.rule + " " + in.id
		switch in.rule {
		case ruleNewTerms:
			last, seen := a.terms[in.key]
			if !seen {
				last.FirstSeen = in.time * 1000
			}
			if !seen || in.time*1000-last.LastSeen > 7*24*3600*1000 {
				a.alerts[id] = in.key
			}
			last.FirstSeen, last.LastSeen = min(last.FirstSeen, in.time*1000), max(last.LastSeen, in.time*1000)
			last.Count++
			a.terms[in.key] = last
		case ruleAllowlist:
			if t0, open := opened[in.key]; !open || in.time > t0+3600 {
				opened[in.key] = in.time
				a.alerts[id] = in.key
			}
		}
	}
	return a
}

// verdict is how a run differs from the answer.
type verdict struct{ missing, duplicate, wrong, terms int }

func (v verdict) String() string {
	return fmt.Sprintf("%d missing, %d duplicate, %d wrong alerts, %d wrong terms", v.missing, v.duplicate, v.wrong, v.terms)
}

// judge compares what subscribers saw, and what the stores remember, with the answer.
func judge(t *testing.T, a answer, alerts []*kgo.Record, stored map[string]wire.Term, ruleState wire.StateID) verdict {
	t.Helper()
	var v verdict
	seen := map[string]bool{}
	for _, r := range alerts {
		var doc struct {
			Rule   struct{ ID string }
			Source struct{ Address string }
			AWS    struct {
				S3Access struct {
					Bucket     struct{ Name string }
					BucketName string `json:"bucket"`
				}
			}
			Firstseen struct {
				Alert  struct{ Status string }
				Origin struct {
					EventID string `json:"event_id"`
				}
				NewTerms struct{ Values []string } `json:"new_terms"`
				Group    struct{ Key string }
			}
		}
		if err := json.Unmarshal(r.Value, &doc); err != nil {
			t.Fatalf("alert %s: %v", r.Value, err)
		}
		if doc.Firstseen.Alert.Status != "open" {
			continue
		}
		id := doc.Rule.ID + " " + doc.Firstseen.Origin.EventID
		key, expected := a.alerts[id]
		switch {
		case seen[id]:
			v.duplicate++
		case !expected, doc.Rule.ID == ruleNewTerms && key != doc.Source.Address:
			v.wrong++
		}
		seen[id] = true
	}
	for id := range a.alerts {
		if !seen[id] {
			v.missing++
		}
	}
	for addr, want := range a.terms {
		got := stored[string(stage.TermKey(nil, ruleState, []string{addr}))]
		if got.FirstSeen != want.FirstSeen || got.LastSeen != want.LastSeen || got.Count != want.Count {
			v.terms++
			if v.terms == 1 {
				t.Logf("the store says of %s: %+v, the input %+v", addr, got, want)
			}
		}
	}
	v.terms += max(0, len(stored)-len(a.terms))
	return v
}
