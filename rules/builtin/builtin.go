// Package builtin holds the rule files that are part of the program: the two rules it began with. A deployment changes
// their parameters by id, without copying them.
package builtin

import "embed"

// Files has the rule files, *.yaml.
//
//go:embed *.yaml
var Files embed.FS
