package worker

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// The limit is three quarters of the cgroup's, unless GOMEMLIMIT is set; no limit and one that cannot be read change nothing.
func TestLimitMemory(t *testing.T) {
	const before = 3 << 40
	unread := errors.New("no cgroup is mounted")
	for _, c := range []struct {
		name, env string
		cgroup    memlimit.Provider
		want      int64
		said      string
	}{
		{"a cgroup with 512 MiB", "", memlimit.Limit(512 << 20), 384 << 20, ""},
		{"GOMEMLIMIT is set", "3TiB", memlimit.Limit(512 << 20), before, ""},
		{"a cgroup without a limit", "", func() (uint64, error) { return 0, memlimit.ErrNoLimit }, math.MaxInt64, ""},
		{"none that can be read", "", func() (uint64, error) { return 0, unread }, before, unread.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", c.env) // which brings it back afterwards
			if c.env == "" {
				if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
					t.Fatal(err)
				}
			}
			was := debug.SetMemoryLimit(before)
			defer debug.SetMemoryLimit(was)
			var said bytes.Buffer
			limitMemory(c.cgroup, slog.New(slog.NewTextHandler(&said, nil)))
			if got := debug.SetMemoryLimit(-1); got != c.want {
				t.Errorf("the limit is %d, want %d", got, c.want)
			}
			if (said.Len() > 0) != (c.said != "") || !strings.Contains(said.String(), c.said) {
				t.Errorf("%q, want %q", &said, c.said)
			}
		})
	}
}

// It is collected twice as often as by default, unless GOGC says otherwise.
func TestCollectOften(t *testing.T) {
	for gogc, want := range map[string]int{"": 50, "200": 200} {
		t.Setenv("GOGC", gogc)
		was, limit := debug.SetGCPercent(200), debug.SetMemoryLimit(-1)
		limitMemory(memlimit.Limit(512<<20), slog.New(slog.DiscardHandler))
		debug.SetMemoryLimit(limit)
		if got := debug.SetGCPercent(was); got != want {
			t.Errorf("GOGC=%q: %d %%, want %d", gogc, got, want)
		}
	}
}
