// Package builtin holds the rule files that are part of the program: the two rules it began with, and presets. A
// deployment changes their parameters by id, without copying them.
package builtin

import (
	"embed"
	"io/fs"
	"strings"
)

// Files has the rule files that are loaded unless a deployment says otherwise, *.yaml.
//
//go:embed *.yaml
var Files embed.FS

// presetFiles are loaded only by those who name them.
//
//go:embed presets/*.yaml
var presetFiles embed.FS

// Presets lists the names of the presets, sorted. A preset is called like its rule.
func Presets() (names []string) {
	entries, err := fs.ReadDir(presetFiles, "presets")
	if err != nil {
		panic(err) // the directory is embedded
	}
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), ".yaml"))
	}
	return names
}

// Preset returns the file of a preset and its text.
func Preset(name string) (file string, text []byte, ok bool) {
	file = "presets/" + name + ".yaml"
	text, err := presetFiles.ReadFile(file)
	return file, text, err == nil
}
