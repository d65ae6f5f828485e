package ruletest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstseen/rules"
	"firstseen/rules/builtin"
	"firstseen/rules/rulefile"
)

// subject is a rule that is tested.
type subject struct {
	set     *rules.Set
	rule    *rules.Rule
	options rules.LoadOptions // that the set was loaded with
	own     bool              // its own tests are wanted, not only those of a file of Panther's
	tests   []subjectTest
	modes   map[string]*rules.Set // see alone
}

// subjectTest is a test of one record and the file it is in.
type subjectTest struct {
	rulefile.Test
	file string
}

// subjects finds what is to be tested, by rule id: the rules of the files that are given, and those whose tests are in
// files of Panther's; without files the built-in ones.
func (c *Command) subjects() (list []*subject, warnings []rules.Warning, err error) {
	paths, foreign, err := findPanther(c.Paths)
	if err != nil {
		return nil, nil, err
	}
	var given *rules.Set
	if len(paths) > 0 || len(foreign) == 0 {
		o := rules.LoadOptions{Paths: paths, NoBuiltin: true, Strict: c.Strict, Unready: true}
		if len(paths) == 0 {
			o = c.builtin()
		}
		if given, warnings, err = rules.Load(o); err != nil {
			return nil, warnings, err
		}
		for _, r := range given.Rules() {
			s := &subject{set: given, rule: r, options: o, own: true}
			for _, t := range r.Tests() {
				s.tests = append(s.tests, subjectTest{t, r.File()})
			}
			list = append(list, s)
		}
	}
	var problems rules.Errors
	for _, p := range foreign {
		warnings = append(warnings, p.Ignored...)
		if len(p.Tests) == 0 {
			continue
		}
		s, err := c.tested(p, &list)
		if err != nil {
			problem := p.IDPlace()
			problem.Message = err.Error()
			problems = append(problems, problem)
			continue
		}
		for _, t := range p.Tests {
			s.tests = append(s.tests, subjectTest{t, p.File})
		}
	}
	if len(problems) > 0 {
		return nil, warnings, problems
	}
	slices.SortStableFunc(list, func(a, b *subject) int { return strings.Compare(a.rule.ID(), b.rule.ID()) })
	return list, warnings, nil
}

// builtin asks for all rules of the program, the presets too.
func (c *Command) builtin() rules.LoadOptions {
	return rules.LoadOptions{Presets: builtin.Presets(), Strict: c.Strict}
}

// logTypes are Panther's names of the datasets.
var logTypes = map[string]string{"AWS.S3ServerAccess": "aws.s3access", "AWS.CloudTrail": "aws.cloudtrail"}

// tested finds the rule that a file of Panther's has tests of, among those that are tested already or the built-in ones.
func (c *Command) tested(p *rulefile.Panther, list *[]*subject) (*subject, error) {
	at := slices.IndexFunc(*list, func(s *subject) bool { return s.rule.ID() == p.RuleID })
	if at < 0 {
		o := c.builtin()
		set, _, err := rules.Load(o)
		if err != nil {
			return nil, err
		}
		r := set.Rule(p.RuleID)
		if r == nil {
			return nil, fmt.Errorf("no rule with the id %s is loaded, so its tests cannot be run: give the file of the rule too", p.RuleID)
		}
		at = len(*list)
		*list = append(*list, &subject{set: set, rule: r, options: o})
	}
	s := (*list)[at]
	dataset := s.rule.Dataset().String()
	if len(p.LogTypes) > 0 && !slices.ContainsFunc(p.LogTypes, func(t string) bool { return logTypes[t] == dataset }) {
		return nil, fmt.Errorf("its tests are of %s, and the rule %s looks at %s", strings.Join(p.LogTypes, " and "), p.RuleID, dataset)
	}
	return s, nil
}

// alone loads the rule so that no other sees the records of its scenarios.
func (s *subject) alone(mode string) (*rules.Set, error) {
	if set := s.modes[mode]; set != nil {
		return set, nil
	}
	o := s.options
	o.Overrides = map[string]map[string]any{}
	if o.NoBuiltin {
		o.Paths = []string{s.rule.File()}
	} else {
		for _, other := range s.set.Rules() {
			o.Overrides[other.ID()] = map[string]any{"mode": rulefile.Off}
		}
	}
	o.Overrides[s.rule.ID()] = map[string]any{"mode": mode}
	set, _, err := rules.Load(o)
	if err != nil {
		return nil, err
	}
	if s.modes == nil {
		s.modes = map[string]*rules.Set{}
	}
	s.modes[mode] = set
	return set, nil
}

// findPanther takes Panther's metadata files out of the paths. What is left is for the loader of rules: a directory as
// it is, if nothing was taken out of it.
func findPanther(paths []string) (rest []string, foreign []*rulefile.Panther, err error) {
	var problems rules.Errors
	for _, path := range paths {
		var others []string
		before := len(foreign)
		for _, file := range ruleFiles(path) {
			text, err := os.ReadFile(file)
			if err != nil {
				others = append(others, file) // the loader says so
				continue
			}
			p, ok, err := rulefile.ReadPanther(file, text)
			var wrong rules.Errors
			switch {
			case errors.As(err, &wrong):
				problems = append(problems, wrong...)
			case !ok:
				others = append(others, file)
			default:
				foreign = append(foreign, p)
			}
		}
		if len(foreign) == before {
			others = []string{path}
		}
		rest = append(rest, others...)
	}
	if len(problems) > 0 {
		return nil, nil, problems.Sorted()
	}
	return rest, foreign, nil
}

// ruleFiles lists the files that the loader of rules finds at a path; the path itself if it is no directory.
func ruleFiles(path string) (files []string) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return []string{path}
	}
	_ = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		switch ext := filepath.Ext(name); {
		case err != nil: // the loader will meet it too, and says so
			files = append(files, name)
			return fs.SkipDir
		case name != path && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case !entry.IsDir() && (ext == ".yaml" || ext == ".yml"):
			files = append(files, name)
		}
		return nil
	})
	return files
}
