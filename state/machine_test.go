package state

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"firstseen/schemas/wire"
)

// A changelog is a changelog partition as a reader sees it: compacted at its beginning, markers between transactions.
type changelog struct {
	id      [16]byte
	records []Record
}

func newChangelog(t testing.TB, id byte, seed uint64, records int) *changelog {
	c := &changelog{id: [16]byte{id}}
	rng := rand.New(rand.NewPCG(seed, uint64(id)))
	next, input := int64(100), int64(0)
	add := func(key string, value []byte) {
		c.records = append(c.records, Record{next, []byte(key), value})
		next++
	}
	for len(c.records) < records {
		for range 1 + rng.IntN(12) {
			var value []byte
			if rng.IntN(5) > 0 {
				value = window(t, rng)
			}
			add(fmt.Sprintf("\x02%d", rng.IntN(60)), value)
		}
		input += 1 + rng.Int64N(9)
		add(OffsetKey, offset(t, wire.Offset{InputTopicID: [16]byte{id, 1}, InputNext: input, SweepClock: 60 * input}))
		if next++; rng.IntN(5) == 0 {
			add(BarrierKey, nil)
		}
	}
	return c
}

// window is state of a few bytes or of several blocks.
func window(t testing.TB, rng *rand.Rand) []byte {
	w := wire.Window{Count: rng.Int64(), SweepAt: rng.Int64N(1000)}
	w.First.Match.Evidence = make([]byte, rng.IntN(1<<rng.IntN(12)))
	_, _ = rand.NewChaCha8([32]byte{byte(rng.Uint32())}).Read(w.First.Match.Evidence)
	v, err := wire.AppendWindow(nil, &w)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// after returns the records from an offset on.
func (c *changelog) after(next int64) []Record {
	for i, r := range c.records {
		if r.Offset >= next {
			return c.records[i:]
		}
	}
	return nil
}

// until is the state of a range that stands at an offset: what it holds and where it stands in the input.
func (c *changelog) until(next int64) (kv map[string]string, input wire.Offset, err error) {
	kv = map[string]string{}
	for _, r := range c.records {
		switch {
		case r.Offset >= next:
			return kv, input, err
		case string(r.Key) == OffsetKey:
			err = errors.Join(err, wire.DecodeOffset(r.Value, &input))
		case r.Value == nil:
			delete(kv, string(r.Key))
		default:
			kv[string(r.Key)] = string(r.Value)
		}
	}
	return kv, input, err
}

// holds fails unless a range is a prefix of the changelog: its contents, its position and its place in the input agree.
func (c *changelog) holds(r *Range) error {
	pos, _ := r.Position()
	want, input, err := c.until(pos.ChangelogNext)
	if err != nil {
		return err
	}
	if pos.Offset != input {
		return fmt.Errorf("%v at %v is current to %+v, want %+v", r, pos, pos.Offset, input)
	}
	got := map[string]string{}
	if err := r.Scan(nil, func(k, v []byte) error { got[string(k)] = string(v); return nil }); err != nil {
		return err
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("%v at %v holds %d keys that are not the %d of its changelog up to there", r, pos, len(got), len(want))
	}
	for k := 0; k < 60; k += 7 {
		key := fmt.Sprintf("\x02%d", k)
		v, ok, err := r.Get(nil, []byte(key))
		if w, there := want[key]; string(v) != w || ok != there || err != nil {
			return fmt.Errorf("%v at %v: %q is there: %v (%w), want %v", r, pos, key, ok, err, there)
		}
	}
	return nil
}

// crashRanges are the ranges of a machine. The changelog of the last one is deleted and created again in the course of
// its life.
var crashRanges = []struct {
	stage     Stage
	partition int32
}{{Detect, 0}, {Detect, 1}, {Group, 0}}

// standing is where each of crashRanges stands.
type standing [3]Position

// A machine is a store on a disk and what is known of it: where its ranges stood after each batch.
type machine struct {
	*disk
	logs [3]*changelog // of each range
	old  *changelog    // of the last range until it was moved aside

	s       *Store
	moments []standing // the last may not have been applied yet
	durable int        // the last moment that no crash takes away
	gone    int        // the first moment at which the last range was aside; -1: not yet
	aside   string     // where to
	was     Position   // where it stood
}

func (m *machine) open(opts Options) error {
	opts.FS = m.FS
	s, err := Open("d", opts)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s = s
	return err
}

// moment notes where the ranges stand once the next batch is applied.
func (m *machine) moment(i int, to Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.moments[len(m.moments)-1]
	next[i] = to
	m.moments = append(m.moments, next)
}

func (m *machine) now() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.moments) - 1
}

// safe notes that nothing up to a moment can be lost any more.
func (m *machine) safe(moment int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.durable = moment
}

func (m *machine) rangeAt(i int) (*Range, Position, error) {
	r, err := m.s.Range(crashRanges[i].stage, crashRanges[i].partition)
	if err != nil {
		return nil, Position{}, err
	}
	pos, _ := r.Position()
	return r, pos, nil
}

