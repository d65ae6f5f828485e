package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/schemas/alert"
)

// teller writes the demo: what happens with the time at which it does, alerts, and numbers. Colours are for terminals.
type teller struct {
	mu    sync.Mutex
	w     io.Writer
	began time.Time // of the traffic
	brief bool      // an alert is a line, and only a few are shown
	room  int       // for brief alerts
	kept  int       // brief alerts not shown since

	strong, warn, good, faint, plain string
}

const (
	tellerMargin = 11 // columns of the time
	tellerWidth  = 104
)

func newTeller(w io.Writer) *teller {
	t := &teller{w: w, began: time.Now()}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			t.strong, t.warn, t.good, t.faint, t.plain = "\x1b[1m", "\x1b[1;31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
		}
	}
	return t
}

// begin sets the clock to zero.
func (t *teller) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = time.Now()
}

// line writes a line as it is.
func (t *teller) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, format+"\n", args...)
}

// happens writes what happens now.
func (t *teller) happens(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stamp := fmt.Sprintf("%6.1f s", time.Since(t.began).Seconds())
	text := wrap(fmt.Sprintf(format, args...), tellerWidth-tellerMargin)
	fmt.Fprintf(t.w, "%s%s%s   %s%s%s\n", t.faint, stamp, t.plain, t.strong, strings.Join(text, "\n"+strings.Repeat(" ", tellerMargin)), t.plain)
}

// adds writes something about what has just happened.
func (t *teller) adds(format string, args ...any) {
	t.line("%*s%s", tellerMargin, "", fmt.Sprintf(format, args...))
}

// alert writes an alert.
func (t *teller) alert(a seenAlert) {
	t.mu.Lock()
	defer t.mu.Unlock()
	margin := strings.Repeat(" ", tellerMargin)
	if t.brief {
		if t.room == 0 || a.status != alert.Open {
			t.kept++
			return
		}
		t.room--
		deed, _, _ := strings.Cut(a.reason, "; ")
		fmt.Fprintf(t.w, "%s%salert%s  %-9s  %s\n", margin, t.warn, t.plain, a.category, deed)
		return
	}
	severity := map[int]string{21: "low", 47: "medium", 73: "high", 99: "critical"}[a.severity]
	fmt.Fprintf(t.w, "%s%sALERT%s  %s  %s  %safter %d ms%s\n", margin, t.warn, t.plain, severity, a.title, t.faint, a.delay.Milliseconds(), t.plain)
	for _, text := range wrap(a.reason, tellerWidth-tellerMargin-7) {
		fmt.Fprintf(t.w, "%s       %s\n", margin, text)
	}
}

// show makes room for the next few brief alerts.
func (t *teller) show(few int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.room = few
}

// pause shows no more of the brief alerts, and says how many had no room.
func (t *teller) pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept > 0 {
		fmt.Fprintf(t.w, "%*s%s... and %s more%s\n", tellerMargin, "", t.faint, show.Grouped(int64(t.kept)), t.plain)
	}
	t.room, t.kept = 0, 0
}

// row writes a number and what it means, below others.
func (t *teller) row(name, value, meaning string) {
	t.line("  %-14s %9s   %s%s%s", name, value, t.faint, meaning, t.plain)
}

// verdict says how the alerts compare with those that had to come.
func (t *teller) verdict(v verdict) {
	colour := t.good
	if v.bad() {
		colour = t.warn
	}
	updates := ""
	if v.updates > 0 {
		updates = fmt.Sprintf(" and %s of closed windows", show.Plural(int64(v.updates), "update"))
	}
	t.line("\ncompared with the known answer, %s%s:\n  %smissing %d, duplicate %d, wrong %d%s", show.Plural(int64(v.alerts), "alert"), updates,
		colour, v.missing, v.duplicate, v.wrong, t.plain)
}

// wrap breaks a text at blanks into lines of at most width characters, where its words allow.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
