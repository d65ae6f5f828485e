// Package testkafka gives tests a real Apache Kafka, booted by scripts/kafka from its published jars.
//
// Tests that need it carry the build tag kafka, so that `make test` does not; `make test-kafka` runs them. They need
// Java 17, Maven and ps, except where KAFKA_BROKERS names a cluster that runs already.
//
// No cluster outlives its test process, however that ends: scripts/kafka kills the brokers and removes their data when
// its standard input, a pipe that only this process holds, is closed.
package testkafka

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Settings shorten what a broker waits for, so that a test meets in seconds what production meets in minutes: a
// timed-out transaction is aborted within a second of its time-out, and a dead broker is noticed after three.
var Settings = []string{
	"transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
	"broker.session.timeout.ms=3000",
	"broker.heartbeat.interval.ms=500",
}

// Cluster is a running Kafka on 127.0.0.1.
type Cluster struct {
	seeds []string
	dir   string
	stdin io.Closer
	cmd   *exec.Cmd
}

var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Brokers returns the bootstrap addresses of the cluster that all tests of this process share: the one of
// KAFKA_BROKERS (comma-separated) if that is set, else one broker that is started at the first call. A test keeps to
// names of its own, see App, and leaves the cluster's settings alone.
func Brokers(tb testing.TB) []string {
	tb.Helper()
	if given := os.Getenv("KAFKA_BROKERS"); given != "" {
		return strings.Split(given, ",")
	}
	shared.once.Do(func() { shared.cluster, shared.err = start(1, Settings) })
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.cluster.seeds
}

// Start boots a cluster of its own for a test that kills brokers, with ids 1 to brokers and Settings plus the given
// KEY=VALUE lines. It is gone when the test ends. With 3 brokers or more, topics have 3 replicas of which 2 are in sync.
func Start(tb testing.TB, brokers int, settings ...string) *Cluster {
	tb.Helper()
	c, err := start(brokers, append(append([]string{}, Settings...), settings...))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		c.stdin.Close()
		if err := c.cmd.Wait(); err != nil {
			tb.Errorf("stopping Kafka: %v", err)
		}
	})
	return c
}

// Brokers returns the bootstrap address of every broker, also of those that do not run.
func (c *Cluster) Brokers() []string { return c.seeds }

// Kill ends broker i at once, as SIGKILL does, and returns when its process is gone.
func (c *Cluster) Kill(tb testing.TB, i int) {
	tb.Helper()
	c.script(tb, "kill-broker", i)
}

// Start starts broker i again, with its data, and returns when the cluster lists it as alive.
func (c *Cluster) Start(tb testing.TB, i int) {
	tb.Helper()
	c.script(tb, "start-broker", i)
}

func (c *Cluster) script(tb testing.TB, command string, i int) {
	tb.Helper()
	if out, err := exec.Command(script(), command, fmt.Sprint(i), "--dir", c.dir).CombinedOutput(); err != nil {
		tb.Fatalf("kafka %s %d: %v\n%s", command, i, err, out)
	}
}

// App returns a name no other test has, for an app or as the prefix of topics and groups, so that tests can share a
// cluster, also one that has seen them before.
func App(tb testing.TB) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, tb.Name())
	return fmt.Sprintf("%.60s-%08x", strings.TrimPrefix(name, "test"), rand.Uint32())
}

// start runs `scripts/kafka run` and returns when it has printed the bootstrap addresses.
func start(brokers int, settings []string) (*Cluster, error) {
	port, err := freePorts(2 * brokers)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: filepath.Join(os.TempDir(), fmt.Sprintf("firstseen-kafka-%d-%d", os.Getpid(), port))}
	args := []string{"run", "--dir", c.dir, "--brokers", fmt.Sprint(brokers), "--port", fmt.Sprint(port)}
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	c.cmd = exec.Command(script(), args...)
	// In a process group of its own the script outlives a Ctrl-C on this process and can still clean up.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A file without a name: `go test` waits for everyone who holds os.Stderr, and a pipe would want a goroutine.
	stderr, err := os.CreateTemp("", "")
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	os.Remove(stderr.Name())
	c.cmd.Stderr = stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting Kafka: %w", err)
	}
	var seeds string
	if _, err := fmt.Fscanln(stdout, &seeds); err != nil {
		c.stdin.Close()
		err := c.cmd.Wait()
		said, _ := io.ReadAll(io.NewSectionReader(stderr, 0, 1<<20))
		return nil, fmt.Errorf("%s did not start Kafka: %w\n%s", c.cmd.Path, err, said)
	}
	c.seeds = strings.Split(seeds, ",")
	return c, nil
}

// freePorts finds n neighbouring ports that nobody listens on, below those the kernel hands out by itself.
func freePorts(n int) (int, error) {
	for range 100 {
		port := 10000 + rand.IntN(20000)
		if allFree(port, n) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no %d neighbouring free ports", n)
}

func allFree(port, n int) bool {
	for i := range n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// script is the path of scripts/kafka. A test runs in the folder of its package, somewhere below the root.
func script() string {
	dir, _ := os.Getwd()
	for {
		path := filepath.Join(dir, "scripts", "kafka")
		if _, err := os.Stat(path); err == nil || dir == filepath.Dir(dir) {
			return path
		}
		dir = filepath.Dir(dir)
	}
}
