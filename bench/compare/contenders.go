package compare

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"firstseen/bench/kafka"
)

// A contender is a program under comparison.
type contender struct {
	name string
	// prepare does what must be done before a first start under the name app.
	prepare func(ctx context.Context, s *site, app string, in kafka.Topics) (job, error)
}

// A job is a contender that is ready to start. The names of all its topics begin with the app's.
type job struct {
	command string
	groups  string // comma-separated
	alerts  string // topic
	state   string // directory
	metrics string // URL; empty: it has none
	verify  string // command that lists what the state holds, but for the directory; empty: there is none
}

// productConfig is the default configuration but for the learning, since all alerts are wanted, and the cap on alerts.
const productConfig = `app: %s
instance: one
brokers: [%s]
learning: none
sources: [{topic: %s}, {topic: %s}]
state: {dir: %s}
rules: {set: [aws-s3-unauthenticated-bucket-access-by-rare-source.max_alerts=off]}
http: {listen: %s}
%s
`

// product is firstseen; env are settings such as GOMEMLIMIT=256MiB, or nothing, and so are further lines of its configuration.
func product(name, bin, env string, lines ...string) contender {
	return contender{name, func(ctx context.Context, s *site, app string, in kafka.Topics) (job, error) {
		j := job{groups: fmt.Sprintf("%[1]s.ingest,%[1]s.detect,%[1]s.group", app), alerts: app + ".alerts", state: s.path(app)}
		file := s.path(app + ".yml")
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return job{}, err
		}
		address := l.Addr().String()
		_ = l.Close() // the port is free, and most likely stays so
		config := fmt.Sprintf(productConfig, app, s.bootstrap, in.CloudTrail, in.S3Access, j.state, address, strings.Join(lines, "\n"))
		if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
			return job{}, err
		}
		j.command, j.metrics = fmt.Sprintf("env %s %s run -c %s", env, bin, file), "http://"+address+"/metrics"
		j.verify = fmt.Sprintf("%s state verify -c %s --state", bin, file)
		_, err = command(ctx, s.dir, bin, "topics", "create", "-c", file)
		return j, err
	}}
}

// peer is the Kafka Streams program. It makes its internal topics itself.
func peer(jar string) contender {
	return contender{peerName, func(ctx context.Context, s *site, app string, in kafka.Topics) (job, error) {
		j := job{groups: app, alerts: app + "-alerts", state: s.path(app)}
		// A static member: after a crash it need not wait for the session of the dead one to end.
		j.command = fmt.Sprintf("java -Xms1g -Xmx1g -XX:+UseParallelGC -jar %s bootstrap.servers=%s application.id=%s state.dir=%s"+
			" input.cloudtrail=%s input.s3access=%s output.alerts=%s consumer.group.instance.id=worker-1",
			jar, s.bootstrap, app, j.state, in.CloudTrail, in.S3Access, j.alerts)
		return j, kafka.Recreate(ctx, s.adm, j.alerts, partitions)
	}}
}

const (
	productName = "firstseen"
	limitedName = "firstseen, GOMEMLIMIT=256MiB"
	peerName    = "Kafka Streams"
	rawName     = "raw, full scan"
	partitions  = 8
)

// path names a file or folder of the site.
func (s *site) path(name string) string { return filepath.Join(s.dir, name) }
