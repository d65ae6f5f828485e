package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"firstseen/bench/gen"
	"firstseen/bench/kafka"
	"firstseen/bench/meter"
)

// A site is a Kafka with the inputs on it, and a folder for all that the runs write.
type site struct {
	root      string // of the repository
	dir       string
	keep      bool // the folder with Kafka's data
	results   string
	bootstrap string
	broker    int // process
	adm       *kadm.Client
	stamp     string // tells the runs of this comparison from those of earlier ones
	runs      int
}

// open starts Kafka in the folder, or in a new one that is removed by close.
func open(ctx context.Context, root, dir string, port int, results string) (s *site, err error) {
	s = &site{keep: dir != "", results: results, stamp: strconv.FormatInt(time.Now().Unix(), 36)}
	if s.root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	if s.keep {
		if s.dir, err = filepath.Abs(dir); err == nil {
			err = os.MkdirAll(s.dir, 0o755)
		}
	} else {
		s.dir, err = os.MkdirTemp("", "firstseen-bench-")
	}
	if err != nil {
		return nil, err
	}
	opened := s // s is nil where an error is returned
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	out, err := command(ctx, s.root, "scripts/kafka", "start", "--dir", s.path("kafka"), "--port", strconv.Itoa(port))
	if err != nil {
		return nil, err
	}
	s.bootstrap = strings.TrimSpace(out)
	pid, err := os.ReadFile(s.path("kafka/1.pid"))
	if err != nil {
		return nil, err
	}
	if s.broker, err = strconv.Atoi(strings.TrimSpace(string(pid))); err != nil {
		return nil, err
	}
	s.adm, err = kafka.Admin(s.bootstrap)
	return s, err
}

// close stops Kafka. It keeps the folder if it was named.
func (s *site) close() {
	if s.adm != nil {
		s.adm.Close()
	}
	if _, err := command(context.Background(), s.root, "scripts/kafka", "stop", "--dir", s.path("kafka")); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if !s.keep {
		_ = os.RemoveAll(s.dir) // in the folder for such things anyway
	}
}

// load fills the inputs, unless they hold just these records from an earlier session.
func (s *site) load(ctx context.Context, cfg gen.Config) error {
	// A file that is not there, or half written, is no reason to stop.
	if e, err := gen.ReadExpected(s.path("expected.json")); err == nil && e.Config == cfg {
		end, err := kafka.EndOffsets(ctx, s.adm, "cloudtrail", "s3access")
		if err == nil && end.Sum() == int64(cfg.CloudTrail+cfg.S3Access) {
			fmt.Println("the inputs are loaded already")
			return nil
		}
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	out, err := s.bench(ctx, "load", "-expected", s.path("expected.json"), "-partitions", strconv.Itoa(partitions),
		"-cloudtrail-records", strconv.Itoa(cfg.CloudTrail), "-s3-records", strconv.Itoa(cfg.S3Access), "-terms", strconv.Itoa(cfg.Terms),
		"-pool", strconv.Itoa(cfg.Pool), "-days", strconv.Itoa(cfg.Days), "-inside", number(cfg.Inside),
		"-candidates", number(cfg.Candidates), "-scanner", number(cfg.Scanner), "-hot-bucket", number(cfg.HotBucket))
	if err != nil {
		return err
	}
	fmt.Print(out)
	if e, err := gen.ReadExpected(s.path("expected.json")); err != nil || e.Config != cfg {
		return errors.Join(fmt.Errorf("the loader has made other records than those that were wanted: %+v", cfg), err)
	}
	return nil
}

// bench runs a command of this program in a process of its own, so that nothing of this one counts as its.
func (s *site) bench(ctx context.Context, name string, args ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{name, "-bootstrap", s.bootstrap}, args...)...)
	// It ends the program under test before it ends.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("bench %s: %w", name, err)
	}
	return string(out), nil
}

