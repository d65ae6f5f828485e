// Package rules says what counts as suspicious: rule files with their queries, allowlists and new terms, and the
// decisions about what has been seen. It is pure, values in and values out; what has been seen is kept elsewhere.
//
// The text of a rule is package rulefile's, its query package kql's, its networks package allowlist's. Here a Set of
// them is loaded, hashed, and matched against events; term.go, window.go and cap.go decide what comes of a match.
package rules

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"firstseen/rules/builtin"
	"firstseen/rules/rulefile"
)

//go:generate go test -run Page -update .

// Schema is the JSON Schema of a rule file, for editors. The tables of docs/rules.md are made of it.
//
//go:embed schema.json
var Schema []byte

// Errors is every problem that kept rules from being loaded, each with file, line and column.
type Errors = rulefile.Errors

// Warning is something that loads but is probably not meant.
type Warning = rulefile.Problem

// LoadOptions says which rules to load.
type LoadOptions struct {
	Paths     []string                  // rule files, and directories whose *.yaml and *.yml are, at any depth; see Load for one id twice
	NoBuiltin bool                      // leave the program's own rules out, but for Presets
	Presets   []string                  // those of the program's own rules that are off unless named, see builtin.Presets
	Strict    bool                      // the rules to the letter: their strict blocks apply, IPv4-mapped IPv6 addresses stay IPv6
	Overrides map[string]map[string]any // by rule id and key, as a configuration has them; a key may have dots
	Set       []string                  // RULE.KEY=VALUE, applied after Overrides

	ReadFile func(name string) ([]byte, error) // of allowlists; default: os.ReadFile
	ASN      string                            // file for source.as.*, see asn.Open; rules that need one are refused without
	Unready  bool                              // the rules are looked at, not run: warn where one needs a file that is not named
}

// Load reads rules. A file replaces the program's own rule of the same id; two files of one id are an error. Every
// problem of every file is found before it fails, with an Errors.
func Load(o LoadOptions) (*Set, []Warning, error) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	l := &loader{options: o}
	if !o.NoBuiltin {
		l.walk(builtin.Files, ".", func(name string) string { return "builtin/" + name })
	}
	l.presets()
	l.builtin = len(l.files)
	for _, p := range o.Paths {
		l.path(p)
	}
	texts, files := l.rules(l.overrides())
	if len(l.problems) > 0 {
		return nil, nil, l.problems.Sorted()
	}
	set, err := newSet(texts, files, o.Strict)
	if err != nil {
		return nil, nil, err // not reached: what a rule file may say compiles
	}
	if err := l.owners(set); err != nil {
		return nil, nil, err
	}
	if len(texts) == 0 {
		l.warnings = append(l.warnings, Warning{Message: "no rules are loaded: nothing is looked for"})
	}
	return set, append(l.warnings, emptyAllowlists(set)...), nil
}

type loader struct {
	options  LoadOptions
	files    []*rulefile.File
	builtin  int // how many of files are the program's own
	problems Errors
	warnings []Warning
}

func (l *loader) fail(err error) {
	var list Errors
	if errors.As(err, &list) {
		l.problems = append(l.problems, list...)
	} else if err != nil {
		l.problems = append(l.problems, Warning{Message: err.Error()})
	}
}

// presets adds the presets that are asked for.
func (l *loader) presets() {
	for _, name := range l.options.Presets {
		file, text, ok := builtin.Preset(name)
		if !ok {
			known := builtin.Presets()
			l.problems = append(l.problems, Warning{File: "preset " + name, Message: "there is no such preset, only " + strings.Join(known, ", "), Suggestion: rulefile.Nearest(name, known)})
			continue
		}
		l.add("builtin/"+file, text)
	}
}

// path adds a file, or the rule files below a directory.
func (l *loader) path(p string) {
	info, err := os.Stat(p)
	switch {
	case err != nil:
		l.fail(fmt.Errorf("rules: %w; paths are relative to the working directory", err))
	case info.IsDir():
		before := len(l.files)
		l.walk(os.DirFS(p), ".", func(name string) string { return filepath.Join(p, filepath.FromSlash(name)) })
		if len(l.files) == before && len(l.problems) == 0 {
			l.warnings = append(l.warnings, Warning{File: p, Message: "no *.yaml or *.yml file in this directory"})
		}
	default:
		text, err := os.ReadFile(p)
		l.fail(err)
		if err == nil {
			l.add(p, text)
		}
	}
}

func (l *loader) walk(fsys fs.FS, root string, display func(string) string) {
	l.fail(fs.WalkDir(fsys, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name != root && strings.HasPrefix(path.Base(name), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(name); entry.IsDir() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err == nil {
			l.add(display(name), text)
		}
		return err
	}))
}

func (l *loader) add(name string, text []byte) {
	f, err := rulefile.Open(name, text)
	if err != nil {
		l.fail(err)
		return
	}
	l.files = append(l.files, f)
}

// overrides reads what the configuration and the command line change. Their order is that of the options.
func (l *loader) overrides() []rulefile.Override {
	var ids []string
	for _, f := range l.files {
		if f.ID != "" && !slices.Contains(ids, f.ID) {
			ids = append(ids, f.ID)
		}
	}
	var all []rulefile.Override
	var configured []string
	for id := range l.options.Overrides {
		configured = append(configured, id)
	}
	slices.Sort(configured)
	for _, id := range configured {
		if !slices.Contains(ids, id) {
			if !l.unnamedPreset("override ", id, ids) {
				l.problems = append(l.problems, Warning{File: "override " + id, Message: "no rule with this id is loaded", Suggestion: rulefile.Nearest(id, ids)})
			}
			continue
		}
		list, err := rulefile.MapOverrides(id, l.options.Overrides[id])
		l.fail(err)
		all = append(all, list...)
	}
	for _, text := range l.options.Set {
		if l.unnamedPreset("--set ", text, ids) {
			continue
		}
		o, err := rulefile.ParseOverride(text, ids)
		l.fail(err)
		if err == nil {
			all = append(all, o)
		}
	}
	return all
}

// unnamedPreset notes that something changes a preset that nobody has asked for.
func (l *loader) unnamedPreset(what, target string, loaded []string) bool {
	for _, name := range builtin.Presets() {
		if (target == name || strings.HasPrefix(target, name+".")) && !slices.Contains(loaded, name) {
			l.problems = append(l.problems, Warning{File: what + target, Message: name + " is a preset: name it in rules.presets or with --preset"})
			return true
		}
	}
	return false
}

// rules reads the rules of the files that count, and says where each was read.
func (l *loader) rules(overrides []rulefile.Override) (texts []*rulefile.Rule, names map[string]string) {
	byID := make(map[string]int)
	for i, f := range l.files {
		first, taken := byID[f.ID]
		if taken && first >= l.builtin && f.ID != "" {
			place := f.IDPlace()
			place.Message = "the id " + f.ID + " is also that of the rule in " + l.files[first].IDPlace().File
			l.problems = append(l.problems, place)
			continue
		}
		byID[f.ID] = i
	}
	names = make(map[string]string)
	for i, f := range l.files {
		if f.ID != "" && byID[f.ID] != i {
			continue
		}
		text, err := f.Rule(rulefile.Options{Strict: l.options.Strict, Overrides: overrides, ReadFile: l.options.ReadFile})
		l.fail(err)
		if err == nil {
			texts, names[text.ID] = append(texts, text), f.IDPlace().File
		}
	}
	return texts, names
}
