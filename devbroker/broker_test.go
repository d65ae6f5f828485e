package devbroker

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A bench is a broker with what the tests do to it.
type bench struct {
	*testing.T
	*Broker
}

func start(t *testing.T, o Options) bench {
	t.Helper()
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Cluster.Close() })
	return bench{t, b}
}

func (b bench) context() context.Context {
	ctx, cancel := context.WithTimeout(b.T.Context(), 30*time.Second)
	b.T.Cleanup(cancel)
	return ctx
}

func (b bench) client(opts ...kgo.Opt) *kgo.Client {
	b.T.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		b.T.Fatal(err)
	}
	b.T.Cleanup(cl.CloseAllowingRebalance)
	return cl
}

func (b bench) port() int {
	b.T.Helper()
	_, port, err := net.SplitHostPort(b.Addr())
	n, e := strconv.Atoi(port)
	if err != nil || e != nil {
		b.T.Fatal(err, e)
	}
	return n
}

// produce writes "key=value" records to partition 0.
func (b bench) produce(cl *kgo.Client, topic string, records ...string) {
	b.T.Helper()
	for _, r := range records {
		key, value, _ := strings.Cut(r, "=")
		if err := cl.ProduceSync(b.context(), &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
			b.T.Fatalf("produce %s: %v", r, err)
		}
	}
}

// committed reads what a read_committed consumer sees of partition 0 now: a mark is produced and awaited, since neither
// the high watermark nor the last stable offset is a record such a consumer can wait for.
func (b bench) committed(topic string) []string {
	b.T.Helper()
	b.produce(b.client(), topic, "mark=")
	cl := b.client(kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	end := b.Cluster.PartitionInfo(topic, 0).HighWatermark - 1
	var got []string
	for {
		fs := cl.PollFetches(b.context())
		if err := fs.Err(); err != nil {
			b.T.Fatal(err)
		}
		for r := range fs.RecordsAll() {
			if string(r.Key) != "mark" {
				got = append(got, string(r.Key)+"="+string(r.Value))
			}
			if r.Offset == end {
				return got
			}
		}
	}
}

func (b bench) want(topic string, records ...string) {
	b.T.Helper()
	if got := b.committed(topic); !slices.Equal(got, records) {
		b.T.Fatalf("read_committed sees %q in %q, want %q", got, topic, records)
	}
}

func TestStartSaysWhatItIs(t *testing.T) {
	var log strings.Builder
	b := start(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "for development only") || !strings.Contains(log.String(), b.Addr()) {
		t.Errorf("log: %q", log.String())
	}
	if !strings.HasPrefix(b.Addr(), "127.0.0.1:") {
		t.Errorf("listens on %s, want loopback", b.Addr())
	}
}

func TestPortInUseNamesTheAddress(t *testing.T) {
	b := start(t, Options{})
	if _, err := Start(Options{Port: b.port()}); err == nil || !strings.Contains(err.Error(), b.Addr()) {
		t.Errorf("second broker on %s: %v", b.Addr(), err)
	}
}

func TestDataDirectorySurvivesRestart(t *testing.T) {
	o := Options{DataDir: t.TempDir(), Topics: []Topic{{Name: "in", Partitions: 3, Configs: map[string]string{"cleanup.policy": "compact"}}}}
	b := start(t, o)
	b.produce(b.client(), "in", "a=1", "b=2")
	tx := b.client(kgo.TransactionalID("t"))
	b.txn(tx, "in", kgo.TryCommit, "c=3")
	b.txn(tx, "in", kgo.TryAbort, "d=4")
	offsets := make(kadm.Offsets)
	offsets.AddOffset("in", 0, 2, -1)
	if err := kadm.NewClient(b.client()).CommitAllOffsets(b.context(), "group", offsets); err != nil {
		t.Fatal(err)
	}
	id := b.Cluster.TopicInfo("in").TopicID
	if _, err := Start(o); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second broker on the same directory: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = start(t, o)
	b.want("in", "a=1", "b=2", "c=3")
	info := b.Cluster.TopicInfo("in")
	if info.TopicID != id || *info.Configs["cleanup.policy"] != "compact" || len(b.Cluster.PartitionInfos("in")) != 3 {
		t.Errorf("topic after the restart: %+v", info)
	}
	got, err := kadm.NewClient(b.client()).FetchOffsets(b.context(), "group")
	if o, _ := got.Lookup("in", 0); err != nil || o.At != 2 {
		t.Errorf("committed offset after the restart: %+v, %v", o, err)
	}
}

// A clean restart is no crash: a transaction goes on.
func TestOpenTransactionSurvivesRestart(t *testing.T) {
	o := Options{DataDir: t.TempDir(), Topics: []Topic{{Name: "in"}}}
	b := start(t, o)
	o.Port = b.port()
	tx := b.client(kgo.TransactionalID("t"))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	b.produce(tx, "in", "a=1")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = start(t, o)
	b.produce(tx, "in", "b=2")
	if err := tx.EndTransaction(b.context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	b.want("in", "a=1", "b=2")
}

// The broker of a process that is killed with a transaction open: nothing of it is ever visible, what was committed
// stays, and what the same producer commits later is seen, also after a second crash.
func TestKillLeavesNoOpenTransaction(t *testing.T) {
	dir := t.TempDir()
	kill(t, dir, "a=1", "lost=1")
	kill(t, dir, "b=2", "lost=2")
	b := start(t, Options{DataDir: dir})
	b.want("in", "a=1", "b=2")
	b.txn(b.client(kgo.TransactionalID("t")), "in", kgo.TryCommit, "c=3")
	b.want("in", "a=1", "b=2", "c=3")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, Options{DataDir: dir}).want("in", "a=1", "b=2", "c=3")
}

func TestOpenTransactionsAreFound(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{DataDir: dir, Topics: []Topic{{Name: "in", Configs: map[string]string{"segment.bytes": "1"}}, {Name: "o-u-t"}}})
	b.txn(b.client(kgo.TransactionalID("committed")), "in", kgo.TryCommit, "a=1")
	b.txn(b.client(kgo.TransactionalID("aborted")), "in", kgo.TryAbort, "b=2")
	tx := b.client(kgo.TransactionalID("open"))
	b.txn(tx, "in", kgo.TryCommit, "c=3")
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	b.produce(tx, "in", "d=4")
	b.produce(tx, "o-u-t", "e=5")
	b.produce(b.client(), "in", "f=6")
	open, err := openTransactions(dir)
	if err != nil || len(open) != 1 {
		t.Fatalf("%+v, %v: want one", open, err)
	}
	id, epoch, _ := tx.ProducerID(b.context())
	if o := open[0]; o.ProducerID != id || o.ProducerEpoch != epoch || o.Commit || !o.Topics.Lookup("in", 0) || !o.Topics.Lookup("o-u-t", 0) || len(o.Topics) != 2 {
		t.Errorf("%+v, want producer %d epoch %d in both topics", o, id, epoch)
	}
}

