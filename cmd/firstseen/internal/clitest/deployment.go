package clitest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/devbroker"
)

// Deployment is a deployment of one worker.
type Deployment struct {
	T      *testing.T
	Client *kgo.Client
	Config string
	Rules  string // directory
	State  string
	Stop   func()
}

// shadowRule has its alerts suppressed, each match one.
const shadowRule = "id: shadowed\nname: Deletions\ndataset: aws.cloudtrail\nquery: 'event.provider: s3.amazonaws.com and event.action: DeleteObject'\nseverity: low\nmode: shadow\n"

// Deploy runs a worker, with the run command of these commands, on an embedded broker until the test stops it, or ends.
// What before writes is there when the deployment begins.
func Deploy(t *testing.T, commands any, before func(*Deployment)) *Deployment {
	t.Helper()
	broker, err := devbroker.Start(devbroker.Options{Topics: []devbroker.Topic{{Name: "cloudtrail", Partitions: 2}, {Name: "s3access", Partitions: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	a := &Deployment{T: t, State: filepath.Join(t.TempDir(), "state"), Rules: filepath.Dir(Write(t, "shadow.yaml", shadowRule))}
	http := FreeAddress(t)
	a.Config = Write(t, "firstseen.yml", fmt.Sprintf("app: ask\ninstance: one\nbrokers: [%q]\nsources: [{topic: cloudtrail}, {topic: s3access}]\npartitions: 4\nstate: {dir: %q}\nhttp: {listen: %q}\nrules: {paths: [%q]}\n",
		broker.Addr(), a.State, http, a.Rules))
	if a.Client, err = kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Client.Close)
	before(a)
	ctx, cancel := context.WithCancel(context.Background())
	var out Buffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(commands, &cli.App{Ctx: ctx, Stdout: &out, Stderr: &out}, []string{"run", "-c", a.Config})
	}()
	ended := false
	a.Stop = func() {
		if cancel(); !ended {
			ended = true
			if got := <-code; got != cli.ExitOK {
				t.Errorf("run: exit code %d\n%s", got, out.String())
			}
		}
	}
	t.Cleanup(a.Stop)
	AwaitHTTP(t, "http://"+http+"/readyz", "ready")
	return a
}

// Add writes a message to partition 0 and returns its place.
func (a *Deployment) Add(topic, value string) string {
	a.T.Helper()
	r := &kgo.Record{Topic: topic, Value: []byte(value)}
	if err := a.Client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		a.T.Fatal(err)
	}
	return fmt.Sprintf("%s/0/%d", topic, r.Offset)
}

// AddAt writes a message to partition 0 of cloudtrail, with a Kafka timestamp, and returns its place.
func (a *Deployment) AddAt(at time.Time, value string) string {
	a.T.Helper()
	r := &kgo.Record{Topic: "cloudtrail", Value: []byte(value), Timestamp: at}
	if err := a.Client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		a.T.Fatal(err)
	}
	return fmt.Sprintf("cloudtrail/0/%d", r.Offset)
}

// FreeAddress returns an address on which nobody listens.
func FreeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// AwaitHTTP waits until a page answers 200 and contains part.
func AwaitHTTP(t *testing.T, url, part string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if last = string(body); err == nil && resp.StatusCode == http.StatusOK && strings.Contains(last, part) {
			return
		}
	}
	t.Fatalf("%s has no %q:\n%s", url, part, last)
}

// Broker starts an embedded broker without topics and returns its address.
func Broker(t *testing.T) string {
	t.Helper()
	broker, err := devbroker.Start(devbroker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	return broker.Addr()
}
