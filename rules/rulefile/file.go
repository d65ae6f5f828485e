package rulefile

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"firstseen/rules/allowlist"
)

// maxFile bounds a rule file, tests included.
const maxFile = 4 << 20

// File is a rule file whose YAML has been read.
type File struct {
	ID   string // of its rule; empty when it has none
	src  *source
	root *yaml.Node // a mapping, without aliases and tags
}

// Open reads the YAML of a rule file. The error is an Errors.
func Open(name string, text []byte) (*File, error) {
	root, problem := parseYAML(name, text)
	if problem != nil {
		return nil, Errors{*problem}
	}
	f := &File{src: newSource(name, string(text)), root: root}
	if problems := plainNodes(f.src, root); len(problems) > 0 {
		return nil, problems
	}
	if root.Kind != yaml.MappingNode {
		return nil, Errors{{File: name, Line: root.Line, Col: root.Column, Message: "a rule file has keys and values: id, name, dataset, ..."}}
	}
	for key, value := range pairs(root) {
		if key.Value == "id" && value.Kind == yaml.ScalarNode && !isNull(value) {
			f.ID = value.Value
		}
	}
	return f, nil
}

// IDPlace is where the file says its id.
func (f *File) IDPlace() Problem {
	p := Problem{File: f.src.name, Line: f.root.Line, Col: f.root.Column}
	for key, value := range pairs(f.root) {
		if key.Value == "id" {
			p.Line, p.Col = f.src.at(value, 0)
		}
	}
	return p
}

// Options is what a rule is read with, besides its file.
type Options struct {
	Strict    bool                                       // apply the file's strict block; see allowlist.NewTable for what else strict means
	Overrides []Override                                 // in this order, over the strict block; those of other rules are left out
	ReadFile  func(name string) (text []byte, err error) // for allowlists; a relative name is relative to the rule file
}

// Rule reads the rule. A file with a strict block is checked in both forms, whichever is asked for. The error is an Errors
// with every problem.
func (f *File) Rule(o Options) (*Rule, error) {
	rule, problems := f.read(o, o.Strict, nil)
	if f.strictBlock() != nil {
		_, others := f.read(o, !o.Strict, nil)
		problems = append(problems, others...)
	}
	if len(problems) > 0 {
		return nil, problems.Sorted()
	}
	return rule, nil
}

func (f *File) read(o Options, strict bool, keys map[string][]string) (*Rule, Errors) {
	root := clone(f.root)
	if block := f.strictBlock(); strict && block != nil {
		merge(root, clone(block))
	}
	d := &decoder{file: f.src, from: make(map[*yaml.Node]*source), keys: keys}
	for _, override := range o.Overrides {
		if override.Rule != f.ID {
			continue
		}
		apply(root, override, d.from)
		if key := override.Path[0]; key == "id" || key == "strict" || key == "tests" {
			d.problem(override.node, 0, "%s cannot be overridden", key)
		}
	}
	r := d.rule(root, &allowlistFiles{dir: filepath.Dir(f.src.name), read: o.ReadFile, strict: strict})
	return r, d.problems
}

func (f *File) strictBlock() *yaml.Node {
	for key, value := range pairs(f.root) {
		if key.Value == "strict" && value.Kind == yaml.MappingNode {
			return value
		}
	}
	return nil
}

// parseYAML reads the one document of a text.
func parseYAML(name string, text []byte) (*yaml.Node, *Problem) {
	bad := func(message string) *Problem { return &Problem{File: name, Message: message} }
	switch {
	case len(text) > maxFile:
		return nil, bad(fmt.Sprintf("%d bytes are too many for a rule file, which has at most %d", len(text), maxFile))
	case !utf8.Valid(text):
		return nil, notUTF8(name, string(text))
	}
	loader, err := yaml.NewLoader(strings.NewReader(string(text)))
	if err != nil {
		return nil, bad(err.Error())
	}
	var doc, more yaml.Node
	switch err = loader.Load(&doc); {
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) == 0:
		return nil, bad("nothing in it: firstseen rules new writes a file to begin with")
	case err != nil:
		return nil, syntaxProblem(name, err)
	}
	if err := loader.Load(&more); err == nil {
		return nil, &Problem{File: name, Line: more.Line, Col: more.Column, Message: "a second document: one file is one rule"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxProblem(name, err)
	}
	return doc.Content[0], nil
}

// notUTF8 finds the first character that is none.
func notUTF8(name, text string) *Problem {
	p := &Problem{File: name, Line: 1, Col: 1, Message: "a character that is not UTF-8: save the file in this encoding"}
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			break
		}
		if p.Col++; r == '\n' {
			p.Line, p.Col = p.Line+1, 1
		}
	}
	return p
}

func syntaxProblem(name string, err error) *Problem {
	p := &Problem{File: name, Message: "YAML: " + err.Error()}
	var at *yaml.LoadError
	if errors.As(err, &at) {
		p.Line, p.Col, p.Message = at.Mark.Line, at.Mark.Column, "YAML: "+at.Message
		if at.ContextMsg != "" {
			p.Message += " " + at.ContextMsg
		}
	}
	switch {
	case strings.Contains(p.Message, "mapping values are not allowed"):
		p.Message += ": quote a value with a colon in it, or write it below a |"
	case strings.Contains(p.Message, "cannot start any token"):
		p.Message += ": indent with blanks, not tabs, and quote a value that begins with @, ` or %"
	}
	return p
}

// plainNodes refuses what makes a file mean something else than it says: aliases, tags and merge keys.
func plainNodes(src *source, n *yaml.Node) (problems Errors) {
	refuse := func(message string) {
		line, col := src.at(n, 0)
		problems = append(problems, Problem{File: src.name, Line: line, Col: col, Message: message})
	}
	switch {
	case n.Kind == yaml.AliasNode:
		refuse("aliases are not supported: write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		refuse("tags are not supported: quote what is meant as text")
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!merge":
		refuse("merge keys are not supported: write the keys out")
	}
	for _, c := range n.Content {
		problems = append(problems, plainNodes(src, c)...)
	}
	return problems
}

// allowlistFiles reads the lists that a rule names.
type allowlistFiles struct {
	dir    string
	read   func(string) ([]byte, error)
	strict bool
}

func (d *decoder) allowlistFile(n *yaml.Node, files *allowlistFiles) []allowlist.Entry {
	name := n.Value
	if d.from[n] == nil && !filepath.IsAbs(name) {
		name = filepath.Join(files.dir, name)
	}
	if files.read == nil {
		d.problem(n, 0, "allowlist.files: no files can be read here")
		return nil
	}
	text, err := files.read(name)
	if err != nil {
		d.problem(n, 0, "allowlist.files: %v", err)
		return nil
	}
	entries, errs := allowlist.Parse(name, string(text))
	for _, e := range errs {
		d.problems = append(d.problems, Problem{File: name, Line: e.Line, Col: e.Col, Message: "allowlist: " + e.Message, Suggestion: e.Suggestion})
	}
	return entries
}
