// Package devbroker embeds a Kafka broker in this process, for `demo`, `run --dev` and tests. It is kfake, the broker that
// franz-go tests its own client with: one node that speaks the real protocol on a real port of 127.0.0.1, so that any
// Kafka client can use it. It is for development only, and says so.
//
// What differs from Apache Kafka, where this project can tell (docs/upstream shows what of it is kfake's):
//   - one node, nothing replicated; records reach the operating system before the answer, the disk when it pleases;
//   - no log cleaner and no retention by time: a data directory only grows, except by DeleteRecords. (kfake has both, but
//     its cleaner also drops records that only an open transaction supersedes, so that an abort loses them. It is off;
//     Cluster.Compact is for tests, between transactions);
//   - message.timestamp.type is kept and described, not obeyed: a record has the time its producer gave it. A producer
//     that leaves the time to the client gets much the same;
//   - markers and offsets of a transaction are visible the moment it ends, real ones a little later;
//   - the transaction time-out of a transactional id is that of its first producer since the start.
package devbroker

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Notice is what a user must know of this broker. Start logs it as a warning.
const Notice = "embedded broker: for development only, one node, nothing is replicated"

// Topic is a topic that Start creates if it is missing. One that exists is left as it is.
type Topic struct {
	Name       string
	Partitions int32             // 0: 1
	Configs    map[string]string // "cleanup.policy": "compact", ...
}

// Options say where the broker listens and what it keeps.
type Options struct {
	Port    int          // on 127.0.0.1; 0: any free one
	DataDir string       // topics, records, groups and producer ids survive a restart here; empty: all in memory
	Topics  []Topic      // created if missing
	Log     *slog.Logger // nil: silent
	Kfake   []kfake.Opt  // anything else of kfake's: TLS, SASL users, shorter time-outs
}

// Broker is a running broker.
type Broker struct {
	// Cluster is what tests reach through to: it compacts on demand, injects faults and tells what it holds.
	Cluster *kfake.Cluster

	log *brokerLog
	dir *dataDir // nil: in memory
}

// Start returns a broker that answers. A data directory serves one broker at a time; a second Start on it is an error.
// After a crash the transactions that were open are aborted first; their producers are fenced.
func Start(o Options) (_ *Broker, err error) {
	b := &Broker{log: &brokerLog{to: o.Log}}
	if o.DataDir != "" {
		if b.dir, err = openDataDir(o.DataDir, b.log); err != nil {
			return nil, fmt.Errorf("embedded broker: data directory %s: %w", o.DataDir, err)
		}
	}
	if b.Cluster, err = newCluster(o.Port, o.DataDir, b.log, o.Kfake...); err != nil {
		b.dir.unlock()
		return nil, fmt.Errorf("embedded broker on 127.0.0.1:%d: %w", o.Port, err)
	}
	for _, t := range o.Topics {
		err := b.Cluster.CreateTopic(t.Name, max(t.Partitions, 1), t.Configs)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return nil, errors.Join(fmt.Errorf("embedded broker: create topic %q: %w", t.Name, err), b.Close())
		}
	}
	if o.Log != nil {
		o.Log.Warn(Notice, "addr", b.Addr(), "data", o.DataDir)
	}
	return b, nil
}

func newCluster(port int, dir string, log *brokerLog, more ...kfake.Opt) (*kfake.Cluster, error) {
	opts := []kfake.Opt{
		kfake.Ports(port), kfake.ClusterID("firstseen-dev"), kfake.WithLogger(log), kfake.DefaultNumPartitions(1),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "9000000000000"}), // never, see above
	}
	if dir != "" {
		opts = append(opts, kfake.DataDir(dir))
	}
	return kfake.NewCluster(append(opts, more...)...)
}

// Addr is the bootstrap address, host:port.
func (b *Broker) Addr() string { return b.Cluster.ListenAddrs()[0] }

// Close ends the broker. Clients see closed connections. With a data directory everything is written to it first, and
// the error says what could not be.
func (b *Broker) Close() error {
	err := closeCluster(b.Cluster, b.log)
	if err == nil && b.dir != nil {
		err = b.dir.markClean()
	}
	b.dir.unlock()
	return err
}

func closeCluster(c *kfake.Cluster, log *brokerLog) error {
	_ = log.keepErrors(true) // nothing was kept before
	c.Close()
	return log.keepErrors(false)
}

// dataDir guards a data directory: LOCK keeps a second broker off, of this process or another, and "running" is there
// from start to clean end.
type dataDir struct {
	path string
	lock io.Closer
}

func openDataDir(path string, log *brokerLog) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := vfs.Default.Lock(filepath.Join(path, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("in use by another broker? %w", err)
	}
	d := &dataDir{path: path, lock: lock}
	if _, err = os.Stat(d.running()); err == nil {
		err = settle(path, log)
	} else if errors.Is(err, os.ErrNotExist) {
		err = os.WriteFile(d.running(), []byte(Notice+"\n"), 0o600)
	}
	if err != nil {
		d.unlock()
		return nil, err
	}
	return d, nil
}

func (d *dataDir) running() string { return filepath.Join(d.path, "running") }

func (d *dataDir) markClean() error { return os.Remove(d.running()) }

func (d *dataDir) unlock() {
	if d != nil {
		d.lock.Close()
	}
}