// follow applies the next n records of a range's changelog, as a transaction and a restore do: some by way of a table.
func (m *machine) follow(i, n int) (more bool, err error) {
	r, from, err := m.rangeAt(i)
	if err != nil {
		return false, err
	}
	log := m.logs[i]
	if from.ChangelogID == m.old.id || m.gone < 0 && i == len(m.logs)-1 {
		log = m.old
	}
	records := log.after(from.ChangelogNext)
	n = min(n, len(records))
	to, writes, err := Fold(from, records[:n])
	if err != nil || n == 0 {
		return false, err
	}
	to.ChangelogID = log.id
	m.moment(i, to)
	if n == 8 || n == 64 {
		if err = r.ingest(from, to, writes); err == nil {
			m.safe(m.now())
		}
	} else {
		err = r.Apply(from, to, writes)
	}
	m.between()
	return n < len(records), err
}

// between is a moment in which nothing is written: there are more batches than writes.
func (m *machine) between() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		m.before()
	}
}

// drop deletes a range, which has slept for too long.
func (m *machine) drop(i int) error {
	r, from, err := m.rangeAt(i)
	if err != nil {
		return err
	}
	m.moment(i, Position{})
	err = r.Delete(from)
	m.between()
	return err
}

// move moves the last range aside, whose changelog was created again.
func (m *machine) move(now time.Time) error {
	last := len(m.logs) - 1
	_, pos, err := m.rangeAt(last)
	if err != nil {
		return err
	}
	m.moment(last, Position{})
	m.mu.Lock()
	m.gone, m.was, m.aside = len(m.moments)-1, pos, "d/aside/"+asideName("group-0", now)
	m.mu.Unlock()
	_, err = m.s.MoveAside(Group, 0, now)
	return err
}

// An image is what a crash has left of a machine.
type image struct {
	machine             // at one of its moments
	name         string // of the crash
	seed         uint64
	unordered    bool   // names are there without those that were given before
	lacks, keeps bool   // batches that were applied, or not synced
	second       *image // what a crash during the recovery has left
}

// image returns what is left when the power fails now. mu is held.
func (m *machine) image(name string, rng *rand.Rand) *image {
	left := &image{machine: *m, name: name, seed: rng.Uint64(), unordered: rng.IntN(5) == 0}
	left.s, left.moments, left.disk = nil, m.moments[m.durable:], newDisk(m.crash(rng, left.unordered))
	if left.durable = 0; m.gone >= 0 {
		left.gone = max(m.gone-m.durable, 0)
	}
	return left
}

// recover opens what a crash has left, checks it and brings it to the end of its changelogs.
func (im *image) recover(opts Options) (err error) {
	rng, writes := rand.New(rand.NewPCG(im.seed, 0)), 0
	im.before = func() {
		if writes++; rng.IntN(writes) == 0 { // one of all, however many there will be
			im.second = im.image(fmt.Sprintf("%s; then before write %d of the recovery", im.name, writes), rng)
			im.second.unordered = im.second.unordered || im.unordered
		}
	}
	if err := im.open(opts); err != nil {
		if im.unordered && errors.Is(err, ErrCorrupt) {
			return nil // it is moved aside and begins anew
		}
		return err
	}
	defer func() { err = errors.Join(err, im.s.Close()) }()
	applied := len(im.moments) - 2 // the last may not have been
	at, err := im.identify()
	if err != nil {
		return err
	}
	im.lacks, im.keeps = at < applied, at > 0
	return im.finish(im.seed)
}

// identify finds the moment that a store is at, checks its contents, and forgets the other moments.
func (m *machine) identify() (at int, err error) {
	var stands standing
	for i := range crashRanges {
		r, pos, err := m.rangeAt(i)
		if err != nil {
			return 0, err
		}
		log := m.logs[i]
		if pos.ChangelogID == m.old.id {
			log = m.old
		}
		if err := log.holds(r); err != nil {
			return 0, err
		}
		stands[i] = pos
	}
	if at = slices.Index(m.moments, stands); at < 0 {
		return 0, fmt.Errorf("the ranges stand at %v, which is none of the %d states from %v to %v", stands, len(m.moments), m.moments[0], m.moments[len(m.moments)-1])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moments = []standing{stands}
	if m.gone > at {
		m.gone = -1
	} else if m.gone >= 0 {
		m.gone = 0
	}
	return at, nil
}

// finish takes the ranges to the end of their changelogs: the state that there would be without the crash.
func (m *machine) finish(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	if m.gone < 0 {
		if err := m.move(time.Unix(rng.Int64N(1e9), 0)); err != nil {
			return err
		}
	}
	if err := m.copied(); err != nil {
		return err
	}
	for i := range crashRanges {
		for more := true; more; {
			var err error
			if more, err = m.follow(i, 1+rng.IntN(100)); err != nil {
				return err
			}
		}
		r, pos, err := m.rangeAt(i)
		if err != nil {
			return err
		}
		if end := m.logs[i].records[len(m.logs[i].records)-1].Offset + 1; pos.ChangelogNext != end || pos.ChangelogID != m.logs[i].id {
			return fmt.Errorf("after the recovery %v stands at %v, not at %d", r, pos, end)
		}
		if err := m.logs[i].holds(r); err != nil {
			return fmt.Errorf("after the recovery: %w", err)
		}
	}
	return nil
}

// copied opens the copy of the range that was moved aside. It was complete before the range was emptied.
func (m *machine) copied() (err error) {
	s, err := Open(m.aside, Options{FS: m.FS, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r, err := s.Range(Group, 0)
	if err != nil {
		return err
	}
	if pos, _ := r.Position(); pos != m.was {
		return fmt.Errorf("what was moved aside stands at %v, not at %v", pos, m.was)
	}
	return m.old.holds(r)
}
