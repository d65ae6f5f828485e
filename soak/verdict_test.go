package main

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// series is half an hour of samples, one every five seconds.
func series(slack float64, value func(minute float64) float64) *row {
	r := &row{name: "memory", slack: slack, judged: true}
	for at := time.Duration(0); at < 30*time.Minute; at += 5 * time.Second {
		r.add(at, value(at.Minutes()))
	}
	return r
}

func TestVerdict(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := func(of float64) float64 { return of * (rnd.Float64() - 0.5) }
	for _, test := range []struct {
		name  string
		slack float64
		value func(minute float64) float64
		want  string
	}{
		{"constant", 0, func(float64) float64 { return 100 }, "flat"},
		{"nothing", 0, func(float64) float64 { return 0 }, "flat"},
		{"noise", 0, func(float64) float64 { return 100 + noise(40) }, "flat"},
		{"fills at the start", 0, func(m float64) float64 { return min(100, 20*m) }, "flat"},
		{"a saw", 0, func(m float64) float64 { return 100 + 50*(m-float64(int(m))) }, "flat"},
		{"falls", 0, func(m float64) float64 { return 100 - m }, "flat"},
		{"peaks at its end", 0, func(m float64) float64 {
			if m > 28 {
				return 1000
			}
			return 100
		}, "flat"},
		{"leaks", 0, func(m float64) float64 { return 100 + 2*m + noise(10) }, "grows"},
		{"leaks slowly", 0, func(m float64) float64 { return 100 + 1.5*m + noise(10) }, "grows"},
		{"leaks within the slack", 30, func(m float64) float64 { return 100 + 2*m + noise(10) }, "flat"},
		{"a saw whose foot rises", 0, func(m float64) float64 { return 100 + 3*m + 50*(m-float64(int(m))) }, "grows"},
		{"one more a minute, from nothing", 0, func(m float64) float64 { return float64(int(m)) }, "grows"},
	} {
		if got := series(test.slack, test.value).verdict(); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	short := &row{judged: true}
	for n := range minSamples - 1 {
		short.add(time.Duration(n)*time.Second, 1)
	}
	if got := short.verdict(); got != "only 29 samples" {
		t.Errorf("of 29 samples: %s", got)
	}
}

// The slope is that of the line, whatever the start was like.
func TestSlope(t *testing.T) {
	r := series(0, func(m float64) float64 {
		if m < 10 {
			return 1e6
		}
		return 100 + m
	})
	if got := r.slope(); got < 59.9 || got > 60.1 {
		t.Errorf("%v an hour, want 60", got)
	}
}

// What is judged and not flat is what makes the run fail.
func TestReport(t *testing.T) {
	leak := series(0, func(m float64) float64 { return 1 << 20 * (100 + 5*m) })
	leak.unit = 1 << 20
	flat := series(0, func(float64) float64 { return 7 })
	flat.name = "goroutines"
	aside := series(0, func(m float64) float64 { return m })
	aside.name, aside.judged = "alerts", false
	var out bytes.Buffer
	bad := report(&out, []*row{leak, flat, aside})
	if len(bad) != 1 || bad[0] != "memory: grows" {
		t.Errorf("bad: %q", bad)
	}
	lines := strings.Split(out.String(), "\n")
	for n, want := range []string{"what start middle end max an hour verdict", "memory 124.8 174.8 224.8 249.6 +300.0 grows", "goroutines 7.0 7.0 7.0 7.0 +0.0 flat", "not judged"} {
		if !strings.Contains(strings.Join(strings.Fields(lines[n]), " "), want) {
			t.Errorf("line %d: %s; want %s", n, lines[n], want)
		}
	}
}
