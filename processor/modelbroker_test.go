package processor

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// modelCluster is Kafka as far as a lane can tell, in memory: logs, a transaction coordinator, a coordinator of one
// group. What takes time on real brokers is a step of its own: a decision, its marker in each log, and its marker in the
// group's offsets. Whoever calls it says when; it does nothing by itself.
type modelCluster struct {
	topics map[string]*modelTopic
	txns   map[string]*modelTxn // by transactional id
	group  modelGroup
	ids    int             // of topics and producers
	ahead  time.Duration   // of the brokers' clock
	broken map[string]bool // fence: offsets are accepted from anybody; stable: they are told with a transaction pending

	refused string // a term of which no finding is taken
}

type modelTopic struct {
	id   kadm.TopicID
	logs []*modelLog
}

// modelLog is a partition. The offset of a record is its index.
type modelLog struct {
	name    string // topic/partition
	start   int64
	records []modelRecord
	epochs  []int64 // the first offset of each leader epoch
}

type modelRecord struct {
	*kgo.Record
	txn    *outcome // nil: not transactional
	marker bool
	gone   bool // the log cleaner removed it
}

// outcome is what a log knows of a transaction: nothing, until the marker is there.
type outcome struct {
	in                 *modelTxn // nil once the marker is there
	committed, aborted bool
}

// modelTxn is what the transaction coordinator knows of a transactional id.
type modelTxn struct {
	pid     int64
	epoch   int16
	state   string                 // "", "open", "commit" or "abort": decided, and not all markers written
	logs    map[*modelLog]*outcome // without a marker
	offsets map[int32]int64        // of the group's partitions, pending
}

func newModelCluster(partitions int, topics ...string) *modelCluster {
	c := &modelCluster{broken: map[string]bool{}, topics: map[string]*modelTopic{}, txns: map[string]*modelTxn{}}
	c.group.committed, c.group.members = map[int32]int64{}, map[string]*modelMember{}
	c.group.owner = make([]*modelMember, partitions)
	for _, name := range topics {
		c.create(name, partitions)
	}
	return c
}

func (c *modelCluster) create(topic string, partitions int) {
	c.ids++
	t := &modelTopic{id: modelTopicID(c.ids)}
	for p := range partitions {
		t.logs = append(t.logs, &modelLog{name: fmt.Sprint(topic, "/", p), epochs: []int64{0}})
	}
	c.topics[topic] = t
}

