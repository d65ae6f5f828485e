package alert

import (
	"strings"

	"firstseen/schemas/wire"
)

// OCSFVersion is the version of the Open Cybersecurity Schema Framework that AppendOCSF writes.
const OCSFVersion = "1.8.0"

// AppendOCSF appends the alert as a Detection Finding (class 2004). Source of the attributes: ocsf-schema 1.8.0,
// events/findings/detection_finding.json and the objects it names. Times are Unix milliseconds.
func (a *Alert) AppendOCSF(dst []byte) []byte {
	d := newDocument(MaxBytes - 2)
	r, e := a.rule(), a.event()
	activity, name := int64(1), "Create"
	if a.Kind == Closed {
		activity, name = 3, "Close"
	}
	d.number("class_uid", 2004)
	d.text("class_name", "Detection Finding")
	d.number("category_uid", 2)
	d.text("category_name", "Findings")
	d.number("activity_id", activity)
	d.text("activity_name", name)
	d.number("type_uid", 2004*100+activity)
	d.text("type_name", "Detection Finding: "+name)
	d.number("time", a.created())
	d.millis("start_time", a.FirstSeen)
	d.millis("end_time", a.LastSeen)
	d.number("count", a.Count)
	d.text("message", a.Reason())
	d.boolean("is_alert", activity == 1)
	severity, caption := ocsfSeverity(r.Severity)
	d.number("severity_id", severity)
	d.text("severity", caption)
	d.number("risk_score", int64(r.riskScore()))
	d.number("status_id", 1)
	d.text("status", "New")

	d.text("metadata.version", OCSFVersion)
	d.text("metadata.product.name", "firstseen")
	d.text("metadata.product.vendor_name", "firstseen")
	d.text("metadata.uid", string(a.appendEventID(nil)))
	d.text("metadata.log_name", r.Dataset)
	d.text("metadata.event_code", r.ID)
	if a.Match != nil {
		d.text("metadata.original_event_uid", EventID(a.Match))
		d.text("metadata.original_time", string(appendTime(nil, a.Match.Time)))
	}
	a.addFinding(d, r)
	if a.NewTerms != nil {
		a.addAnomaly(d, r)
	}
	if a.Match != nil {
		a.addEvidences(d, e)
	}
	rest := newDocument(MaxBytes / 4)
	a.addFirstseen(rest, r)
	d.object("unmapped", rest)
	return d.appendTo(dst)
}

// millis adds a time as OCSF has it.
func (d *document) millis(path string, ms int64) {
	if ms != wire.NoTime {
		d.number(path, ms)
	}
}

// addFinding adds what was found and by what rule. A rule with terms compares with what was before: OCSF calls that
// behavioural.
func (a *Alert) addFinding(d *document, r *Rule) {
	d.text("finding_info.uid", a.ID.String())
	d.long("finding_info.title", a.title(), 1000)
	d.long("finding_info.desc", r.Description, 4*MaxText)
	d.number("finding_info.created_time", a.created())
	d.millis("finding_info.first_seen_time", a.FirstSeen)
	d.millis("finding_info.last_seen_time", a.LastSeen)
	if r.Dataset != "" {
		d.texts("finding_info.data_sources", []string{r.Dataset})
	}
	if len(r.References) > 0 {
		d.text("finding_info.src_url", r.References[0])
	}
	kind, caption := int64(1), "Rule"
	if r.Category == "new_terms" {
		kind, caption = 2, "Behavioral"
	}
	d.number("finding_info.analytic.type_id", kind)
	d.text("finding_info.analytic.type", caption)
	d.text("finding_info.analytic.uid", r.ID)
	d.text("finding_info.analytic.name", r.Name)
	d.text("finding_info.analytic.version", r.Version)
	d.text("finding_info.analytic.category", r.Category)

	var attacks []*document
	for _, t := range r.Threat {
		if len(t.Techniques) == 0 {
			t.Techniques = []Technique{{}}
		}
		for _, q := range t.Techniques[:min(len(t.Techniques), 64-min(64, len(attacks)))] {
			o := newDocument(MaxBytes / 8)
			o.text("tactic.uid", t.TacticID)
			o.text("tactic.name", t.TacticName)
			o.text("tactic.src_url", t.TacticReference)
			technique := "technique"
			if strings.Contains(q.ID, ".") {
				technique = "sub_technique"
			}
			o.text(technique+".uid", q.ID)
			o.text(technique+".name", q.Name)
			o.text(technique+".src_url", q.Reference)
			attacks = append(attacks, o)
		}
	}
	if len(attacks) > 0 {
		d.objects("finding_info.attacks", attacks...)
	}
}

// ocsfSeverity returns severity_id and its caption.
func ocsfSeverity(severity string) (int64, string) {
	switch severity {
	case "low":
		return 2, "Low"
	case "medium":
		return 3, "Medium"
	case "high":
		return 4, "High"
	case "critical":
		return 5, "Critical"
	}
	return 1, "Informational"
}
