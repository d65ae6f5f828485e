package show

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	var terminal bytes.Buffer
	at := time.Unix(0, 0)
	p := &Bar{w: &terminal, clock: func() time.Time { return at }, total: 400e6, began: at}
	step := func(passed time.Duration, bytes int, alerts int64, want string) {
		t.Helper()
		terminal.Reset()
		at = at.Add(passed)
		p.Add(bytes, alerts)
		if got := terminal.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	step(time.Second, 100e6, 0, "\r 25% [======                  ] 100 MB of 400 MB  100 MB/s  0 alerts\x1b[K")
	step(50*time.Millisecond, 50e6, 1, "") // ten times a second is enough
	step(2950*time.Millisecond, 50e6, 1, "\r 50% [============            ] 200 MB of 400 MB  50.0 MB/s  1 alert  4s left\x1b[K")
	terminal.Reset()
	p.Clear()
	p.Clear()
	if got := terminal.String(); got != "\r\x1b[K" {
		t.Errorf("cleared by %q", got)
	}
	step(4*time.Second, 300e6, 12345, "\r100% [========================] 500 MB of 400 MB  62.5 MB/s  12,345 alerts  0s left\x1b[K")
	p.total = 0
	step(2*time.Second, 0, 12345, "\r500 MB  50.0 MB/s  12,345 alerts\x1b[K")
	if p = NewBar(&terminal, 1); p != nil {
		t.Error("a bar that is not on a terminal")
	}
	p.Add(1, 1)
	p.Clear()
}

func TestNumbersForPeople(t *testing.T) {
	var got []string
	for _, n := range []int64{0, 999, 1000, 1234567, -1234} {
		got = append(got, Grouped(n))
	}
	for _, n := range []int64{0, 999, 1000, 99_900, 999_499, 999_500, 1_234_567_890, 5e15} {
		got = append(got, Size(n))
	}
	const want = "0|999|1,000|1,234,567|-1,234|0 B|999 B|1.0 kB|100 kB|999 kB|1.0 MB|1.2 GB|5000 TB"
	if strings.Join(got, "|") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, "|"), want)
	}
}
