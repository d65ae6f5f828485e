package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"syscall"

	"firstseen/devbroker"
)

// broker is the one that the deployment works on.
type broker struct {
	address string
	cleans  bool // it removes what was deleted and superseded, and forgets producers, so that sizes can be judged
	stop    func() error
}

// What takes Kafka hours and days by default, in minutes.
var kafkaSettings = []string{
	"log.retention.check.interval.ms=5000", "log.segment.delete.delay.ms=1000", "log.cleaner.backoff.ms=1000",
	"producer.id.expiration.ms=120000", "producer.id.expiration.check.interval.ms=10000",
}

// topicSettings are those of all of the deployment's own topics: segments small enough for the cleaner to get at them in
// a run.
var topicSettings = map[string]string{"segment.bytes": strconv.Itoa(1 << 20), "segment.ms": "30000"}

// changelogSettings are those of its compacted topics.
var changelogSettings = map[string]string{"max.compaction.lag.ms": "30000", "min.cleanable.dirty.ratio": "0.1",
	"delete.retention.ms": "180000"} // which the markers of transactions stay, too: with a day of it, they would grow for a day

func startBroker(s settings) (*broker, error) {
	if s.broker == "embedded" {
		b, err := devbroker.Start(devbroker.Options{Port: s.port, DataDir: s.path("broker")})
		if err != nil {
			return nil, err
		}
		return &broker{address: b.Addr(), stop: b.Close}, nil
	}
	args := []string{"run", "--dir", s.path("kafka"), "--port", strconv.Itoa(s.port)}
	for _, line := range kafkaSettings {
		args = append(args, "--set", line)
	}
	cmd := exec.Command("scripts/kafka", args...)
	cmd.SysProcAttr = ownGroup
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Kafka: %w", err)
	}
	end := func() error { return errors.Join(in.Close(), cmd.Wait()) } // it ends with its standard input
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		return nil, errors.Join(fmt.Errorf("start Kafka: %w", err), end(), errors.New(said.String()))
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // it says nothing more
	return &broker{address: address, cleans: true, stop: end}, nil
}

// ownGroup keeps a Ctrl-C, which is this process's, from children that are to be ended in order.
var ownGroup = &syscall.SysProcAttr{Setpgid: true}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
