package deployment

import (
	"errors"
	"fmt"
	"os"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/processor"
	"firstseen/state"
)

// OpenStateDir opens a state directory that nobody uses.
func OpenStateDir(dir string, cfg processor.Config) (*processor.Lookup, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, cli.Usage(fmt.Errorf("--state %s: no such directory", dir))
	}
	l, err := processor.OpenLookupDir(dir, cfg)
	if errors.Is(err, state.ErrLocked) {
		return nil, cli.Exit(cli.ExitGuarantee, fmt.Errorf("%s is in use by a running worker or scan: leave --state out and give -c FILE, "+
			"the changelog topics have the same; or stop it", dir))
	}
	return l, err
}
