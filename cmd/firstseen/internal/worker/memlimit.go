package worker

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory lets the garbage collector know of the cgroup's memory limit, so that a worker in a container collects more
// often rather than being killed. A quarter is left for what is not on the heap and for what is made between collections:
// the state's cache and memtables are on it. GOMEMLIMIT and GOGC say otherwise, if they are set.
func limitMemory(cgroup memlimit.Provider, log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		// Most of the heap are buffers, which cost nothing to mark: collecting twice as often as by default costs
		// a few percent of the processor, and saves a third of the memory.
		debug.SetGCPercent(50)
	}
	limit, err := memlimit.Set(memlimit.WithProvider(cgroup), memlimit.WithRatio(0.75))
	if err != nil {
		log.Warn("the cgroup's memory limit is not known; GOMEMLIMIT sets one", "error", err)
		return
	}
	log.Debug("memory limit of the garbage collector", "bytes", limit)
}
