package deployment

import (
	"log/slog"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/config"
	"firstseen/rules"
)

// RuleOptions are the rules of a configuration.
func RuleOptions(cfg *config.Config) rules.LoadOptions {
	return rules.LoadOptions{Paths: cfg.Rules.Paths, NoBuiltin: !cfg.Rules.Builtin, Presets: cfg.Rules.Presets, Strict: cfg.Strict,
		Set: cfg.Rules.Set, Overrides: cfg.Rules.Overrides, ASN: cfg.Rules.ASN}
}

// LoadRules loads the rules of a configuration and logs what looks wrong about them.
func LoadRules(cfg *config.Config, log *slog.Logger) (*rules.Set, error) {
	set, warnings, err := rules.Load(RuleOptions(cfg))
	if err != nil {
		return nil, cli.Usage(err)
	}
	for _, w := range warnings {
		log.Warn("rules", "warning", w.String())
	}
	return set, nil
}
