package stage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firstseen/rules/rulefile"
)

// made is what an alert document says, as far as the model knows it.
type made struct {
	to, status, event string // event: id of the one shown
	count             int64
}

func documents(t rapid.TB, outputs []Output) (list []made) {
	for _, out := range outputs {
		var doc struct {
			Firstseen struct {
				Alert struct {
					Status string `json:"status"`
					Count  int64  `json:"count"`
				} `json:"alert"`
				Origin struct {
					EventID string `json:"event_id"`
				} `json:"origin"`
			} `json:"firstseen"`
		}
		if err := json.Unmarshal(out.Value, &doc); err != nil {
			t.Fatalf("%v in %s", err, out.Value)
		}
		m := made{to: out.To.String(), status: doc.Firstseen.Alert.Status, event: doc.Firstseen.Origin.EventID, count: doc.Firstseen.Alert.Count}
		list = append(list, m)
	}
	return list
}

// match is one event as the model sees it.
type match struct {
	request
	id string
}

func (m match) group(r *rulefile.Rule) string {
	switch {
	case r.Dedup == nil:
		return ""
	case len(r.Dedup.By) == 0 || r.Dedup.By[0] == "bucket":
		return m.bucket
	}
	return m.key + " " + m.source
}

func (m match) terms(r *rulefile.Rule) string {
	var values []string
	for _, field := range r.NewTerms.Fields {
		values = append(values, map[string]string{"remoteip": m.source, "bucket": m.bucket}[field])
	}
	return strings.Join(values, " ")
}

// expect says in the plainest words which alerts a rule makes of these events.
func expect(r *rulefile.Rule, requests []request) (want []made) {
	// New terms: those that no event of the history before had.
	var found []match
	seen := map[string][]int64{}
	for i, q := range requests {
		m := match{q, q.id(i)}
		if r.NewTerms != nil {
			known := slices.ContainsFunc(seen[m.terms(r)], func(s int64) bool { return s >= m.second-r.NewTerms.History/1000 })
			seen[m.terms(r)] = append(seen[m.terms(r)], m.second)
			if known {
				continue
			}
		}
		found = append(found, m)
	}
	// Windows: each group's matches up to the end of the period that its first match began, and what comes late.
	type window struct {
		matches []match
		to      string // where its alert went
	}
	current := map[string]*window{}
	var windows []*window
	// The cap: the first n alerts of each of its windows.
	var capStart, capMade int64
	var overflow *made // of the cap's current window
	shut := func() {
		if overflow != nil && overflow.count > r.MaxAlerts.Count+1 {
			want = append(want, made{"alerts", "closed", overflow.event, overflow.count})
		}
		overflow = nil
	}
	capFirst := ""
	alert := func(first, now match, count int64) (to string) {
		switch {
		case r.Mode == rulefile.Shadow:
			to = "suppressed"
		case r.MaxAlerts == nil:
			to = "alerts"
		default:
			if capMade == 0 || now.second > capStart+r.MaxAlerts.Per/1000 {
				shut()
				capStart, capMade, capFirst = now.second, 0, first.id
			}
			capMade++
			to = "alerts"
			if capMade > r.MaxAlerts.Count {
				to = "suppressed"
			}
			if overflow != nil {
				overflow.count++
			}
		}
		want = append(want, made{to, "open", first.id, count})
		if r.MaxAlerts != nil && r.Mode != rulefile.Shadow && capMade == r.MaxAlerts.Count+1 {
			overflow = &made{event: capFirst, count: capMade}
			want = append(want, made{"alerts", "overflow", capFirst, capMade})
		}
		return to
	}
	for _, m := range found {
		if r.Dedup == nil {
			alert(m, m, 1)
			continue
		}
		w := current[m.group(r)]
		if w == nil || m.second > w.matches[0].second+r.Dedup.Period/1000 {
			w = &window{}
			current[m.group(r)] = w
			windows = append(windows, w)
		}
		w.matches = append(w.matches, m)
		if int64(len(w.matches)) == r.Threshold {
			w.to = alert(w.matches[0], m, r.Threshold)
		}
	}
	for _, w := range windows {
		if n := int64(len(w.matches)); n > r.Threshold {
			want = append(want, made{w.to, "closed", w.matches[0].id, n})
		}
	}
	shut()
	return want
}

func TestPipelineAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawRule(t)
		requests := drawRequests(t)
		r := newRun(t, load(t, text), PipelineConfig{Batch: rapid.IntRange(1, 20).Draw(t, "batch")})
		for i, q := range requests {
			r.message(q.message(i))
		}
		r.close()
		want, got := expect(text, requests), documents(t, r.outputs)
		order := func(a, b made) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
		slices.SortFunc(want, order)
		slices.SortFunc(got, order)
		if !slices.Equal(got, want) {
			t.Fatalf("\n got %v\nwant %v", got, want)
		}
	})
}
