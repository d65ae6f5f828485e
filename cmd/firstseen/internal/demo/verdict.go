package demo

import (
	"firstseen/schemas/alert"
	"firstseen/traffic"
)

// verdict is how what a subscriber has read differs from the known answer.
type verdict struct {
	alerts, updates           int // as they must be
	missing, duplicate, wrong int
}

func (v verdict) bad() bool { return v.missing+v.duplicate+v.wrong > 0 }

// judgeAlerts compares alerts with those that had to come, by rule and event: each once, about what the event was about.
// Of an alert whose window has been followed by another one and stands for several matches, there must also be one
// closed update, of the same id and with their number.
func judgeAlerts(want []*traffic.Alert, got []seenAlert) verdict {
	type name struct{ rule, id string }
	v := verdict{alerts: len(want)}
	expected, followed := map[name]*traffic.Alert{}, map[name]bool{} // followed by rule and key
	missing := map[name]int{}                                        // documents not read yet
	for i := len(want) - 1; i >= 0; i-- {
		a := want[i]
		n, group := name{a.Rule, a.EventID}, name{a.Rule, a.Key}
		expected[n], missing[n] = a, 1
		if followed[group] && a.Count > 1 {
			missing[n]++
			v.updates++
		}
		followed[group] = true
	}
	ids := map[string]name{}    // of open alerts
	closed := map[string]bool{} // ids
	opened := map[name]bool{}
	for _, a := range got {
		n := name{a.rule, a.eventID}
		e := expected[n]
		again := a.status == alert.Open && opened[n] || a.status == alert.Closed && closed[a.id]
		switch {
		case again:
			v.duplicate++
		case e == nil, e.Key != a.key:
			v.wrong++
		case a.status == alert.Open:
			opened[n], ids[a.id] = true, n
			missing[n]--
		case a.status != alert.Closed, ids[a.id] != n, a.count != e.Count, missing[n] == 0:
			v.wrong++
		default:
			closed[a.id] = true
			missing[n]--
		}
	}
	for _, left := range missing {
		v.missing += left
	}
	return v
}
