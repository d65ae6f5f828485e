package ruletest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// scenarioMode is the mode that a scenario runs in, whatever mode the rule is in: its alerts are compared as if it were
// active, unless they are to be in the shadow.
func scenarioMode(s *rulefile.Scenario) string {
	if slices.ContainsFunc(s.Alerts, func(a rulefile.ScenarioAlert) bool { return a.Suppressed == rulefile.Shadow }) {
		return rulefile.Shadow
	}
	return rulefile.Active
}

// runScenario gives the events to the stages, one after the other at their times, and compares the alerts that come of
// them. It returns what is different, nothing if all is as the scenario says. The set has the one rule that is tested.
func runScenario(set *rules.Set, r *rules.Rule, s *rulefile.Scenario) (failure string) {
	var alerts []rulefile.ScenarioAlert
	var problems []string
	event := 0
	pipeline, err := stage.NewPipeline(set, stage.PipelineConfig{
		Ingest: stage.IngestConfig{
			Decoder: schemas.Config{Strict: set.Strict()},
			Dead: func(_ *schemas.Message, l schemas.DeadLetter) {
				problems = append(problems, fmt.Sprintf("event %d: %s: %s", event, l.Reason, l.Detail))
			},
		},
		Emit: func(out stage.Output) { alerts = append(alerts, scenarioAlert(&out, event)) },
	})
	if err != nil {
		return err.Error()
	}
	if s.LearningUntil != 0 {
		pipeline.Ingest().SetSince(func(*rules.Rule) stage.Since {
			return stage.Since{Start: wire.NoTime, HoldUntil: s.LearningUntil}
		})
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
	return strings.Join(append(problems, compare(s, alerts)...), "\n")
}

// scenarioAlert takes what a scenario can ask for from an ECS document and its headers.
func scenarioAlert(out *stage.Output, event int) rulefile.ScenarioAlert {
	var d struct {
		Message   string
		Event     struct{ Reason string }
		Firstseen struct {
			Alert struct {
				Status string
				Count  int64
			}
			Group    struct{ Key string }
			NewTerms struct{ Values []string } `json:"new_terms"`
		}
	}
	if err := json.Unmarshal(out.Value, &d); err != nil {
		return rulefile.ScenarioAlert{Event: event, Kind: err.Error()}
	}
	a := rulefile.ScenarioAlert{
		Event: event, Kind: d.Firstseen.Alert.Status, Title: d.Message, Reason: d.Event.Reason, Group: d.Firstseen.Group.Key,
		Terms: d.Firstseen.NewTerms.Values, Count: d.Firstseen.Alert.Count,
	}
	for _, h := range out.Headers {
		switch h[0] {
		case "firstseen-severity":
			a.Severity = h[1]
		case "firstseen-suppressed":
			a.Suppressed = h[1]
		}
	}
	return a
}
