package rulefile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"firstseen/rules/allowlist"
	"firstseen/rules/kql"
	"firstseen/schemas"
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// rule reads the whole file. files says where the allowlists are that it names.
func (d *decoder) rule(n *yaml.Node, files *allowlistFiles) *Rule {
	r := &Rule{Version: "1", Threshold: 1, Mode: Active}
	seen := d.object(n, "rule", fields{
		"id":                 d.readID(&r.ID),
		"name":               d.readText("name", &r.Name),
		"version":            d.readVersion(&r.Version),
		"description":        d.readText("description", &r.Description),
		"dataset":            d.readOne("dataset", &r.Dataset, schemas.CloudTrail.String(), schemas.S3Access.String()),
		"query":              d.readQuery("query", &r.Query),
		"except":             d.readQuery("except", &r.Except),
		"allowlist":          func(n *yaml.Node) { r.Allowlist = d.allowlist(n, files) },
		"new_terms":          func(n *yaml.Node) { r.NewTerms = d.newTerms(n) },
		"dedup":              func(n *yaml.Node) { r.Dedup = d.dedup(n) },
		"threshold":          d.readNumber("threshold", &r.Threshold, 1, 1_000_000_000),
		"max_alerts":         func(n *yaml.Node) { r.MaxAlerts = d.maxAlerts(n) },
		"mode":               d.readOne("mode", &r.Mode, Active, Shadow, Off),
		"title":              d.readTitle(&r.Title),
		"severity":           d.readOne("severity", &r.Severity, "info", "low", "medium", "high", "critical"),
		"risk_score":         d.readNumber("risk_score", &r.RiskScore, 0, 100),
		"threat":             func(n *yaml.Node) { r.Threat = d.threats(n) },
		"tags":               d.readTexts("tags", &r.Tags),
		"references":         d.readTexts("references", &r.References),
		"runbook":            d.readText("runbook", &r.Runbook),
		"false_positives":    d.readTexts("false_positives", &r.FalsePositives),
		"summary_attributes": d.readFields("summary_attributes", &r.SummaryAttributes),
		"alert_context":      d.readOne("alert_context", &r.AlertContext, "panther"),
		"origin":             func(n *yaml.Node) { r.Origin = d.origin(n) },
		"strict":             d.strict,
		"tests":              func(n *yaml.Node) { r.Tests, r.Scenarios = d.tests(n) },
	})
	d.require(n, "rule", seen, "id", "name", "dataset", "severity")
	if seen["risk_score"] == nil {
		r.RiskScore = riskScores[r.Severity]
	}
	if r.Title == "" {
		r.Title = escapeTemplate(r.Name)
	}
	if r.Threshold > 1 && seen["dedup"] == nil {
		d.problem(seen["threshold"], 0, "threshold: matches are counted in a dedup window, and the rule has none")
	}
	d.checkUses(r.Dataset)
	return r
}

func (d *decoder) readID(to *string) read {
	return func(n *yaml.Node) {
		if d.text(n, "id", to) {
			if err := CheckID(*to); err != nil {
				d.problem(n, 0, "%v", err)
			}
		}
	}
}

// CheckID says what is wrong with the id of a rule.
func CheckID(id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("id: %q has more than letters, digits, dots, dashes and underscores, or is too long", clip(id))
	}
	return nil
}

// readVersion takes text or a number, as versions look like either.
func (d *decoder) readVersion(to *string) read {
	return func(n *yaml.Node) {
		if tag := n.ShortTag(); n.Kind == yaml.ScalarNode && (tag == "!!int" || tag == "!!float") {
			*to = n.Value
			return
		}
		d.text(n, "version", to)
	}
}

// strict looks at the strict block alone; what is in it is read when it is merged into the rule.
func (d *decoder) strict(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, 0, "strict: want keys of the rule that are different in strict mode, got %s", kindOf(n))
		return
	}
	for key := range pairs(n) {
		switch key.Value {
		case "id", "strict", "tests":
			d.problem(key, 0, "strict: %q is the same in strict mode", key.Value)
		}
	}
}

func (d *decoder) readQuery(name string, to *string) read {
	return func(n *yaml.Node) {
		var text string
		if !d.text(n, name, &text) {
			return
		}
		expr, err := kql.Parse(n.Value)
		if err != nil {
			d.problem(n, queryOffset(err), "%s: %v", name, err)
			return
		}
		for _, field := range kql.Fields(expr) {
			d.use(n, max(0, kql.FieldOffset(expr, field)), field, name)
		}
		if _, err := kql.Compile(expr, schemas.NewLayout(kql.Fields(expr))); err != nil {
			d.problem(n, queryOffset(err), "%s: %v", name, err)
		}
		*to = expr.String()
	}
}

func queryOffset(err error) int {
	var e *kql.Error
	if errors.As(err, &e) {
		return e.Offset
	}
	return 0
}

func (d *decoder) readTitle(to *string) read {
	return func(n *yaml.Node) {
		var text string
		if !d.text(n, "title", &text) {
			return
		}
		template, err := ParseTemplate(text)
		var at *TemplateError
		if errors.As(err, &at) {
			d.problem(n, at.Offset, "title: %v", err)
			return
		}
		for _, s := range template {
			if s.Field != "" {
				d.use(n, s.Offset, s.Field, "title")
			}
		}
		*to = text
	}
}

