package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"firstseen/cmd/firstseen/internal/cli"
)

type versionCmd struct{}

// Run prints version, revision, Go version and platform in one line.
func (versionCmd) Run(a *cli.App) error {
	revision := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
	}
	_, err := fmt.Fprintf(a.Stdout, "firstseen %s%s %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
