package processor

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
	"firstseen/traffic"
)

// versions are two sets of rules that decide differently: the one's history is 7 days, the other's 2.
var versions = [][]string{noCap, append([]string{traffic.NewTermsRule + ".new_terms.history=2d", traffic.AllowlistRule + ".severity=critical"}, noCap...)}

// changingRules runs workers that change their rules every second or so, each at its own times, and are killed. Every
// alert that both versions make is there once; every other is one that the version makes which it names.
func changingRules(t *testing.T, brokers string, records int, pace time.Duration) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 6, nil)
	var workers []*worker
	for n := range 2 {
		spec := workerSpec{Brokers: brokers, App: app, Instance: fmt.Sprintf("w%d", n), Dir: filepath.Join(t.TempDir(), "state"),
			Faults: true, Set: versions[n], Other: versions[1-n]}
		workers = append(workers, startWorker(t, spec))
	}
	inputs, model := load(t, app, 5, records, 6)
	produced := make(chan error, 1)
	go func() { produced <- produce(c.cl, inputs, pace) }()
	kills := c.kill(workers, produced, rand.New(rand.NewPCG(5, 5)), 1500*time.Millisecond, 1500*time.Millisecond, func(*worker) {})
	c.awaitDrained(app, 90*time.Second)
	for _, w := range workers {
		w.stop(t)
	}
	judgeVersions(t, model, c.read(app+".alerts"))
	changes := 0
	for _, r := range c.read(app + ".control") {
		if string(r.Key) == prefixWorker+"w0" || string(r.Key) == prefixWorker+"w1" {
			changes++
		}
	}
	t.Logf("%d records, %d kills, %d changes of rules noted", records, kills, changes)
}

func judgeVersions(t *testing.T, model *traffic.Model, alerts []*kgo.Record) {
	t.Helper()
	both := map[string]bool{} // rule and event of what both versions make
	for _, a := range model.Alerts {
		both[a.Rule+" "+a.EventID] = true
	}
	names := map[string]int{}
	for n, o := range versions {
		hash := mustLoad(t, rules.LoadOptions{Set: o}).Hash()
		names[hex.EncodeToString(hash[:])] = n
	}
	seen, only, by := map[string]bool{}, 0, [2]int{}
	for _, r := range alerts {
		var doc struct {
			Time      time.Time `json:"@timestamp"`
			Rule      struct{ ID string }
			Event     struct{ Severity int }
			Firstseen struct {
				Alert  struct{ Status string }
				Origin struct {
					EventID string `json:"event_id"`
				}
				Ruleset  struct{ SHA256 string }
				NewTerms struct {
					History      string
					PreviousSeen time.Time `json:"previous_seen"`
				} `json:"new_terms"`
			}
		}
		if err := json.Unmarshal(r.Value, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Firstseen.Alert.Status == "closed" {
			continue
		}
		id := doc.Rule.ID + " " + doc.Firstseen.Origin.EventID
		n, ok := names[doc.Firstseen.Ruleset.SHA256]
		if !ok || seen[id] {
			t.Errorf("%s: made twice, or by a version that there is not: %s", id, r.Value)
			continue
		}
		seen[id] = true
		by[n]++
		if doc.Rule.ID == traffic.AllowlistRule {
			if critical := doc.Event.Severity == 99; critical != (n == 1) {
				t.Errorf("%s: severity %d is not that of the version it names", id, doc.Event.Severity)
			}
			if !both[id] {
				t.Errorf("%s: no version makes this alert", id)
			}
			continue
		}
		if want := []string{"7d", "2d"}[n]; doc.Firstseen.NewTerms.History != want {
			t.Errorf("%s: history %s is not that of the version it names", id, doc.Firstseen.NewTerms.History)
		}
		if both[id] {
			continue
		}
		only++
		if n == 0 || doc.Time.Sub(doc.Firstseen.NewTerms.PreviousSeen) <= 48*time.Hour {
			t.Errorf("%s: the version it names does not make this alert: %s", id, r.Value)
		}
	}
	for id := range both {
		if !seen[id] {
			t.Errorf("%s is missing", id)
		}
	}
	t.Logf("%d alerts of one version, %d of the other, %d of the latter alone", by[0], by[1], only)
	if by[0] == 0 || by[1] == 0 || only == 0 {
		t.Error("one version decided everything: the test shows too little")
	}
}