// measure runs a command whose first line is its report, and keeps the line.
func (s *site) measure(ctx context.Context, report any, name string, args ...string) error {
	out, err := s.bench(ctx, name, append(args, "-broker-pid", strconv.Itoa(s.broker))...)
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(out, "\n")
	if s.results != "" {
		f, err := os.OpenFile(s.results, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(f, line)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return json.Unmarshal([]byte(line), report)
}

// fresh is a name that no run had before. No name is the beginning of another.
func (s *site) fresh() string {
	s.runs++
	return fmt.Sprintf("b%s-%03d", s.stamp, s.runs)
}

// meter measures a contender from nothing to the end of the inputs.
func (s *site) meter(ctx context.Context, c contender, label string, args ...string) (r ran, err error) {
	app := s.fresh()
	j, err := c.prepare(ctx, s, app, kafka.Topics{CloudTrail: "cloudtrail", S3Access: "s3access"})
	if err != nil {
		return r, err
	}
	log, killed := s.path(app+".log"), s.path(app+".killed")
	args = append([]string{"-label", label, "-group", j.groups, "-out-topic", j.alerts, "-cmd", j.command, "-metrics", j.metrics,
		"-expected", s.path("expected.json"), "-log", log, "-timeout", "15m"}, args...)
	looks := slices.Contains(args, "-kill-at") && j.verify != ""
	if looks {
		args = append(args, "-state", j.state, "-state-copy", killed)
	}
	if err = s.measure(ctx, &r.Report, "meter", args...); err != nil {
		return r, errors.Join(fmt.Errorf("%s: %w", label, err), tail(log))
	}
	if looks {
		if r.terms, err = s.terms(ctx, j.verify, killed); err != nil {
			return r, err
		}
	}
	r.topics, err = s.topicBytes(ctx, app)
	return r, errors.Join(err, s.forget(ctx, app, j))
}

// ran is what is known of a run when it is over.
type ran struct {
	meter.Report
	topics map[string]int64 // bytes on the broker's disk, of the topics of the app by the rest of their names, and of the inputs
	terms  int              // in the state of the program that was killed
}

// latency measures a contender at a fixed rate on inputs of its own.
func (s *site) latency(ctx context.Context, c contender, label string, args ...string) (r meter.LatencyReport, err error) {
	app := s.fresh()
	in := kafka.Topics{CloudTrail: app + "-cloudtrail", S3Access: app + "-s3access"}
	for _, t := range []string{in.CloudTrail, in.S3Access} {
		if err := kafka.Recreate(ctx, s.adm, t, partitions); err != nil {
			return r, err
		}
	}
	j, err := c.prepare(ctx, s, app, in)
	if err != nil {
		return r, err
	}
	log := s.path(app + ".log")
	err = s.measure(ctx, &r, "latency", append([]string{"-label", label, "-cloudtrail-topic", in.CloudTrail, "-out-topic", j.alerts,
		"-cmd", j.command, "-metrics", j.metrics, "-log", log}, args...)...)
	if err != nil {
		return r, errors.Join(fmt.Errorf("%s: %w", label, err), tail(log))
	}
	return r, s.forget(ctx, app, j)
}

// forget removes what a run left. Its groups are empty soon, and Kafka drops those in time.
func (s *site) forget(ctx context.Context, app string, j job) error {
	return errors.Join(os.RemoveAll(j.state), kafka.Forget(ctx, s.adm, nil, app))
}

// topicBytes is the size on disk of the inputs and of the topics of an app.
func (s *site) topicBytes(ctx context.Context, app string) (map[string]int64, error) {
	dirs, err := s.adm.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return nil, err
	}
	bytes := map[string]int64{}
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if name, ok := strings.CutPrefix(p.Topic, app); ok {
				bytes[name] += p.Size
			} else if p.Topic == "cloudtrail" || p.Topic == "s3access" {
				bytes[p.Topic] += p.Size
			}
		})
	})
	return bytes, nil
}

// changelog adds up the changelogs.
func (r *ran) changelog() (bytes int64) {
	for name, n := range r.topics {
		if strings.HasSuffix(name, "changelog") {
			bytes += n
		}
	}
	return bytes
}

// terms has the worker compare the state with the changelogs, and counts the terms that it finds.
func (s *site) terms(ctx context.Context, verify, dir string) (int, error) {
	out, err := command(ctx, s.dir, "sh", "-c", verify+" "+dir)
	return termsIn(out), errors.Join(err, os.RemoveAll(dir))
}

var verified = regexp.MustCompile(`(?m)^ok +detect/\d+ +(\d+) keys equal.*?(?:; (\d+) have been written again.*)?$`)

// termsIn reads what state verify says of the stage that remembers terms.
func termsIn(out string) (n int) {
	for _, line := range verified.FindAllStringSubmatch(out, -1) {
		for _, keys := range line[1:] {
			k, _ := strconv.Atoi(keys) // digits, or nothing
			n += k
		}
	}
	return n
}

// tail is the end of a program's output, as an error.
func tail(log string) error {
	b, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	return fmt.Errorf("its last words: %s", b[max(0, len(b)-2000):])
}
