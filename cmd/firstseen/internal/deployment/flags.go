// Package deployment is how a command line and a configuration name a deployment and its rules: their flags, and the
// processor's configuration that comes of them.
package deployment

import (
	"os"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/config"
)

// Flags are shared by the commands that need a configuration.
type Flags struct {
	Config string            `short:"c" type:"existingfile" placeholder:"FILE" help:"Configuration file (YAML)."`
	base   *config.Config    // nil: config.Default
	Set    map[string]string `placeholder:"KEY=VALUE" help:"Set a configuration key, for example --set state.dir=/var/lib/firstseen."`
}

// LoadAny is Load for commands that do not read the sources, so that they need not be configured.
func (f *Flags) LoadAny() (*config.Config, error) {
	f.AssumeSources()
	return f.Load(nil)
}

// defaultSources is the default configuration with the topics that run --dev and gen use when none are named.
func defaultSources() *config.Config {
	base := config.Default()
	base.Sources = []config.Source{{Topic: "cloudtrail", Format: "auto"}, {Topic: "s3access", Format: "auto"}}
	return base
}

// AssumeSources has the sources be those of run --dev and gen where none are configured.
func (f *Flags) AssumeSources() { f.base = defaultSources() }

// Load merges file, environment and flags.
func (f *Flags) Load(more map[string]string) (*config.Config, error) {
	flags := map[string]string{}
	for k, v := range f.Set {
		flags[k] = v
	}
	for k, v := range more {
		if v != "" {
			flags[k] = v
		}
	}
	cfg, err := config.Load(config.Layers{Base: f.base, File: f.Config, Environ: os.Environ(), Flags: flags})
	if err != nil {
		return nil, cli.Usage(err)
	}
	return cfg, nil
}
