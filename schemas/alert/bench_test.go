package alert

import "testing"

// BenchmarkAppend renders a finding about a new address.
func BenchmarkAppend(b *testing.B) {
	for _, f := range []Format{ECS, OCSF, Panther, Avro} {
		b.Run(string(f), func(b *testing.B) { benchmark(b, samples(b)[0].alert, f) })
	}
}

// BenchmarkECS renders each kind of alert.
func BenchmarkECS(b *testing.B) {
	for _, s := range samples(b) {
		b.Run(s.name, func(b *testing.B) { benchmark(b, s.alert, ECS) })
	}
}

func benchmark(b *testing.B, a *Alert, f Format) {
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = a.Append(dst[:0], f)
	}
	b.SetBytes(int64(len(dst)))
}

// BenchmarkHeaders makes what goes beside a document: headers, and an id.
func BenchmarkHeaders(b *testing.B) {
	a := samples(b)[0].alert
	b.ReportAllocs()
	for b.Loop() {
		a.Headers()
		ID("alert", a.Rule.ID, a.Match.EventID, a.NewTerms.Values[0])
	}
}