func (d *decoder) readFields(name string, to *[]string) read {
	return func(n *yaml.Node) {
		*to = nil
		d.list(n, name, func(item *yaml.Node) {
			var field string
			if d.text(item, name, &field) {
				d.use(item, 0, field, name)
				*to = append(*to, field)
			}
		})
	}
}

func (d *decoder) allowlist(n *yaml.Node, files *allowlistFiles) *Allowlist {
	a := &Allowlist{}
	seen := d.object(n, "allowlist", fields{
		"field": func(n *yaml.Node) {
			if d.text(n, "allowlist.field", &a.Field) {
				d.use(n, 0, a.Field, "allowlist.field")
			}
		},
		"networks": func(n *yaml.Node) {
			d.list(n, "allowlist.networks", func(item *yaml.Node) {
				var line string
				if !d.text(item, "allowlist.networks", &line) {
					return
				}
				entry, ok, err := allowlist.ParseLine(line)
				if err != nil {
					d.problem(item, len(string([]rune(line)[:err.Col-1])), "allowlist.networks: %s", err.Message).Suggestion = err.Suggestion
				} else if ok {
					entry.File, entry.Line = d.place(item)
					a.Written = append(a.Written, entry)
				}
			})
		},
		"files": func(n *yaml.Node) {
			d.list(n, "allowlist.files", func(item *yaml.Node) {
				var name string
				if d.text(item, "allowlist.files", &name) {
					a.Written = append(a.Written, d.allowlistFile(item, files)...)
				}
			})
		},
	})
	d.require(n, "allowlist", seen, "field")
	a.Networks = allowlist.Normal(a.Written, files.strict)
	return a
}

func (d *decoder) newTerms(n *yaml.Node) *NewTerms {
	t := &NewTerms{}
	seen := d.object(n, "new_terms", fields{
		"fields":  d.readFields("new_terms.fields", &t.Fields),
		"history": d.readDuration("new_terms.history", &t.History),
	})
	d.require(n, "new_terms", seen, "fields", "history")
	if list := seen["fields"]; list != nil && list.Kind == yaml.SequenceNode && (len(list.Content) < 1 || len(list.Content) > 3) {
		d.problem(list, 0, "new_terms.fields: want 1 to 3 fields, got %d", len(list.Content))
	}
	return t
}

func (d *decoder) dedup(n *yaml.Node) *Dedup {
	if isOff(n) {
		return nil
	}
	dedup := &Dedup{}
	seen := d.object(n, "dedup", fields{
		"by": func(n *yaml.Node) {
			if n.Kind == yaml.ScalarNode {
				var title string
				d.readOne("dedup.by", &title, "title")(n)
				return
			}
			d.readFields("dedup.by", &dedup.By)(n)
			if len(n.Content) == 0 {
				d.problem(n, 0, "dedup.by: want title, or a list of fields")
			}
		},
		"period": d.readDuration("dedup.period", &dedup.Period),
	})
	d.require(n, "dedup", seen, "period")
	return dedup
}

func (d *decoder) maxAlerts(n *yaml.Node) *MaxAlerts {
	if isOff(n) {
		return nil
	}
	m := &MaxAlerts{Per: 5 * units['m']}
	seen := d.object(n, "max_alerts", fields{
		"count": d.readNumber("max_alerts.count", &m.Count, 1, 1_000_000_000),
		"per":   d.readDuration("max_alerts.per", &m.Per),
	})
	d.require(n, "max_alerts", seen, "count")
	return m
}

func (d *decoder) origin(n *yaml.Node) *Origin {
	o := &Origin{}
	d.object(n, "origin", fields{
		"authors": d.readTexts("origin.authors", &o.Authors),
		"license": d.readText("origin.license", &o.License),
		"url":     d.readText("origin.url", &o.URL),
		"notes":   d.readText("origin.notes", &o.Notes),
	})
	return o
}

var (
	tacticID    = regexp.MustCompile(`^TA\d{4}$`)
	techniqueID = regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
)

// threats reads what of a framework the rule covers, MITRE ATT&CK unless it says another.
func (d *decoder) threats(n *yaml.Node) (all []Threat) {
	d.list(n, "threat", func(item *yaml.Node) {
		t := Threat{Framework: "MITRE ATT&CK"}
		seen := d.object(item, "threat", fields{
			"framework": d.readText("threat.framework", &t.Framework),
			"tactic": func(n *yaml.Node) {
				t.Tactic = d.attack(n, "tactic", tacticID, "https://attack.mitre.org/tactics/")
			},
			"techniques": func(n *yaml.Node) {
				d.list(n, "threat.techniques", func(item *yaml.Node) {
					t.Techniques = append(t.Techniques, d.attack(item, "technique", techniqueID, "https://attack.mitre.org/techniques/"))
				})
			},
		})
		d.require(item, "threat", seen, "tactic")
		all = append(all, t)
	})
	return all
}

func (d *decoder) attack(n *yaml.Node, kind string, form *regexp.Regexp, base string) (a Attack) {
	seen := d.object(n, kind, fields{
		"id": func(n *yaml.Node) {
			if d.text(n, kind+".id", &a.ID) && !form.MatchString(a.ID) {
				d.problem(n, 0, "%s.id: %q is not like TA0009, T1530 or T1530.001", kind, clip(a.ID))
			}
		},
		"name":      d.readText(kind+".name", &a.Name),
		"reference": d.readText(kind+".reference", &a.Reference),
	})
	d.require(n, kind, seen, "id", "name")
	if a.Reference == "" {
		a.Reference = base + strings.ReplaceAll(a.ID, ".", "/") + "/"
	}
	return a
}