// modelTopicID is the id of the n-th topic or producer.
func modelTopicID(n int) (id kadm.TopicID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

func (c *modelCluster) log(topic string, partition int32) *modelLog {
	return c.topics[topic].logs[partition]
}

func (l *modelLog) end() int64 { return int64(len(l.records)) }

// stable is the last stable offset.
func (l *modelLog) stable() int64 {
	for i, r := range l.records {
		if r.txn != nil && r.txn.in != nil {
			return int64(i)
		}
	}
	return l.end()
}

func (c *modelCluster) append(l *modelLog, r *kgo.Record, txn *outcome) *kgo.Record {
	n := *r
	n.Key, n.Value = bytes.Clone(r.Key), bytes.Clone(r.Value) // the sender uses their memory again
	n.Offset, n.Timestamp, n.LeaderEpoch = l.end(), time.Now().Add(c.ahead), int32(len(l.epochs)-1)
	l.records = append(l.records, modelRecord{Record: &n, txn: txn})
	r.Offset, r.Timestamp, r.LeaderEpoch = n.Offset, n.Timestamp, -1
	return &n
}

// read returns records from an offset on, as a reader of that isolation level gets them, and where to go on.
func (l *modelLog) read(from int64, level kgo.IsolationLevel, limit int) (records []*kgo.Record, next int64, err error) {
	end := l.stable()
	if level == kgo.ReadUncommitted() {
		end = l.end()
	}
	if from < l.start || from > l.end() {
		return nil, from, kerr.OffsetOutOfRange
	}
	for next = from; next < end && len(records) < limit; next++ {
		r := l.records[next]
		if r.gone || r.marker || r.txn != nil && r.txn.aborted && level == kgo.ReadCommitted() {
			continue
		}
		n := *r.Record
		records = append(records, &n)
	}
	return records, next, nil
}

// truncate loses what is behind an offset, to a new leader that had not got it.
func (l *modelLog) truncate(end int64) {
	l.records = l.records[:end]
	l.epochs = append(l.epochs, end)
}

// epochEnd is where a leader epoch ends.
func (l *modelLog) epochEnd(epoch int32) int64 {
	if int(epoch)+1 < len(l.epochs) {
		return l.epochs[epoch+1]
	}
	return l.end()
}

// clean is the log cleaner: of what is decided, only the last record of each key stays, and no tombstone stays if they
// are old enough.
func (l *modelLog) clean(tombstones bool) (removed int) {
	last := map[string]int{}
	decided := l.records[:l.stable()]
	for i, r := range decided {
		if !r.marker && (r.txn == nil || r.txn.committed) {
			last[string(r.Key)] = i
		}
	}
	for i := range decided {
		r := &decided[i]
		superseded := last[string(r.Key)] != i
		if !r.gone && !r.marker && (superseded || tombstones && r.Value == nil) {
			r.gone = true
			removed++
		}
	}
	return removed
}

// txn returns what the coordinator knows of a transactional id.
func (c *modelCluster) txn(id string) *modelTxn {
	if c.txns[id] == nil {
		c.ids++
		c.txns[id] = &modelTxn{pid: int64(c.ids)}
	}
	return c.txns[id]
}

// take makes the next producer of the transactional id its only one. Until what was open before is decided and all its
// markers are written, it has to be asked again.
func (t *modelTxn) take() (epoch int16, ok bool) {
	switch t.state {
	case "commit", "abort":
		return 0, false
	case "open":
		if t.timeOut(); t.state != "" {
			return 0, false
		}
	}
	t.epoch++
	return t.epoch, true
}

// timeOut is what the coordinator does with a transaction that takes too long, or whose producer has a successor.
func (t *modelTxn) timeOut() {
	t.epoch++
	t.decide("abort")
}

func (t *modelTxn) check(epoch int16) error {
	if t.epoch != epoch {
		return kerr.ProducerFenced
	}
	return nil
}

// produce appends records of one partition to the transaction.
func (c *modelCluster) produce(t *modelTxn, epoch int16, l *modelLog, records []*kgo.Record) error {
	if err := t.check(epoch); err != nil {
		return err
	}
	if c.refused != "" && strings.HasPrefix(l.name, loopApp+"."+topicFindings) && slices.ContainsFunc(records, func(r *kgo.Record) bool {
		return bytes.Contains(r.Value, []byte(c.refused))
	}) {
		return kerr.MessageTooLarge
	}
	t.open()
	if t.logs[l] == nil {
		t.logs[l] = &outcome{in: t}
	}
	for _, r := range records {
		c.append(l, r, t.logs[l])
	}
	return nil
}

func (t *modelTxn) open() {
	if t.state == "" {
		t.state, t.logs, t.offsets = "open", map[*modelLog]*outcome{}, map[int32]int64{}
	}
}

// end is EndTxn. The producer goes on with the next epoch, so that nothing of this transaction can get into the next.
func (t *modelTxn) end(epoch int16, decision string) (next int16, err error) {
	if err := t.check(epoch); err != nil {
		return epoch, err
	}
	if t.state != "open" {
		return epoch, kerr.InvalidTxnState
	}
	t.epoch++
	t.decide(decision)
	return t.epoch, nil
}

func (t *modelTxn) decide(decision string) {
	t.state = decision
	t.settle()
}

func (t *modelTxn) settle() {
	if len(t.logs) == 0 && len(t.offsets) == 0 {
		t.state = ""
	}
}

// unmarked are the logs that a decided transaction still has to write markers to, by name.
func (t *modelTxn) unmarked() []*modelLog {
	if t.state != "commit" && t.state != "abort" {
		return nil
	}
	return slices.SortedFunc(maps.Keys(t.logs), func(a, b *modelLog) int { return cmp.Compare(a.name, b.name) })
}

// mark writes a marker to a log.
func (c *modelCluster) mark(t *modelTxn, l *modelLog) {
	o := t.logs[l]
	o.in, o.committed, o.aborted = nil, t.state == "commit", t.state == "abort"
	r := &kgo.Record{Key: []byte(t.state)}
	c.append(l, r, nil)
	l.records[r.Offset].marker = true
	delete(t.logs, l)
	t.settle()
}

// markOffsets does the same to the group's offsets.
func (c *modelCluster) markOffsets(t *modelTxn) {
	if t.state == "commit" {
		maps.Copy(c.group.committed, t.offsets)
	}
	t.offsets = nil
	t.settle()
}

// pending says whether a transaction on the partition's offset has no marker yet.
func (c *modelCluster) pending(partition int32) bool {
	for _, t := range c.txns {
		if _, ok := t.offsets[partition]; ok && !c.broken["stable"] {
			return true
		}
	}
	return false
}

// decided is the offset of the group that counts: that of a decided transaction, whether its markers are written or not.
func (c *modelCluster) decided(partition int32) int64 {
	for _, t := range c.txns {
		if at, ok := t.offsets[partition]; ok && t.state == "commit" {
			return at
		}
	}
	return c.group.committed[partition]
}

// truth are the committed records of a log up to an offset, whatever markers are still to be written and whatever the log
// cleaner removed.
func (l *modelLog) truth(upTo int64) (records []*kgo.Record) {
	for _, r := range l.records[:min(upTo, l.end())] {
		if !r.marker && (r.txn == nil || r.txn.committed || r.txn.in != nil && r.txn.in.state == "commit") {
			records = append(records, r.Record)
		}
	}
	return records
}

// latest is the committed value of a key.
func (l *modelLog) latest(key string) []byte {
	all := l.truth(l.end())
	for _, r := range slices.Backward(all) {
		if bytes.Equal(r.Key, []byte(key)) {
			return r.Value
		}
	}
	return nil
}
