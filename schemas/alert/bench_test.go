package alert

import "testing"

func BenchmarkAppend(b *testing.B) {
	for _, f := range []Format{ECS, OCSF, Panther, Avro} {
		b.Run(string(f), func(b *testing.B) {
			a := samples(b)[0].alert
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = a.Append(dst[:0], f)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}
