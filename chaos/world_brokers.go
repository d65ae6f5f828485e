package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"firstseen/devbroker"
)

// brokers is a cluster whose brokers, 1 to n, can be killed and started again with what they had on disk.
type brokers interface {
	// start starts what does not run, and returns the address of every broker.
	start() ([]string, error)
	stop() error
	kill(i int) error
	restart(i int) error
}

// kafka is Apache Kafka, run by scripts/kafka.
type kafka struct {
	dir  string
	port int
	set  []string
}

const script = "scripts/kafka"

func newKafka(r *run) *kafka {
	// Controllers vote before they know any rule, so they must be super users; the workers, without a login, must not.
	login := `org.apache.kafka.common.security.plain.PlainLoginModule required username="controller" password="controller" user_controller="controller";`
	k := &kafka{dir: filepath.Join(r.Dir, "kafka"), port: r.Port, set: []string{
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "allow.everyone.if.no.acl.found=true", "super.users=User:controller",
		"listener.security.protocol.map=CONTROLLER:SASL_PLAINTEXT,PLAINTEXT:PLAINTEXT", "sasl.mechanism.controller.protocol=PLAIN",
		"listener.name.controller.sasl.enabled.mechanisms=PLAIN", "listener.name.controller.plain.sasl.jaas.config=" + login, "listener.name.controller.sasl.jaas.config=" + login}}
	if r.Timers == "short" {
		k.set = append(k.set, "broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500")
		// The mutant that does not wait for open transactions must find some that stay open, as they do by default.
		if r.Mutant != "restoreToLSO" {
			k.set = append(k.set, "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000")
		}
	}
	return k
}

func (k *kafka) start() ([]string, error) {
	args := []string{"start", "--brokers", "3", "--port", strconv.Itoa(k.port)}
	for _, s := range k.set {
		args = append(args, "--set", s)
	}
	out, err := k.script(args...)
	return strings.Split(strings.TrimSpace(out), ","), err
}

func (k *kafka) stop() error         { _, err := k.script("stop"); return err }
func (k *kafka) kill(i int) error    { _, err := k.script("kill-broker", strconv.Itoa(i)); return err }
func (k *kafka) restart(i int) error { _, err := k.script("start-broker", strconv.Itoa(i)); return err }

// script runs scripts/kafka in a process group of its own: a Ctrl-C must not cut a start in two.
func (k *kafka) script(args ...string) (string, error) {
	cmd := exec.Command(script, append(args, "--dir", k.dir)...)
	cmd.SysProcAttr = ownGroup
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", script, strings.Join(args, " "), err, said.String())
	}
	return out.String(), nil
}

// embedded is the broker of this repository, in this process. It has one node, which is closed and opened again where
// one of Kafka's is killed.
type embedded struct {
	dir    string
	port   int
	broker *devbroker.Broker
}

func (e *embedded) start() ([]string, error) {
	err := e.restart(1)
	return []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(e.port))}, err
}

func (e *embedded) stop() error {
	if e.broker == nil {
		return nil
	}
	b := e.broker
	e.broker = nil
	return b.Close()
}

func (e *embedded) kill(int) error { return e.stop() }

func (e *embedded) restart(int) (err error) {
	if err := os.MkdirAll(e.dir, 0o700); err != nil || e.broker != nil {
		return err
	}
	e.broker, err = devbroker.Start(devbroker.Options{Port: e.port, DataDir: e.dir,
		Kfake: []kfake.Opt{kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "1000"})}})
	return err
}

// whole reports whether every replica of every partition is in sync.
func (w *world) whole(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	m, err := w.adm.Metadata(ctx)
	if err != nil || len(m.Brokers) < len(w.Brokers) {
		return false
	}
	ok := true
	m.Topics.EachPartition(func(p kadm.PartitionDetail) {
		ok = ok && p.Err == nil && p.Leader >= 0 && len(p.ISR) == len(p.Replicas)
	})
	return ok
}