// Producers outlive the broker. Their transactions were aborted with it: one that had written must not go on with half
// of it, one that had only sent offsets must not be told that they are committed.
func TestKillFencesProducers(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{DataDir: dir, Topics: []Topic{{Name: "in"}}})
	writer, reader := b.client(kgo.TransactionalID("t")), b.client(kgo.TransactionalID("s"))
	b.txn(reader, "in", kgo.TryCommit, "a=1")
	if err := b.txnOffsets(reader, "", -1, 1); err != nil {
		t.Fatal(err)
	}
	if err := writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	b.produce(writer, "in", "first-half=1")

	o := Options{DataDir: t.TempDir(), Port: b.port()}
	if err := os.CopyFS(o.DataDir, os.DirFS(dir)); err != nil { // as a kill would leave it
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = start(t, o)
	if err := writer.ProduceSync(b.context(), &kgo.Record{Topic: "in", Value: []byte("second-half=1")}).FirstErr(); err == nil {
		t.Error("the transaction goes on after the crash")
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.Commit = "s", true
	var err error
	if end.ProducerID, end.ProducerEpoch, err = reader.ProducerID(b.context()); err != nil {
		t.Fatal(err)
	}
	resp, err := end.RequestWith(b.context(), reader)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err == nil {
		t.Errorf("the broker says that offsets were committed; it has %d", b.stable("group", "in"))
	}
	b.want("in", "a=1")
}

// kill runs a broker in a process of its own, which commits one record, leaves the other in an open transaction and dies.
func kill(t *testing.T, dir, commit, open string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcessToKill$")
	cmd.Env = append(os.Environ(), "DEVBROKER_KILL="+dir, "DEVBROKER_COMMIT="+commit, "DEVBROKER_OPEN="+open)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		t.Log(lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit := new(exec.ExitError); !errors.As(cmd.Wait(), &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the broker process ended by itself: %v", exit)
	}
}

// TestProcessToKill is the process that kill starts; in a normal run it does nothing.
func TestProcessToKill(t *testing.T) {
	dir := os.Getenv("DEVBROKER_KILL")
	if dir == "" {
		return
	}
	b := start(t, Options{DataDir: dir, Topics: []Topic{{Name: "in"}}})
	tx := b.client(kgo.TransactionalID("t"))
	b.txn(tx, "in", kgo.TryCommit, os.Getenv("DEVBROKER_COMMIT"))
	b.want("in", wantBefore(os.Getenv("DEVBROKER_COMMIT"))...)
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	b.produce(tx, "in", os.Getenv("DEVBROKER_OPEN"))
	os.Stdout.WriteString("ready\n")
	select {}
}

func wantBefore(last string) []string {
	if last == "a=1" {
		return []string{last}
	}
	return []string{"a=1", last}
}
