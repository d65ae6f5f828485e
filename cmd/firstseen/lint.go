package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/config"
	"firstseen/rules"
)

type lintCmd struct {
	Config []string `short:"c" sep:"none" placeholder:"FILE" help:"A configuration file, which is checked with its rules and what it changes about them. May be given several times."`
	Preset []string `sep:"none" placeholder:"NAME" help:"A built-in rule that is off unless named. May be given several times."`
	ASN    string   `name:"asn" type:"existingfile" placeholder:"FILE" help:"MMDB file of networks and who announces them, for rules that use source.as.*"`
	Paths  []string `arg:"" optional:"" name:"path" help:"Rule files and directories of them. Default, without a configuration: the built-in rules."`
}

// linter prints what is wrong with files, and counts.
type linter struct {
	*cli.App
	errors int
	warned map[string]bool
}

// Run checks everything and prints all of it, a line each: file:line:col: what is wrong. It exits with 2 if something
// is; warnings alone are no failure.
func (c *lintCmd) Run(a *cli.App) error {
	l := &linter{App: a, warned: map[string]bool{}}
	n := 0
	for _, file := range c.Config {
		n += l.config(file)
	}
	named := len(c.Paths)+len(c.Preset) > 0
	if named || len(c.Config) == 0 {
		checked := l.rules(rules.LoadOptions{Paths: c.Paths, Presets: c.Preset, ASN: c.ASN, NoBuiltin: named})
		if n += checked; checked == 0 && l.errors == 0 { // a folder that was mistyped must not look checked
			l.fail(fmt.Errorf("no rule file among %s", strings.Join(c.Paths, ", ")))
		}
	}
	if l.errors > 0 {
		fmt.Fprintf(a.Stderr, "%s\n", show.Plural(int64(l.errors), "error"))
		return cli.Exit(cli.ExitUsage, nil)
	}
	fmt.Fprintf(a.Stderr, "%s checked, %s\n", show.Plural(int64(n), "rule"), show.Plural(int64(len(l.warned)), "warning"))
	return nil
}

// config checks a configuration as a worker would read it, environment included, and then its rules.
func (l *linter) config(file string) (checked int) {
	cfg, err := config.Load(config.Layers{File: file, Environ: os.Environ()})
	if err != nil {
		l.fail(err)
		return 0
	}
	for _, w := range cfg.Warnings() {
		l.warn(rules.Warning{File: file, Message: w})
	}
	return l.rules(deployment.RuleOptions(cfg))
}

// rules checks rules and returns how many there are.
func (l *linter) rules(o rules.LoadOptions) (checked int) {
	o.Unready = true
	set, warnings, err := rules.Load(o)
	if err != nil {
		l.fail(err)
		return 0
	}
	for _, w := range append(warnings, rules.Lint(set)...) {
		l.warn(w)
	}
	return len(set.Rules())
}

// warn prints a warning, once.
func (l *linter) warn(w rules.Warning) {
	w.Message = "warning: " + w.Message
	if text := w.String(); !l.warned[text] {
		l.warned[text] = true
		fmt.Fprintln(l.Stdout, text)
	}
}

// fail prints an error, which is a list of problems where somebody has looked at every line.
func (l *linter) fail(err error) {
	places := []string{err.Error()}
	var inRules rules.Errors
	var inConfig config.Problems
	switch {
	case errors.As(err, &inRules):
		places = places[:0]
		for _, p := range inRules {
			places = append(places, p.String())
		}
	case errors.As(err, &inConfig):
		places = places[:0]
		for _, p := range inConfig {
			places = append(places, p.Error())
		}
	}
	for _, p := range places {
		l.errors++
		fmt.Fprintln(l.Stdout, p)
	}
}
