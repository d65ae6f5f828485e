// Package show writes numbers, times and texts, and how far something has come, as people read them.
package show

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"firstseen/schemas/wire"
)

// Text is text from the network as a terminal may get it: on one line, cut, and with what does not print spelled out.
func Text(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > most {
			b.WriteString("...")
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// List joins words for a sentence.
func List(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

// Time writes Unix milliseconds as RFC 3339.
func Time(ms int64) string {
	if ms == wire.NoTime {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.999Z")
}
