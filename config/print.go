package config

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Print writes the configuration as YAML that Load reads, every key with its value and, as a comment, where it was set.
// Secrets are replaced by stars.
func (c *Config) Print(w io.Writer) error {
	out := bufio.NewWriter(w)
	v := reflect.ValueOf(c).Elem()
	section := ""
	for _, k := range keys {
		head, name, nested := strings.Cut(k.name, ".")
		switch {
		case !nested:
			name, section = head, ""
		case head != section:
			fmt.Fprintf(out, "%s:\n", head)
			section = head
		}
		text, err := k.format(v.FieldByIndex(k.index))
		if err != nil {
			return fmt.Errorf("print %s: %w", k.name, err)
		}
		if text == "" { // has no value: the key would be refused
			continue
		}
		indent := strings.Repeat("  ", strings.Count(k.name, "."))
		where := c.from[k.name]
		if where == "" {
			where = "default"
		}
		fmt.Fprintf(out, "%s%-40s # %s\n", indent, name+": "+text, where)
	}
	return out.Flush()
}

// format writes a value as YAML on one line; what is empty and has no default is "".
func (k key) format(v reflect.Value) (string, error) {
	switch x := v.Interface().(type) {
	case Duration:
		return x.String(), nil
	case Size:
		return x.String(), nil
	case string:
		if x == "" {
			return "", nil
		}
	}
	if kind := v.Kind(); (kind == reflect.Slice || kind == reflect.Map) && v.Len() == 0 {
		return "", nil
	}
	var n yaml.Node
	if err := n.Encode(v.Interface()); err != nil {
		return "", err
	}
	if k.secret {
		n.Value = "********"
	}
	flow(&n)
	text, err := yaml.Dump(&n, yaml.WithLineWidth(-1))
	return strings.TrimSpace(string(text)), err
}

// flow puts a tree on one line.
func flow(n *yaml.Node) {
	n.Style |= yaml.FlowStyle
	n.Style &^= yaml.LiteralStyle | yaml.FoldedStyle
	for _, c := range n.Content {
		flow(c)
	}
}
