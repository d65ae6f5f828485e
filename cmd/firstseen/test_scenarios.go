package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// made is an alert that came of a scenario, and after which event.
type made struct {
	rulefile.ScenarioAlert
	listed bool
}

// runScenario gives the events to the stages, one after the other at their times, and compares the alerts that come of
// them. It returns what is different, nothing if all is as the scenario says. The set has the one rule that is tested.
func runScenario(set *rules.Set, r *rules.Rule, s *rulefile.Scenario) (failure string) {
	var alerts []made
	var problems []string
	event := 0
	pipeline, err := stage.NewPipeline(set, stage.PipelineConfig{
		Ingest: stage.IngestConfig{
			Decoder: schemas.Config{Strict: set.Strict()},
			Dead: func(_ *schemas.Message, l schemas.DeadLetter) {
				problems = append(problems, fmt.Sprintf("event %d: %s: %s", event, l.Reason, l.Detail))
			},
		},
		Emit: func(out stage.Output) {
			if out.To == stage.Alerts { // one over the cap is none; that it was is in the overflow alert
				alerts = append(alerts, made{ScenarioAlert: readAlert(out.Value, event)})
			}
		},
	})
	if err != nil {
		return err.Error()
	}
	format := map[schemas.Dataset]schemas.Format{schemas.CloudTrail: schemas.FormatCloudTrail, schemas.S3Access: schemas.FormatS3Access}[r.Dataset()]
	for _, e := range s.Events {
		event++
		m := schemas.Message{Value: e.Log, Timestamp: e.Time, Now: e.Time, Format: format, Topic: "scenario", Offset: int64(event)}
		if _, err := pipeline.Message(m); err != nil {
			return err.Error()
		}
	}
	if err := pipeline.Close(); err != nil {
		return err.Error()
	}
	return strings.Join(append(problems, compare(s.Alerts, alerts)...), "\n")
}

// readAlert takes what a scenario can ask for from an ECS document.
func readAlert(document []byte, event int) rulefile.ScenarioAlert {
	var d struct {
		Message   string
		Firstseen struct {
			Alert struct {
				Status string
				Count  int64
			}
			NewTerms struct{ Values []string } `json:"new_terms"`
		}
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return rulefile.ScenarioAlert{Event: event, Kind: err.Error()}
	}
	return rulefile.ScenarioAlert{Event: event, Kind: d.Firstseen.Alert.Status, Title: d.Message, Terms: d.Firstseen.NewTerms.Values, Count: d.Firstseen.Alert.Count}
}

// compare lists the alerts that are missing, and those that nobody asked for. Closed ones are compared only if the
// scenario lists one.
func compare(want []rulefile.ScenarioAlert, got []made) (differences []string) {
	closed := slices.ContainsFunc(want, func(a rulefile.ScenarioAlert) bool { return a.Kind == "closed" })
	for _, w := range want {
		i := slices.IndexFunc(got, func(g made) bool { return !g.listed && fits(w, g.ScenarioAlert) })
		if i < 0 {
			differences = append(differences, "missing: "+showAlert(w))
			continue
		}
		got[i].listed = true
	}
	for _, g := range got {
		if !g.listed && (g.Kind != "closed" || closed) {
			differences = append(differences, "not expected: "+showAlert(g.ScenarioAlert))
		}
	}
	return differences
}

func fits(want, got rulefile.ScenarioAlert) bool {
	return want.Event == got.Event && want.Kind == got.Kind && (want.Title == "" || want.Title == got.Title) &&
		(len(want.Terms) == 0 || slices.Equal(want.Terms, got.Terms)) && (want.Count == 0 || want.Count == got.Count)
}

func showAlert(a rulefile.ScenarioAlert) string {
	s := fmt.Sprintf("event %d makes an alert, %s", a.Event, a.Kind)
	if a.Title != "" {
		s += fmt.Sprintf(", title %q", a.Title)
	}
	if len(a.Terms) > 0 {
		s += fmt.Sprintf(", terms %q", a.Terms)
	}
	if a.Count > 0 {
		s += fmt.Sprintf(", count %d", a.Count)
	}
	return s
}
