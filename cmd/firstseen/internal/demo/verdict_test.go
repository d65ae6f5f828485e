package demo

import (
	"slices"
	"strings"
	"testing"

	"firstseen/schemas/alert"
	"firstseen/traffic"
)

// The answer: an address, a bucket with two windows of which the first had three matches, another bucket.
func knownAnswer() []*traffic.Alert {
	return []*traffic.Alert{
		{Rule: traffic.NewTermsRule, Key: "192.0.2.1", EventID: "e1", Count: 1},
		{Rule: traffic.AllowlistRule, Key: "logs", EventID: "e2", Count: 3},
		{Rule: traffic.AllowlistRule, Key: "web", EventID: "e3", Count: 9},
		{Rule: traffic.AllowlistRule, Key: "logs", EventID: "e4", Count: 2},
	}
}

func rightAlerts() []seenAlert {
	return []seenAlert{
		{rule: traffic.NewTermsRule, key: "192.0.2.1", eventID: "e1", id: "a1", status: alert.Open, count: 1},
		{rule: traffic.AllowlistRule, key: "logs", eventID: "e2", id: "a2", status: alert.Open, count: 1},
		{rule: traffic.AllowlistRule, key: "web", eventID: "e3", id: "a3", status: alert.Open, count: 1},
		{rule: traffic.AllowlistRule, key: "logs", eventID: "e2", id: "a2", status: alert.Closed, count: 3},
		{rule: traffic.AllowlistRule, key: "logs", eventID: "e4", id: "a4", status: alert.Open, count: 1},
	}
}

func TestJudgeAlerts(t *testing.T) {
	stranger := seenAlert{rule: traffic.NewTermsRule, key: "192.0.2.9", eventID: "e9", id: "a9", status: alert.Open}
	for _, c := range []struct {
		name                      string
		change                    func([]seenAlert) []seenAlert
		missing, duplicate, wrong int
	}{
		{"all right", func(a []seenAlert) []seenAlert { return a }, 0, 0, 0},
		{"nothing", func([]seenAlert) []seenAlert { return nil }, 5, 0, 0},
		{"an alert lost", func(a []seenAlert) []seenAlert { return a[1:] }, 1, 0, 0},
		{"an update lost", func(a []seenAlert) []seenAlert { return slices.Delete(a, 3, 4) }, 1, 0, 0},
		{"an alert twice", func(a []seenAlert) []seenAlert { return append(a, a[0]) }, 0, 1, 0},
		{"twice under another id", func(a []seenAlert) []seenAlert {
			again := a[0]
			again.id = "a9"
			return append(a, again)
		}, 0, 1, 0},
		{"an update twice", func(a []seenAlert) []seenAlert { return append(a, a[3]) }, 0, 1, 0},
		{"an alert too many", func(a []seenAlert) []seenAlert { return append(a, stranger) }, 0, 0, 1},
		{"of another address", func(a []seenAlert) []seenAlert { a[0].key = "192.0.2.2"; return a }, 1, 0, 1},
		{"of another event", func(a []seenAlert) []seenAlert { a[0].eventID = "e7"; return a }, 1, 0, 1},
		{"a count too low", func(a []seenAlert) []seenAlert { a[3].count = 2; return a }, 1, 0, 1},
		{"an update of a window that is open", func(a []seenAlert) []seenAlert {
			return append(a, seenAlert{rule: traffic.AllowlistRule, key: "web", eventID: "e3", id: "a3", status: alert.Closed, count: 9})
		}, 0, 0, 1},
		{"a cap that was not reached", func(a []seenAlert) []seenAlert {
			return append(a, seenAlert{rule: traffic.NewTermsRule, key: "192.0.2.1", eventID: "e1", id: "a9", status: alert.Overflow})
		}, 0, 0, 1},
	} {
		v := judgeAlerts(knownAnswer(), c.change(rightAlerts()))
		if want := (verdict{4, 1, c.missing, c.duplicate, c.wrong}); v != want {
			t.Errorf("%s: %+v, want %+v", c.name, v, want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"one two three", 20, "one two three"},
		{"one two three", 8, "one two|three"},
		{"one two three", 7, "one two|three"},
		{"averylongword and more", 8, "averylongword|and more"},
	} {
		if got := strings.Join(wrap(c.text, c.width), "|"); got != c.want {
			t.Errorf("%q at %d: %q, want %q", c.text, c.width, got, c.want)
		}
	}
}
