//go:build !chaos

package worker

import "firstseen/processor"

// inject does nothing: only a build for chaos runs (chaos.go) can commit faults on purpose.
func inject(*processor.Config) error { return nil }
