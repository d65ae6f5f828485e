package processor

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// health is what /readyz tells: which lanes have not joined yet and which partitions wait, and why.
type health struct {
	mu    sync.Mutex
	lanes map[string]bool // whether the lane has taken over partitions at least once, or been told it has none
	bad   map[string]map[topicPartition]error
}

func newHealth() *health {
	return &health{lanes: map[string]bool{}, bad: map[string]map[topicPartition]error{}}
}

func (h *health) starting(lane string) { h.set(lane, false) }

func (h *health) joined(lane string) { h.set(lane, true) }

func (h *health) set(lane string, joined bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lanes[lane] = joined
}

func (h *health) quarantine(lane string, tp topicPartition, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad[lane] == nil {
		h.bad[lane] = map[topicPartition]error{}
	}
	h.bad[lane][tp] = err
}

func (h *health) mend(lane string, tp topicPartition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.bad[lane], tp)
}

// clear forgets a lane's partitions, which a new session will report again.
func (h *health) clear(lane string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.bad, lane)
	h.lanes[lane] = false
}

// waiting reports whether a lane has partitions in quarantine.
func (h *health) waiting(lane string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.bad[lane]) > 0
}

// quarantined is the number of partitions in quarantine.
func (h *health) quarantined() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.bad {
		n += len(b)
	}
	return n
}

// reasons lists why the worker is not ready; it is empty when it is.
func (h *health) reasons() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var why []string
	if len(h.lanes) == 0 {
		why = append(why, "starting: the lanes do not run yet")
	}
	for lane, joined := range h.lanes {
		if !joined {
			why = append(why, fmt.Sprintf("lane %s: joining its group or restoring its state", lane))
		}
	}
	for lane, bad := range h.bad {
		for tp, err := range bad {
			why = append(why, fmt.Sprintf("lane %s: partition %s is in quarantine: %s", lane, tp, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
	}
	slices.Sort(why)
	return why
}

// NotReady says why the worker is not ready, one reason a string; it is empty when it is: every lane has joined its
// group, nothing is being restored, no partition is in quarantine.
func (w *Worker) NotReady() []string { return w.health.reasons() }
