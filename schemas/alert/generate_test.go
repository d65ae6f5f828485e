package alert

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// words are what texts are drawn from: what events have, what means something, and what breaks things.
var words = slices.Concat(hostile, []string{
	"", "", "s3.amazonaws.com", "GetObject", "REST.GET.OBJECT", "BATCH.DELETE.OBJECT", "GET.OBJECT", "HeadBucket", ".", "failure",
	"success", "203.0.113.7", "11.0.0.1, ::1,192.168.10.10", "::ffff:10.0.0.1", "fe80::1%eth0", "2001:db8::1", " 10.0.0.1 ", "010.0.0.1",
	"config.amazonaws.com", "arn:aws:s3:::acme/a/b", "arn:aws:s3:::other", "arn:aws:iam::1:role/r",
	"{bucketName=b, key=k}", "anonymous", "ANONYMOUS_PRINCIPAL", "true", "false", "200", "-9", "+7", "007", "1e3",
	"9223372036854775807", "9223372036854775808", "2026-11-22T12:00:00Z", "2026-02-30T12:00:00Z", "b.s3.eu-west-1.amazonaws.com",
	"b.s3.dualstack.eu-west-1.amazonaws.com", "source.address", "source.network", "T1078.004", "critical", "grün 漢字 🙂\u202e",
	`say "no" \ yes`, "a\x00b", "\x7f", "tab\there", "seven b", "eight by", "nine byte", `quote at"`, `12345678"`, strings.Repeat("x", 1100),
	strings.Repeat("ü", 1001), strings.Repeat("y", 985) + strings.Repeat("🙂", 20), "rule\x00value\x00other",
})

func text(t *rapid.T) string {
	if rapid.IntRange(0, 9).Draw(t, "kind of text") == 0 {
		return rapid.String().Draw(t, "text")
	}
	return rapid.SampledFrom(words).Draw(t, "word")
}

func someTexts(t *rapid.T) []string {
	n := rapid.SampledFrom([]int{0, 1, 1, 2, 5, 64, 65}).Draw(t, "n")
	if n > 60 {
		return slices.Repeat([]string{text(t)}, n)
	}
	var list []string
	for range n {
		list = append(list, text(t))
	}
	return list
}

func someTime(t *rapid.T) int64 {
	return rapid.SampledFrom([]int64{wire.NoTime, noon, noon + 1, noon - day, noon - 8*day + 250, 0, -1, -1 << 62, 1 << 62}).Draw(t, "time")
}

func someNumber(t *rapid.T) int64 {
	return rapid.SampledFrom([]int64{0, 1, 2, 17, -5, 1 << 62, 60_000, 7 * day, 90_500}).Draw(t, "number")
}

// someEvidence has fields in any order, several values, unknown fields and damage.
func someEvidence(t *rapid.T) []byte {
	var out []byte
	for range rapid.IntRange(0, 40).Draw(t, "fields") {
		f, value := uint64(rapid.IntRange(0, int(schemas.FieldEnd)+3).Draw(t, "field")), text(t)
		for range rapid.SampledFrom([]int{1, 1, 1, 1, 2, 3, 70}).Draw(t, "values") {
			out = binary.AppendUvarint(binary.AppendUvarint(out, f), uint64(len(value)))
			out = append(out, value...)
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "damage") == 0 && len(out) > 0 {
		out = out[:rapid.IntRange(0, len(out)-1).Draw(t, "end")]
	}
	return out
}

func someRule(t *rapid.T) *Rule {
	r := *rapid.SampledFrom([]*Rule{rareSource, allowlist, denied}).Draw(t, "rule")
	if rapid.Bool().Draw(t, "as it is") {
		return &r
	}
	r.ID, r.Name, r.Version, r.Description, r.Severity = text(t), text(t), text(t), text(t), text(t)
	r.Category = rapid.SampledFrom([]string{"new_terms", "allowlist", "query"}).Draw(t, "category")
	r.RiskScore, r.Dataset, r.NetworksVersion = int(someNumber(t)), text(t), text(t)
	r.Tags, r.References, r.Fields, r.Panther = someTexts(t), someTexts(t), someTexts(t), rapid.Bool().Draw(t, "panther")
	r.Threat = nil
	for range rapid.IntRange(0, 3).Draw(t, "threats") {
		threat := Threat{text(t), text(t), text(t), text(t), nil}
		for range rapid.SampledFrom([]int{0, 1, 2, 70}).Draw(t, "techniques") {
			threat.Techniques = append(threat.Techniques, Technique{text(t), text(t), text(t)})
		}
		r.Threat = append(r.Threat, threat)
	}
	return &r
}

func someAlert(t *rapid.T) *Alert {
	maybe := func(what string) bool { return rapid.Bool().Draw(t, what) }
	a := &Alert{
		Kind: rapid.SampledFrom([]string{Open, Open, Closed, Overflow, Gap}).Draw(t, "kind"), Ruleset: []byte(text(t)), Title: text(t),
		Time: someTime(t), Count: someNumber(t), FirstSeen: someTime(t), LastSeen: someTime(t), Created: someTime(t),
		Flags: schemas.Flags(rapid.Int32Range(0, 15).Draw(t, "flags")),
	}
	copy(a.ID[:], rapid.SliceOfN(rapid.Byte(), len(uuid.UUID{}), len(uuid.UUID{})).Draw(t, "id"))
	if maybe("rule") {
		a.Rule = someRule(t)
	}
	if maybe("match") {
		a.Match = &wire.Match{Time: someTime(t), EventID: text(t), Title: text(t), Evidence: someEvidence(t),
			Origin: wire.Origin{Topic: text(t), File: text(t), Partition: 3, Offset: someNumber(t), Line: someNumber(t), Index: 7}}
	}
	if maybe("terms") {
		a.NewTerms = &NewTerms{someTexts(t), someTime(t), someNumber(t), someTime(t)}
	}
	if maybe("group") {
		a.Group = &Group{someTexts(t), text(t), someTime(t), someTime(t), someNumber(t), someTime(t)}
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 3, 20}).Draw(t, "counters") {
		c := wire.Counter{Attribute: rapid.SampledFrom([]string{"key", "key", "bucket", "", words[0]}).Draw(t, "attribute"), Value: text(t), Count: someNumber(t), Error: someNumber(t)}
		a.Summary = append(a.Summary, slices.Repeat([]wire.Counter{c}, rapid.SampledFrom([]int{1, 1, 1, 16, 100}).Draw(t, "times"))...)
	}
	if maybe("suppressed") {
		a.Suppressed, a.SuppressedTopic = someNumber(t), text(t)
	}
	if maybe("missing") {
		a.Missing = &Missing{text(t), 3, someNumber(t), someNumber(t)}
	}
	return a
}
