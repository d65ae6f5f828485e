package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// A stat is a process in /proc.
type stat struct {
	parent int
	cpu    float64
	rss    int64 // bytes
}

func all() map[int]stat {
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	out := map[int]stat{}
	for _, e := range dir {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if s, err := readStat(pid); err == nil {
				out[pid] = s
			}
		}
	}
	return out
}

const ticksPerSecond = 100 // USER_HZ on Linux

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name is in parentheses and may hold spaces.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 22 {
		return stat{}, fmt.Errorf("process %d: short stat", pid)
	}
	num := func(i int) int64 { n, _ := strconv.ParseInt(string(f[i]), 10, 64); return n }
	return stat{parent: int(num(1)), cpu: float64(num(11)+num(12)) / ticksPerSecond, rss: num(21) * int64(os.Getpagesize())}, nil
}

// MachineCPU returns the CPU seconds that the whole machine was busy.
func MachineCPU() float64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	var busy float64
	for i, f := range bytes.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal
		if i >= 1 && i <= 8 && i != 4 && i != 5 {
			n, _ := strconv.ParseFloat(string(f), 64)
			busy += n / ticksPerSecond
		}
	}
	return busy
}

// SelfCPU returns the CPU seconds of this process.
func SelfCPU() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// CPU returns the CPU seconds of a process; of process 0, none.
func CPU(pid int) float64 {
	if pid == 0 {
		return 0
	}
	s, _ := readStat(pid)
	return s.cpu
}

// SelfRSS returns the memory, in bytes, of this process.
func SelfRSS() int64 {
	s, _ := readStat(os.Getpid())
	return s.rss
}
