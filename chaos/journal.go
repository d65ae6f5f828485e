package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// entry is a fault that was done. The journal of them makes a run resumable: how much of it is over, and what has been
// seen.
type entry struct {
	N       int            `json:"n"`              // which card of the deck it was
	At      time.Duration  `json:"at"`             // of the time under fire, when it ended
	Kind    string         `json:"kind"`           //
	Counts  int            `json:"counts"`         // how often it really happened
	Shows   map[string]int `json:"shows"`          // what else was seen
	Note    string         `json:"note,omitempty"` // for people
	Seconds float64        `json:"seconds"`        // how long it took
	Finding string         `json:"finding,omitempty"`
}

// journal is the file of entries.
type journal struct {
	mu      sync.Mutex
	f       *os.File
	entries []entry
	began   time.Time     // of this start
	before  time.Duration // under fire in earlier starts
}

func openJournal(dir string) (*journal, error) {
	path := filepath.Join(dir, "journal.jsonl")
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	j := &journal{}
	whole := 0 // bytes of whole lines: a run that was killed may have left half a line
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var e entry
		if json.Unmarshal(s.Bytes(), &e) != nil {
			break
		}
		whole += len(s.Bytes()) + 1
		j.entries = append(j.entries, e)
		j.before = max(j.before, e.At)
	}
	if j.f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err = j.f.Truncate(int64(min(whole, len(b)))); err == nil {
		_, err = j.f.Seek(0, 2)
	}
	return j, err
}

// underFire is how long faults have been at work, in this start and the earlier ones.
func (j *journal) underFire() time.Duration {
	if j.began.IsZero() {
		return j.before
	}
	return j.before + time.Since(j.began)
}

func (j *journal) add(e entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.At = j.underFire()
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.entries = append(j.entries, e)
	_, err = j.f.Write(append(b, '\n'))
	return err
}

// next is the number of the first card that was not played.
func (j *journal) next() (n int) {
	for _, e := range j.all() {
		n = max(n, e.N+1)
	}
	return n
}

func (j *journal) all() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]entry(nil), j.entries...)
}

// total is what all faults of a kind have shown.
func (j *journal) total(kind string) (counts int, shows map[string]int) {
	shows = map[string]int{}
	for _, e := range j.all() {
		if e.Kind == kind {
			counts += e.Counts
			sum(shows, e.Shows)
		}
	}
	return counts, shows
}

// sum adds what was seen; of what begins with "longest", the most is kept.
func sum(to, more map[string]int) {
	for what, n := range more {
		if strings.HasPrefix(what, "longest") {
			to[what] = max(to[what], n)
		} else {
			to[what] += n
		}
	}
}

// say writes a line for people who watch.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().UTC().Format("15:04:05")}, args...)...)
}
