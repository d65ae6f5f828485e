//go:build chaos

package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Faults are what a worker built for a chaos run does wrong on purpose. The zero value is a worker without fault. No other
// build has them.
type Faults struct {
	Abort  float64 `json:"abort"`   // share of the transactions that are aborted when they should be committed
	HoldMS int     `json:"hold_ms"` // up to this many milliseconds a transaction is held open before it ends
	Mutant string  `json:"mutant"`  // a rule of the protocol that is broken: see mutate; empty: none
	Proxy  string  `json:"proxy"`   // every connection to a broker is made through this address
	Disk   string  `json:"disk"`    // while this file exists, the disk of the store is full
	Timers string  `json:"timers"`  // "short": time-outs of seconds
	Sweep  int64   `json:"sweep"`   // the sweep clock of detect runs so many times as fast: with real time nothing is swept for days
}

// Inject has a worker of this configuration commit the faults.
func (c *Config) Inject(f Faults) error {
	if f.Abort > 0 || f.HoldMS > 0 {
		c.hooks.beforeEnd = func() { time.Sleep(time.Duration(rand.IntN(1+f.HoldMS)) * time.Millisecond) }
		injected := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "firstseen", Name: "chaos_aborts_injected_total", Help: "Transactions aborted on purpose."})
		if c.Metrics != nil {
			c.Metrics.MustRegister(injected)
		}
		c.hooks.abort = func() bool {
			if rand.Float64() >= f.Abort {
				return false
			}
			injected.Inc()
			return true
		}
	}
	c.hooks.sweep = f.Sweep
	if f.Proxy != "" {
		c.Client = append(c.Client, kgo.Dialer(through(f.Proxy, c.Instance)))
	}
	if f.Disk != "" {
		c.hooks.disk = errorfs.Wrap(vfs.Default, fullWhile(f.Disk))
	}
	switch f.Timers {
	case "", "default":
	case "short":
		c.Timing = Timing{Session: 3 * time.Second, Rebalance: 10 * time.Second, Heartbeat: 300 * time.Millisecond, Transaction: 2500 * time.Millisecond,
			Tick: time.Second, Note: 3 * time.Second, Stall: 30 * time.Second, Recheck: 3 * time.Second}
	default:
		return fmt.Errorf("timers: %q is not one of short, default", f.Timers)
	}
	return c.hooks.mutate(f.Mutant)
}

// mutate breaks a rule of the protocol. Each breach must be found by the verdict of a chaos run.
func (h *hooks) mutate(name string) error {
	switch name {
	case "":
	case "applyFirst":
		h.applyFirst = true
	case "restoreToLSO":
		h.restoreToLSO = true
	case "restoreUncommitted":
		h.restoreUncommitted = true
	case "goOnAfterUnknown":
		h.goOnAfterUnknown = true
	default:
		return fmt.Errorf("there is no mutant %q", name)
	}
	return nil
}

// through returns a dialer that asks a proxy to connect, with one line "CONNECT host:port INSTANCE". The proxy answers "+"
// when it has; all that follows is the connection's.
func through(proxy, instance string) func(context.Context, string, string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	return func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, proxy)
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Fprintf(conn, "CONNECT %s %s\n", host, instance); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil { // as if the broker had been dialled
			return nil, &net.OpError{Op: "dial", Net: network, Addr: conn.RemoteAddr(), Err: errors.Join(syscall.ECONNREFUSED, conn.Close())}
		}
		return conn, nil
	}
}

// fullWhile answers as a full disk does while the file exists: there is nothing to write to, but files can be read,
// synced and deleted.
func fullWhile(file string) errorfs.Injector {
	return errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpMkdirAll, errorfs.OpFilePreallocate, errorfs.OpFileWrite, errorfs.OpFileWriteAt:
			if _, err := os.Stat(file); err == nil {
				return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
			}
		}
		return nil
	})
}
