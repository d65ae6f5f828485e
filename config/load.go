package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	tree "github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v4"
)

// envPrefix begins every variable; the rest is the key in capitals, dots as underscores.
const envPrefix = "FIRSTSEEN_"

// Layers are where a configuration comes from, the later over the earlier.
type Layers struct {
	Base    *Config           // nil: Default
	File    string            // path; empty: none
	Environ []string          // as of os.Environ; only FIRSTSEEN_ is looked at
	Flags   map[string]string // by key: "state.dir"; written as in the environment
}

// Load reads, merges and checks. The error is Problems, or that of reading the file.
func Load(l Layers) (*Config, error) {
	m := &merge{from: make(map[string]string)}
	if l.File != "" {
		text, err := os.ReadFile(l.File)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		m.file(l.File, text)
	}
	m.environ(l.Environ)
	m.flags(l.Flags)

	c := l.Base
	if c == nil {
		c = Default()
	}
	merged := *c
	if err := m.into(&merged); err != nil {
		return nil, err
	}
	merged.from = m.from
	if !m.broken {
		for _, p := range merged.check() {
			if !slices.ContainsFunc(m.problems, func(q *Problem) bool { return q.Key == p.Key }) { // one that has no value yet
				m.problems = append(m.problems, p)
			}
		}
	}
	if len(m.problems) > 0 {
		return nil, m.problems
	}
	return &merged, nil
}

// merge collects the layers.
type merge struct {
	layers   []layer
	from     map[string]string
	problems Problems
	broken   bool // the file is no YAML, so nothing can be said about what it says
}

// layer holds values by key. It is a koanf.Provider.
type layer map[string]any

// Read gives the values as a tree.
func (l layer) Read() (map[string]any, error) { return tree.Unflatten(l, "."), nil }

// ReadBytes is for providers of text.
func (l layer) ReadBytes() ([]byte, error) { return nil, errors.ErrUnsupported }

func (m *merge) into(c *Config) error {
	k := koanf.New(".")
	for _, l := range m.layers {
		if err := k.Load(l, nil); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	// Not k.Unmarshal: it would merge lists and maps of the layers with those of the base, element by element.
	v := reflect.ValueOf(c).Elem()
	for _, key := range keys {
		if k.Exists(key.name) {
			v.FieldByIndex(key.index).Set(reflect.ValueOf(k.Get(key.name)))
		}
	}
	return nil
}

func (m *merge) problem(where, key string, err error) {
	m.problems = append(m.problems, &Problem{Where: where, Key: key, Err: err})
}

func (m *merge) set(l layer, where string, k key, v any, err error) {
	if err != nil {
		m.problem(where, k.name, err)
		return
	}
	l[k.name], m.from[k.name] = v, where
}

func (m *merge) file(path string, text []byte) {
	var doc, second yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	err := documents.Decode(&doc)
	if errors.Is(err, io.EOF) { // nothing but comments
		return
	}
	if err == nil && !errors.Is(documents.Decode(&second), io.EOF) {
		err = errors.New("must be one YAML document, and ends where a second one begins or something is broken")
	}
	if err != nil {
		where, what := path, strings.TrimPrefix(err.Error(), "yaml: ")
		if at := yamlLine.FindStringSubmatch(what); at != nil {
			where, what = path+":"+at[1], strings.Replace(what, at[0], "", 1)
		}
		m.problem(where, "", errors.New(what))
		m.broken = true
		return
	}
	f := file{merge: m, path: path, layer: make(layer), seen: make(map[string]int)}
	f.mapping(doc.Content[0], "")
	m.layers = append(m.layers, f.layer)
}

// yamlLine finds the place in an error of the YAML package.
var yamlLine = regexp.MustCompile(`line (\d+)(?:, column \d+)?: `)

// file walks the tree of one file.
type file struct {
	*merge
	path  string
	layer layer
	seen  map[string]int // key or section -> line
}

func (f *file) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", f.path, n.Line, n.Column) }

func (f *file) mapping(n *yaml.Node, prefix string) {
	if n = resolved(n); n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // a section whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		f.problem(f.at(n), strings.TrimSuffix(prefix, "."), errors.New("must have keys below it"))
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := prefix+n.Content[i].Value, n.Content[i+1]
		if line := f.seen[name]; line != 0 {
			f.problem(f.at(n.Content[i]), name, fmt.Errorf("is set twice, first in line %d", line))
			continue
		}
		f.seen[name] = n.Content[i].Line
		k, ok := lookup(name)
		switch {
		case ok:
			v, err := k.value(value)
			where := value
			if at := new(placed); errors.As(err, &at) {
				where = at.at
			}
			f.set(f.layer, f.at(where), k, v, err)
		case name == "lanes" && resolved(value).Kind == yaml.ScalarNode:
			f.lanes(f.layer, f.at(value), resolved(value).Value)
		case section(name):
			f.mapping(value, name+".")
		default:
			f.problem(f.at(n.Content[i]), "", unknown(fmt.Sprintf("unknown key %q", name), name, names()))
		}
	}
}

// lanes sets the lanes of all stages to one number.
func (m *merge) lanes(l layer, where, text string) {
	for _, k := range keys {
		if strings.HasPrefix(k.name, "lanes.") {
			v, err := k.parse(text)
			if err != nil {
				m.problem(where, "lanes", err)
				return
			}
			m.set(l, where, k, v, nil)
		}
	}
}

// names are the keys and sections, for suggestions.
func names() []string {
	var list []string
	for _, k := range keys {
		if head, _, ok := strings.Cut(k.name, "."); ok && !slices.Contains(list, head) {
			list = append(list, head)
		}
		list = append(list, k.name)
	}
	return list
}

// service matches the variables that Kubernetes gives every container for a service called firstseen.
var service = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)

func (m *merge) environ(vars []string) {
	l := make(layer)
	for _, v := range slices.Sorted(slices.Values(vars)) {
		name, text, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envPrefix+"CONFIG" || service.MatchString(name) {
			continue // FIRSTSEEN_CONFIG names the file
		}
		where := "environment " + name
		if name == envPrefix+"LANES" {
			m.lanes(l, where, text) // FIRSTSEEN_LANES_DETECT sorts behind, and wins
			continue
		}
		i := slices.IndexFunc(keys, func(k key) bool { return k.env() == name })
		if i < 0 {
			var known []string
			for _, k := range keys {
				known = append(known, k.env())
			}
			m.problem(where, "", unknown("no such key", name, known))
			continue
		}
		value, err := keys[i].parse(text)
		m.set(l, where, keys[i], value, err)
	}
	m.layers = append(m.layers, l)
}

func (m *merge) flags(flags map[string]string) {
	l := make(layer)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		const where = "command line"
		k, ok := lookup(name)
		switch {
		case ok:
			v, err := k.parse(flags[name])
			m.set(l, where, k, v, err)
		case name == "lanes":
			m.lanes(l, where, flags[name])
		default:
			m.problem(where, "", unknown(fmt.Sprintf("no such key %q", name), name, names()))
		}
	}
	m.layers = append(m.layers, l)
}
