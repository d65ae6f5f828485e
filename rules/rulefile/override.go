package rulefile

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Override is a parameter of a rule that a deployment changes without copying the rule's file.
type Override struct {
	Rule string   // id
	Path []string // keys from the outside in, like new_terms, history
	node *yaml.Node
	src  *source
}

// ParseOverride reads RULE.KEY=VALUE as --set takes it, for one of the rules with the given ids (an id may have dots).
// The value is what would stand in the rule file; a list is written [a, b].
func ParseOverride(text string, ids []string) (Override, error) {
	target, value, ok := strings.Cut(text, "=")
	if !ok {
		return Override{}, Errors{{File: "--set " + text, Message: "want RULE.KEY=VALUE, like some-rule.new_terms.history=30d"}}
	}
	o := Override{src: newSource("--set "+target, value)}
	for _, id := range ids { // the longest that fits, as one id may begin with another
		if rest, ok := strings.CutPrefix(target, id+"."); ok && len(id) > len(o.Rule) {
			o.Rule, o.Path = id, strings.Split(rest, ".")
		}
	}
	if o.Rule == "" {
		return o, Errors{{File: o.src.name, Message: "no rule with this id is loaded", Suggestion: nearestTarget(target, ids)}}
	}
	var err error
	o.node, err = overrideValue(o.src, o.Path, value)
	return o, err
}

// nearestTarget replaces as many words of the target as an id has by that id.
func nearestTarget(target string, ids []string) string {
	words := strings.Split(target, ".")
	var whole []string
	for _, id := range ids {
		n := strings.Count(id, ".") + 1
		whole = append(whole, strings.Join(append([]string{id}, words[min(n, len(words)):]...), "."))
	}
	return Nearest(target, whole)
}

// textKeys are those whose values are taken as they are, whatever they look like in YAML.
var textKeys = []string{"query", "except", "title", "name", "description", "runbook"}

func overrideValue(src *source, path []string, value string) (*yaml.Node, error) {
	plain := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: 1, Column: 1}
	if len(path) == 1 && slices.Contains(textKeys, path[0]) && value != "null" {
		return plain, nil
	}
	root, problem := parseYAML(src.name, []byte(value))
	if value == "" || !strings.Contains("[{\"'", value[:1]) {
		if problem == nil && root.Kind == yaml.ScalarNode && root.Style == 0 {
			plain.Tag = root.Tag // a number, a truth value, null
		}
		return plain, nil
	}
	if problem != nil {
		return nil, Errors{*problem}
	}
	if problems := plainNodes(src, root); len(problems) > 0 {
		return nil, problems
	}
	return root, nil
}

// MapOverrides turns the overrides of a configuration, by key and then by value as YAML gave it, into Overrides. A key may
// have dots for the keys below it.
func MapOverrides(rule string, values map[string]any) ([]Override, error) {
	var out []Override
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		src := &source{name: fmt.Sprintf("override %s.%s", rule, key)}
		text, err := yaml.Dump(values[key])
		if err != nil {
			return nil, Errors{{File: src.name, Message: err.Error()}}
		}
		node, problem := parseYAML(src.name, text)
		if problem != nil {
			return nil, Errors{*problem}
		}
		forgetPlaces(node) // of a text nobody has seen
		out = append(out, Override{Rule: rule, Path: strings.Split(key, "."), node: node, src: src})
	}
	return out, nil
}

func forgetPlaces(n *yaml.Node) {
	n.Line, n.Column = 0, 0
	for _, c := range n.Content {
		forgetPlaces(c)
	}
}

// apply puts an override into a copy of the rule, and what it puts in into from.
func apply(root *yaml.Node, o Override, from map[*yaml.Node]*source) {
	node := clone(o.node) // the rule may be read more than once
	from[o.node] = o.src
	for i := len(o.Path) - 1; i >= 0; i-- {
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: o.Path[i], Line: node.Line, Column: node.Column}
		node = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{key, node}, Line: node.Line, Column: node.Column}
	}
	mark(node, o.src, from)
	merge(root, node)
}

func mark(n *yaml.Node, src *source, from map[*yaml.Node]*source) {
	from[n] = src
	for _, c := range n.Content {
		mark(c, src, from)
	}
}

// merge puts the keys of a mapping into another. Mappings are merged key by key; any other value, lists too, replaces.
func merge(into, values *yaml.Node) {
next:
	for key, value := range pairs(values) {
		for i := 0; i+1 < len(into.Content); i += 2 {
			if into.Content[i].Value != key.Value || into.Content[i].Kind != yaml.ScalarNode {
				continue
			}
			if old := into.Content[i+1]; old.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode {
				merge(old, value)
			} else {
				into.Content[i+1] = value
			}
			continue next
		}
		into.Content = append(into.Content, key, value)
	}
}

func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = clone(child)
	}
	return &c
}
