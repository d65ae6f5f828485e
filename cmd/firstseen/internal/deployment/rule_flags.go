package deployment

import (
	"cmp"
	"fmt"
	"io"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/rules"
)

// RuleFlags say which rules a command is about: those of a configuration, else the built-in ones, and what flags add.
type RuleFlags struct {
	Config    string   `short:"c" type:"existingfile" placeholder:"FILE" help:"Configuration file: its rules, and what it changes about them."`
	Rules     []string `sep:"none" placeholder:"PATH" help:"Rule file, or directory of them, beside the others; the same id replaces a built-in rule. May be given several times."`
	Preset    []string `sep:"none" placeholder:"NAME" help:"A built-in rule that is off unless named. May be given several times."`
	NoBuiltin bool     `help:"Leave the built-in rules out, but for presets."`
	Strict    bool     `help:"The rules to the letter."`
	Set       []string `sep:"none" placeholder:"RULE.KEY=VALUE" help:"Change a parameter of a rule. May be given several times."`
	ASN       string   `name:"asn" type:"existingfile" placeholder:"FILE" help:"MMDB file of networks and who announces them, such as GeoLite2-ASN.mmdb, for rules that use source.as.*"`
}

// Options are what the rules are loaded with.
func (f *RuleFlags) Options() (rules.LoadOptions, error) {
	var o rules.LoadOptions
	if f.Config != "" {
		cfg, err := (&Flags{Config: f.Config}).LoadAny()
		if err != nil {
			return o, err
		}
		o = RuleOptions(cfg)
	}
	o.Paths, o.Presets, o.Set = append(o.Paths, f.Rules...), append(o.Presets, f.Preset...), append(o.Set, f.Set...)
	o.NoBuiltin, o.Strict = o.NoBuiltin || f.NoBuiltin, o.Strict || f.Strict
	o.ASN, o.Unready = cmp.Or(f.ASN, o.ASN), true // who asks looks at rules and runs none
	return o, nil
}

// Load loads the rules and prints what is odd about them.
func (f *RuleFlags) Load(stderr io.Writer) (*rules.Set, error) {
	o, err := f.Options()
	if err != nil {
		return nil, err
	}
	set, warnings, err := rules.Load(o)
	if err != nil {
		return nil, cli.Usage(err)
	}
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	return set, nil
}
