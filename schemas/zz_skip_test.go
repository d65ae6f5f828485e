package schemas

import (
	"bytes"
	"testing"

	"firstseen/schemas/jsonscan"
)

func BenchmarkPieces(b *testing.B) {
	data := []byte(assumedRole + "," + anonymous)
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			n, before := 0, cpuTime()
			for b.Loop() {
				f()
				n++
			}
			b.ReportMetric(float64(cpuTime()-before)/float64(n), "cpu-ns/op")
		})
	}
	run("skip", func() { jsonscan.Skip(data, 0) })
	run("mark", func() { usualMark.index(data[1:]) })
	run("isObject", func() { isObject(data[:len(assumedRole)]) })
	run("commas", func() { bytes.Count(data[:len(assumedRole)], []byte("},{")) })
	run("hide", func() { mayHide(data[:len(assumedRole)]) })
	for _, s := range []string{"anonymous", "ANONYMOUS_PRINCIPAL", "s3.amazonaws.com", "GetObject"} {
		n := needle{s, rarest(s)}
		run(s+"_"+s[n.rare:n.rare+1], func() { n.in(data[:len(assumedRole)]) })
		run(s+"_index", func() { bytes.Index(data[:len(assumedRole)], []byte(s)) })
	}
}
