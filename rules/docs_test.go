package rules_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"firstseen/rules"
	"firstseen/rules/builtin"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

var update = flag.Bool("update", false, "rewrite docs/rules.md and the golden messages")

const rulesPage = "../docs/rules.md"

// property is a key in the JSON Schema.
type property struct {
	Ref         string `json:"$ref"`
	Type        any
	Const       any
	Enum        []any
	AnyOf       []property
	AllOf       []property
	Items       *property
	Minimum     *int64
	Maximum     *int64
	MaxItems    int
	Default     any
	Examples    []any
	Description string
	Required    []string
	Properties  map[string]property
}

// ruleSchema is the JSON Schema of rule files, with the order in which it names things.
type ruleSchema struct {
	property
	Defs map[string]property `json:"$defs"`

	order map[string][]string // by kind; "" has the kinds
}

func readSchema(t *testing.T) *ruleSchema {
	t.Helper()
	s := &ruleSchema{order: map[string][]string{}}
	if err := json.Unmarshal(rules.Schema, s); err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node // JSON is YAML, whose nodes keep the order
	if err := yaml.Load(rules.Schema, &doc); err != nil {
		t.Fatal(err)
	}
	member := func(n *yaml.Node, name string) *yaml.Node {
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i+1]
			}
		}
		return &yaml.Node{}
	}
	defs := member(doc.Content[0], "$defs")
	for i := 0; i < len(defs.Content); i += 2 {
		kind := defs.Content[i].Value
		if keys := member(defs.Content[i+1], "properties").Content; len(keys) > 0 {
			s.order[""] = append(s.order[""], kind)
			for j := 0; j < len(keys); j += 2 {
				s.order[kind] = append(s.order[kind], keys[j].Value)
			}
		}
	}
	return s
}

// typeOf says in words what a key takes.
func (s *ruleSchema) typeOf(p property) string {
	name := strings.TrimPrefix(p.Ref, "#/$defs/")
	switch {
	case p.Ref != "" && len(s.Defs[name].Properties) > 0:
		return fmt.Sprintf("[%s](#%s)", name, name)
	case name == "texts":
		return "list of texts"
	case name == "fields":
		return "list of fields"
	case name == "duration":
		return "duration"
	case name == "text":
		return "text"
	case name == "log":
		return "keys and values, or a line as text"
	case name == "time":
		return "time"
	case p.Ref != "":
		return s.typeOf(s.Defs[name])
	case p.Const != nil:
		return fmt.Sprintf("`%v`", p.Const)
	case len(p.Enum) > 0:
		return s.words(p.Enum)
	case len(p.AnyOf) > 0 && p.AnyOf[0].Type == nil && (p.AnyOf[0].Ref != "" || p.AnyOf[0].Const != nil):
		var kinds []string
		for _, q := range p.AnyOf {
			kinds = append(kinds, s.typeOf(q))
		}
		return strings.Join(kinds, " or ")
	case len(p.AllOf) > 0:
		return s.typeOf(p.AllOf[0])
	case p.Items != nil && p.Items.Ref == "#/$defs/text":
		return "list of texts"
	case p.Items != nil:
		return "list of " + s.typeOf(*p.Items)
	case p.Minimum != nil && p.Maximum != nil:
		return fmt.Sprintf("%d to %d", *p.Minimum, *p.Maximum)
	}
	switch p.Type {
	case "string":
		return "text"
	case "boolean":
		return "true or false"
	case "array":
		return "list"
	}
	if kinds, ok := p.Type.([]any); ok && slices.Contains(kinds, any("number")) {
		return "text or number"
	}
	return fmt.Sprint(p.Type)
}

func (s *ruleSchema) words(values []any) string {
	var words []string
	for _, v := range values {
		words = append(words, fmt.Sprintf("`%v`", v))
	}
	return strings.Join(words, ", ")
}

