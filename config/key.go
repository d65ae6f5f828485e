package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"firstseen/rules/builtin"
)

// A key is one thing that can be set: a field of Config that is no struct of further keys.
type key struct {
	name   string // "tls.ca_file"
	typ    reflect.Type
	index  []int    // of the field
	oneof  []string // the values allowed; of a list, of each element
	secret bool
}

// keys lists all keys in the order of the struct.
var keys = keysOf(reflect.TypeFor[Config](), "", nil)

func keysOf(t reflect.Type, prefix string, index []int) []key {
	var list []key
	for f := range t.Fields() {
		name, ok := f.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		at := append(slices.Clone(index), f.Index...)
		if f.Type.Kind() == reflect.Struct {
			list = append(list, keysOf(f.Type, prefix+name+".", at)...)
			continue
		}
		list = append(list, key{name: prefix + name, typ: f.Type, index: at, oneof: oneof(f.Tag), secret: f.Tag.Get("secret") == "true"})
	}
	return list
}

// oneof lists the values of a field's tag. "presets" are those of the program.
func oneof(tag reflect.StructTag) []string {
	switch s := tag.Get("oneof"); s {
	case "":
		return nil
	case "presets":
		return builtin.Presets()
	default:
		return strings.Split(s, "|")
	}
}

func lookup(name string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

// section tells a name that has keys below it, such as "tls".
func section(name string) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return strings.HasPrefix(k.name, name+".") })
}

// env is the environment variable of the key.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// parse turns the text of an environment variable or a flag into the key's value. The elements of
// a list are separated by commas, or the list is YAML in brackets; maps are YAML.
func (k key) parse(text string) (any, error) {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	list, mapping := k.typ.Kind() == reflect.Slice, k.typ.Kind() == reflect.Map || k.typ == reflect.TypeFor[Learning]() && strings.HasPrefix(strings.TrimSpace(text), "{")
	if mapping || list && strings.HasPrefix(strings.TrimSpace(text), "[") {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			return nil, err
		}
		if len(doc.Content) == 0 {
			return nil, errors.New("has no value")
		}
		n = doc.Content[0]
	} else if list {
		n = &yaml.Node{Kind: yaml.SequenceNode}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				n.Content = append(n.Content, k.item(item))
			}
		}
	}
	return k.value(n)
}

// item is an element of a list in an environment variable. A source is "topic" or "topic:format".
func (k key) item(text string) *yaml.Node {
	scalar := func(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }
	if k.typ.Elem() != reflect.TypeFor[Source]() {
		return scalar(text)
	}
	topic, format, ok := strings.Cut(text, ":")
	n := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("topic"), scalar(topic)}}
	if ok {
		n.Content = append(n.Content, scalar("format"), scalar(format))
	}
	return n
}

// value turns a node of a file into the key's value.
func (k key) value(n *yaml.Node) (any, error) {
	n = resolved(n)
	switch k.typ {
	case reflect.TypeFor[Learning]():
		return learning(n)
	case reflect.TypeFor[[]Source]():
		return items(n, k.source)
	case reflect.TypeFor[[]string]():
		return items(n, k.text)
	case reflect.TypeFor[Overrides]():
		m := make(Overrides)
		if n.Kind != yaml.MappingNode || n.Decode(&m) != nil {
			return nil, errors.New("must be rule ids with the parameters to change below each")
		}
		return m, nil
	case reflect.TypeFor[map[string]string]():
		m := make(map[string]string)
		if n.Kind != yaml.MappingNode || n.Decode(&m) != nil {
			return nil, errors.New("must be names with a text each")
		}
		return m, nil
	}
	text, err := k.text(n)
	if err != nil {
		return nil, err
	}
	switch k.typ {
	case reflect.TypeFor[Duration]():
		return ParseDuration(text)
	case reflect.TypeFor[Size]():
		return ParseSize(text)
	}
	switch k.typ.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("must be true or false, is %q", text)
		}
		return text == "true", nil
	case reflect.Int:
		i, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("must be a whole number, is %q", text)
		}
		return i, nil
	}
	return text, nil
}

// text is a scalar, one of the key's values if it has such.
func (k key) text(n *yaml.Node) (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", errors.New("must be a single value")
	case n.Tag == "!!null":
		return "", errors.New("has no value: give one, or remove the key")
	case k.oneof != nil && !slices.Contains(k.oneof, n.Value):
		return "", unknown(fmt.Sprintf("%q is not one of %s", n.Value, strings.Join(k.oneof, ", ")), n.Value, k.oneof)
	}
	return n.Value, nil
}

func (k key) source(n *yaml.Node) (Source, error) {
	s := Source{Format: "auto"}
	if n.Kind != yaml.MappingNode {
		return s, errors.New("each source must have a topic, and may have a format")
	}
	for i := 0; i < len(n.Content); i += 2 {
		var err error
		name := n.Content[i].Value
		switch name {
		case "topic":
			s.Topic, err = key{name: name}.text(resolved(n.Content[i+1]))
		case "format":
			f, _ := reflect.TypeFor[Source]().FieldByName("Format")
			s.Format, err = key{name: name, oneof: oneof(f.Tag)}.text(resolved(n.Content[i+1]))
		default:
			return s, &placed{n.Content[i], unknown(fmt.Sprintf("a source has no key %q", name), name, []string{"topic", "format"})}
		}
		if err != nil {
			return s, &placed{n.Content[i+1], fmt.Errorf("%s: %w", name, err)}
		}
	}
	if s.Topic == "" {
		return s, errors.New("a source needs a topic")
	}
	return s, nil
}

func items[T any](n *yaml.Node, item func(*yaml.Node) (T, error)) (any, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, errors.New("must be a list")
	}
	list := make([]T, 0, len(n.Content))
	for _, c := range n.Content {
		v, err := item(resolved(c))
		if err != nil {
			if at := new(placed); errors.As(err, &at) {
				return nil, err
			}
			return nil, &placed{c, err}
		}
		list = append(list, v)
	}
	return list, nil
}

// resolved follows an alias to its anchor.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
