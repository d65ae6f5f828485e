//go:build chaosnext

package wire

import (
	"slices"
	"strings"
)

// later adds a version to the schemas of what the stages send each other and of the changelogs' values: one more field.
// The build that has it plays the next release in a chaos run.
func later(name string, versions []string) []string {
	if !slices.Contains([]string{"candidate", "finding", "term", "window"}, name) {
		return versions
	}
	last := versions[len(versions)-1]
	end := strings.LastIndex(last, "]") // of the fields
	return append(versions, last[:end]+`, {"name": "next", "type": "string", "default": "next"}`+last[end:])
}
