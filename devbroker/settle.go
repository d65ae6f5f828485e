package devbroker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// settle makes a data directory whole after a crash. kfake then treats open transactions as aborted and fences their
// producers, but writes no marker that says so: a read_committed client would drop all that the same producer commits
// later, and after a second crash kfake would join the aborted records to the producer's next transaction
// (docs/upstream/kfake-no-abort-marker.md). So a private broker writes the markers and closes cleanly, before anyone else
// may connect.
//
// One thing it cannot mend: a kill within the fraction of a millisecond in which kfake ends a transaction, partition by
// partition, leaves some partitions committed and others not.
func settle(dir string, log *brokerLog) error {
	open, err := openTransactions(dir)
	if err != nil {
		return err
	}
	c, err := newCluster(0, dir, log)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err = abortAll(ctx, cl, open)
		cancel()
		cl.Close()
	}
	if err != nil {
		err = fmt.Errorf("abort the transactions that a crash left open: %w", err)
	}
	return errors.Join(err, closeCluster(c, log))
}

func abortAll(ctx context.Context, cl *kgo.Client, open []kadm.TxnMarkers) error {
	if len(open) == 0 {
		return nil
	}
	resps, err := kadm.NewClient(cl).WriteTxnMarkers(ctx, open...)
	for _, producer := range resps {
		for _, topic := range producer.Topics {
			for _, p := range topic.Partitions {
				if p.Err != nil && !errors.Is(p.Err, kerr.UnknownTopicOrPartition) { // a topic deleted, its folder not yet
					err = errors.Join(err, p.Err)
				}
			}
		}
	}
	return err
}

// openTransactions reads the logs below dir: per partition a folder "partitions/TOPIC-N" of segments "OFFSET.dat", which
// are Kafka's record batches one after the other.
func openTransactions(dir string) ([]kadm.TxnMarkers, error) {
	folders, err := filepath.Glob(filepath.Join(dir, "partitions", "*-*"))
	if err != nil {
		return nil, err
	}
	open := make(map[int64]kadm.TxnMarkers) // by producer: it has one transaction at a time
	for _, folder := range folders {
		name := filepath.Base(folder)
		cut := strings.LastIndexByte(name, '-')
		n, err := strconv.ParseInt(name[cut+1:], 10, 32)
		if err != nil {
			continue // no folder of kfake's
		}
		producers, err := openProducers(folder)
		if err != nil {
			return nil, err
		}
		for id, epoch := range producers {
			m := open[id]
			m.ProducerID, m.ProducerEpoch = id, epoch
			m.Topics.Add(name[:cut], int32(n))
			open[id] = m
		}
	}
	return slices.Collect(maps.Values(open)), nil
}

// openProducers are the producer ids, with their epochs, whose last transactional batch in a partition no marker follows.
func openProducers(folder string) (map[int64]int16, error) {
	segments, err := filepath.Glob(filepath.Join(folder, "*.dat"))
	if err != nil {
		return nil, err
	}
	base := func(path string) int64 {
		n, _ := strconv.ParseInt(strings.TrimSuffix(filepath.Base(path), ".dat"), 10, 64)
		return n
	}
	slices.SortFunc(segments, func(a, b string) int { return int(base(a) - base(b)) })
	open := make(map[int64]int16)
	for _, segment := range segments {
		log, err := os.ReadFile(segment)
		if err != nil {
			return nil, err
		}
		for len(log) >= 61 { // the header of a record batch
			size := 12 + int64(binary.BigEndian.Uint32(log[8:]))
			if size < 61 || size > int64(len(log)) {
				break // torn by the crash: kfake cuts it off
			}
			attributes, producer := binary.BigEndian.Uint16(log[21:]), int64(binary.BigEndian.Uint64(log[43:]))
			switch control, transactional := attributes&0x20 != 0, attributes&0x10 != 0; {
			case control:
				delete(open, producer)
			case transactional:
				open[producer] = int16(binary.BigEndian.Uint16(log[51:]))
			}
			log = log[size:]
		}
	}
	return open, nil
}