// keys is the part of the page with a table for each kind of mapping.
func (s *ruleSchema) keys(t *testing.T) string {
	var b strings.Builder
	for _, kind := range s.order[""] {
		def := s.Defs[kind]
		required := def.Required
		if kind == "rule" {
			required = s.Required
		}
		fmt.Fprintf(&b, "### %s\n\n%s\n\n| key | takes | meaning |\n|---|---|---|\n", kind, def.Description)
		for _, key := range s.order[kind] {
			p := def.Properties[key]
			meaning := p.Description
			if meaning == "" {
				meaning = s.Defs[strings.TrimPrefix(p.Ref, "#/$defs/")].Description
			}
			if meaning == "" {
				t.Errorf("%s.%s has no description", kind, key)
			}
			if slices.Contains(required, key) {
				meaning = "**Required.** " + meaning
			}
			if p.Default != nil {
				meaning += fmt.Sprintf(" Default: `%v`.", p.Default)
			}
			for i, example := range p.Examples {
				meaning += map[bool]string{true: "<br>Example: ", false: " or "}[i == 0] + "`" + inline(t, example) + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, s.typeOf(p), strings.ReplaceAll(meaning, "|", `\|`))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// inline writes an example on one line, as it can stand in a rule file.
func inline(t *testing.T, v any) string {
	t.Helper()
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), `","`, `", "`)
}

// presetTable is the part of the page about the presets.
func presetTable(t *testing.T) string {
	set, _, err := rules.Load(rules.LoadOptions{Presets: builtin.Presets(), NoBuiltin: true})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| preset | dataset | fires for | severity | what it finds |\n|---|---|---|---|---|\n")
	for _, r := range set.Rules() {
		x := r.Text()
		var fires string
		switch {
		case x.NewTerms != nil:
			fires = "new `" + strings.Join(x.NewTerms.Fields, "` + `") + "` in " + rulefile.FormatDuration(x.NewTerms.History)
		case x.Threshold > 1:
			fires = fmt.Sprintf("the %dth match in %s", x.Threshold, rulefile.FormatDuration(x.Dedup.Period))
		default:
			fires = "a match, once in " + rulefile.FormatDuration(x.Dedup.Period)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", x.ID, x.Dataset, fires, x.Severity, x.Description)
	}
	return b.String()
}

// fieldTable is the part of the page with the names of fields.
func fieldTable() string {
	var b strings.Builder
	b.WriteString("| field | Panther's name | type |\n|---|---|---|\n")
	names := schemas.KnownNames()
	for i, name := range names {
		f, _ := schemas.Known(name)
		if f.Name() != name {
			continue // an alias
		}
		alias := ""
		if i+1 < len(names) {
			if next, _ := schemas.Known(names[i+1]); next == f {
				alias = "`" + names[i+1] + "`"
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, alias, schemas.FieldType(name))
	}
	return b.String()
}

// What of docs/rules.md is made of the JSON Schema and the code is as they are now. go test ./rules -run Page -update
// writes it anew.
func TestThePageIsCurrent(t *testing.T) {
	page, err := os.ReadFile(rulesPage)
	if err != nil {
		t.Fatal(err)
	}
	current := string(page)
	for part, text := range map[string]string{"keys": readSchema(t).keys(t), "presets": presetTable(t), "fields": fieldTable()} {
		begin, end := "<!-- begin "+part+": generated, see rules/docs_test.go -->\n", "<!-- end "+part+" -->\n"
		before, rest, ok := strings.Cut(current, begin)
		_, after, ends := strings.Cut(rest, end)
		if !ok || !ends {
			t.Fatalf("%s has no part %q between\n%sand\n%s", rulesPage, part, begin, end)
		}
		current = before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after
	}
	if *update {
		if err := os.WriteFile(rulesPage, []byte(current), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if current != string(page) {
		t.Errorf("%s is stale: go test ./rules -run Page -update", rulesPage)
	}
}

// Every example of the schema is right by the schema, and by the reader of rule files where it is a key of the rule.
func TestExamplesOfTheSchema(t *testing.T) {
	text, err := jsonschema.UnmarshalJSON(bytes.NewReader(rules.Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("urn:firstseen:rule", text); err != nil {
		t.Fatal(err)
	}
	s, n := readSchema(t), 0
	for _, kind := range s.order[""] {
		for _, key := range s.order[kind] {
			p := s.Defs[kind].Properties[key]
			schema, err := compiler.Compile("urn:firstseen:rule#/$defs/" + kind + "/properties/" + key)
			if err != nil {
				t.Fatal(err)
			}
			values := slices.Clone(p.Examples)
			if p.Default != nil {
				values = append(values, p.Default)
			}
			for _, v := range values {
				if n++; schema.Validate(v) != nil {
					t.Errorf("%s.%s: %v is not valid: %v", kind, key, v, schema.Validate(v))
				}
			}
			for _, v := range p.Examples {
				if kind == "rule" {
					loadsWith(t, key, v)
				}
			}
		}
	}
	if n < 15 {
		t.Errorf("%d examples and defaults", n)
	}
}

func loadsWith(t *testing.T, key string, value any) {
	t.Helper()
	for _, dataset := range []string{"aws.cloudtrail", "aws.s3access"} {
		rule := map[string]any{"id": "r", "name": "R", "dataset": dataset, "severity": "low", key: value}
		text, err := yaml.Dump(rule)
		if err != nil {
			t.Fatal(err)
		}
		f, err := rulefile.Open("r.yaml", text)
		if err == nil {
			_, err = f.Rule(rulefile.Options{})
		}
		if err == nil || dataset == "aws.cloudtrail" && strings.Contains(err.Error(), "records of aws.cloudtrail have no") {
			continue
		}
		t.Errorf("%s: %v", dataset, err)
	}
}

// The defaults that the schema promises are those of the reader.
func TestDefaultsOfTheSchema(t *testing.T) {
	f, err := rulefile.Open("r.yaml", []byte(`{id: r, name: R, dataset: aws.s3access, severity: low, dedup: {period: 1h}, max_alerts: {count: 1},
		threat: [{tactic: {id: TA0001, name: x}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Rule(rulefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var written map[string]any
	if err := yaml.Load(text, &written); err != nil {
		t.Fatal(err)
	}
	s, n := readSchema(t), 0
	for kind, mapping := range map[string]any{"rule": written, "dedup": written["dedup"], "max_alerts": written["max_alerts"], "threat": written["threat"].([]any)[0]} {
		for key, p := range s.Defs[kind].Properties {
			if p.Default == nil {
				continue
			}
			n++
			if got := mapping.(map[string]any)[key]; fmt.Sprint(got) != fmt.Sprint(p.Default) {
				t.Errorf("%s.%s: the schema says %v, the reader takes %v", kind, key, p.Default, got)
			}
		}
	}
	if n != 6 {
		t.Errorf("%d defaults were compared", n)
	}
}
