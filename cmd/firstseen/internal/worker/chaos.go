//go:build chaos

package worker

import (
	"encoding/json"
	"fmt"
	"os"

	"firstseen/processor"
)

// faultsEnv has the faults that a worker commits in a chaos run: processor.Faults as JSON.
const faultsEnv = "CHAOS_FAULTS"

// inject has the worker commit the faults that the environment asks for.
func inject(cfg *processor.Config) error {
	text, ok := os.LookupEnv(faultsEnv)
	if !ok {
		return nil
	}
	var f processor.Faults
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return fmt.Errorf("%s: %w", faultsEnv, err)
	}
	return cfg.Inject(f)
}
