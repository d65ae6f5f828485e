package show

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Bar is a bar on a terminal that says how much of something has been read. A nil one does nothing. It draws from
// the goroutine that reads, so it stands still when that does.
type Bar struct {
	w     io.Writer
	clock func() time.Time
	total int64 // bytes; 0: not known
	done  int64
	Unit  func(int64) string // writes a number of them; nil: size
	began time.Time
	drawn time.Time
	shown bool
}

// NewBar returns a bar if w is a terminal.
func NewBar(w io.Writer, total int64) *Bar {
	if !IsTerminal(w) {
		return nil
	}
	return &Bar{w: w, clock: time.Now, total: total, began: time.Now()}
}

// IsTerminal says whether w is one. The null device passes for one, which does no harm.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Add says that n more bytes have been read, and how many alerts there are. It draws ten times a second at most.
func (p *Bar) Add(n int, alerts int64) {
	if p == nil {
		return
	}
	p.done += int64(n)
	now := p.clock()
	if now.Sub(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn, p.shown = now, true
	fmt.Fprintf(p.w, "\r%s\x1b[K", p.line(now.Sub(p.began), alerts))
}

// line is at most 79 characters long.
func (p *Bar) line(passed time.Duration, alerts int64) string {
	rate, unit := float64(p.done)/max(passed.Seconds(), 1e-3), p.Unit
	if unit == nil {
		unit = Size
	}
	if p.total <= 0 {
		return fmt.Sprintf("%s  %s/s  %s", unit(p.done), unit(int64(rate)), Plural(alerts, "alert"))
	}
	const width = 24
	part := min(float64(p.done)/float64(p.total), 1)
	full := int(part * width)
	left := ""
	if p.done > 0 && passed > 2*time.Second { // before that it is a guess
		seconds := max(float64(p.total-p.done), 0) / rate
		left = "  " + (time.Duration(seconds) * time.Second).String() + " left"
	}
	return fmt.Sprintf("%3d%% [%s%s] %s of %s  %s/s  %s%s", int(part*100), strings.Repeat("=", full), strings.Repeat(" ", width-full),
		unit(p.done), unit(p.total), unit(int64(rate)), Plural(alerts, "alert"), left)
}

// Clear takes the bar away, until the next add.
func (p *Bar) Clear() {
	if p != nil && p.shown {
		p.shown, p.drawn = false, time.Time{}
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
