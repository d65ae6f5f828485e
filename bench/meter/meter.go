package meter

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"firstseen/bench/kafka"
	"firstseen/bench/process"
)

// A run is one measurement of a program.
type run struct {
	topics    kafka.Topics
	bootstrap string
	command   string
	logPath   string
	expected  string
	groups    []string
	brokerPID int
	quiet     time.Duration
	limit     time.Duration
	killAt    float64
	metrics   string
	state     string // folder that is copied to stateCopy between kill and restart
	stateCopy string

	adm        *kadm.Client
	start, end kafka.Offsets // of the inputs
	before     int64         // records that the groups had committed already
	outStart   kafka.Offsets

	prog   *process.Program
	began  time.Time
	spent  struct{ broker, machine, self float64 } // CPU seconds when it began
	killed struct {                                // the program that was killed on purpose
		cpu     float64
		peak    int64
		commits []int64 // of every group, after the kill
	}
	restarted  time.Time
	half       mark
	last, out  int64 // records done, end of the output
	lastChange time.Time
	report     Report
}

// Run is the command meter.
func Run(ctx context.Context, args []string) error {
	r, err := measure(ctx, args)
	if err != nil {
		return err
	}
	r.report.print(r.expected != "")
	return nil
}

func measure(ctx context.Context, args []string) (*run, error) {
	fs := flag.NewFlagSet("meter", flag.ExitOnError)
	r := &run{}
	r.topics.Flags(fs)
	fs.StringVar(&r.bootstrap, "bootstrap", "127.0.0.1:9092", "broker")
	fs.StringVar(&r.command, "cmd", "", "program under test")
	groups := fs.String("group", "", "consumer groups to watch, comma-separated")
	inputs := fs.String("inputs", "", "input topics, comma-separated; default: both")
	fs.StringVar(&r.expected, "expected", "expected.json", "expected alerts; empty: do not check")
	fs.StringVar(&r.logPath, "log", "meter.log", "output of the program")
	fs.IntVar(&r.brokerPID, "broker-pid", 0, "report the CPU time of this process too")
	fs.DurationVar(&r.quiet, "quiet", 3*time.Second, "the output must not grow for so long")
	fs.DurationVar(&r.limit, "timeout", 5*time.Minute, "give up after")
	fs.Float64Var(&r.killAt, "kill-at", 0, "kill -9 the program at this share of the input and start it again")
	fs.StringVar(&r.metrics, "metrics", "", "URL of the program's Prometheus metrics, to be read at the end")
	fs.StringVar(&r.state, "state", "", "state directory of the program, for -state-copy")
	fs.StringVar(&r.stateCopy, "state-copy", "", "copy the state directory to this new one between kill and restart")
	fs.StringVar(&r.report.Label, "label", "", "name of the run")
	_ = fs.Parse(args) // exits on errors
	if r.command == "" || *groups == "" {
		return nil, errors.New("meter needs -cmd and -group")
	}
	r.groups = strings.Split(*groups, ",")
	in := []string{r.topics.CloudTrail, r.topics.S3Access}
	if *inputs != "" {
		in = strings.Split(*inputs, ",")
	}
	adm, err := kafka.Admin(r.bootstrap)
	if err != nil {
		return nil, err
	}
	defer adm.Close()
	r.adm = adm
	if err := r.look(ctx, in); err != nil {
		return nil, err
	}
	if err := r.watch(ctx); err != nil {
		return nil, err
	}
	if r.expected != "" {
		if r.report.Verdict, err = kafka.Check(ctx, r.bootstrap, r.topics.Alerts, r.outStart, r.expected); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// look finds out what there is to do before the program starts.
func (r *run) look(ctx context.Context, inputs []string) (err error) {
	if r.start, err = kafka.StartOffsets(ctx, r.adm, inputs...); err != nil {
		return err
	}
	if r.end, err = kafka.EndOffsets(ctx, r.adm, inputs...); err != nil {
		return err
	}
	before, err := kafka.Committed(ctx, r.adm, r.groups, r.start, r.end)
	if err != nil {
		return err
	}
	if r.outStart, err = kafka.EndOffsets(ctx, r.adm, r.topics.Alerts); err != nil {
		return err
	}
	r.before, r.out = before.Done, r.outStart.Sum()
	if r.report.Records = r.end.Sum() - r.start.Sum() - r.before; r.report.Records == 0 {
		return errors.New("nothing to consume: the groups have committed the end already")
	}
	return nil
}

// watch runs the program until it is done.
func (r *run) watch(ctx context.Context) (err error) {
	r.spent.broker, r.spent.machine, r.spent.self = process.CPU(r.brokerPID), process.MachineCPU(), process.SelfCPU()
	if r.prog, err = process.Start(r.command, r.logPath); err != nil {
		return err
	}
	defer func() { r.prog.Kill() }()
	r.began = time.Now()
	r.lastChange = r.began
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.prog.Done():
			return fmt.Errorf("the program ended by itself, see %s", r.logPath)
		case <-tick.C:
		}
		if ended, err = r.sample(ctx); err != nil {
			return err
		}
	}
	r.report.PeakRSSMB = float64(max(r.prog.Peak(), r.killed.peak)) / 1e6
	if r.metrics != "" {
		if r.report.Counters, err = readCounters(ctx, r.metrics); err != nil {
			return err
		}
	}
	r.prog.Stop(20 * time.Second)
	r.report.rates(r.half)
	return nil
}

// sample notes how far the program has come and says whether this was the last time.
func (r *run) sample(ctx context.Context) (ended bool, err error) {
	at, err := kafka.Committed(ctx, r.adm, r.groups, r.start, r.end)
	if err != nil {
		return false, err
	}
	end, err := kafka.EndOffsets(ctx, r.adm, r.topics.Alerts)
	if err != nil {
		return false, err
	}
	done, out := at.Done-r.before, end.Sum()
	if out < r.out {
		return false, fmt.Errorf("%s has shrunk: it was made anew during the run", r.topics.Alerts)
	}
	cpu, now, rep := r.prog.Sample(), time.Now(), &r.report
	since := now.Sub(r.began)
	if done != r.last || out != r.out {
		r.lastChange = now
		rep.WallS, rep.CPUS = since.Seconds(), r.killed.cpu+cpu
		rep.BrokerCPUS = process.CPU(r.brokerPID) - r.spent.broker
		rep.OtherCores = (process.MachineCPU() - r.spent.machine - rep.CPUS - rep.BrokerCPUS - process.SelfCPU() + r.spent.self) / rep.WallS
	}
	if r.half.done == 0 && done*2 >= rep.Records {
		r.half = mark{done, since.Seconds(), r.killed.cpu + cpu}
	}
	if r.last == 0 && done > 0 {
		rep.StartupS = since.Seconds()
	}
	if !r.restarted.IsZero() {
		r.sinceRestart(at, done, now.Sub(r.restarted).Seconds())
	}
	r.last, r.out = done, out
	if r.killAt > 0 && r.restarted.IsZero() && float64(done) >= r.killAt*float64(rep.Records) {
		return false, r.killAndRestart(ctx, cpu)
	}
	if done >= rep.Records && now.Sub(r.lastChange) > r.silence() {
		rep.Finished = true
		return true, nil
	}
	if since > r.limit {
		rep.Records = done
		return true, nil
	}
	return false, nil
}

// silence is how long nothing may change before the run counts as over. A program that was killed is given time to work
// again: it may be that nothing of the input is left to commit, but much behind it.
func (r *run) silence() time.Duration {
	if !r.restarted.IsZero() && r.report.RestartAllS == 0 {
		return max(r.quiet, 15*time.Second)
	}
	return r.quiet
}

func (r *run) killAndRestart(ctx context.Context, cpu float64) error {
	r.prog.Kill()
	r.killed.cpu, r.killed.peak = cpu, r.prog.Peak()
	at, err := r.settled(ctx)
	if err != nil {
		return err
	}
	r.last, r.killed.commits = at.Done-r.before, at.Groups
	r.report.KilledAt = float64(r.last) / float64(r.report.Records)
	if r.stateCopy != "" {
		if err := os.CopyFS(r.stateCopy, os.DirFS(r.state)); err != nil {
			return err
		}
	}
	r.restarted = time.Now()
	r.lastChange = r.restarted
	prog, err := process.Start(r.command, r.logPath)
	if err != nil {
		return err
	}
	r.prog = prog
	return nil
}

// settled returns what the groups have committed once it changes no more: the broker may still be at work on the last thing
// that the dead one asked for, and that is no commit of the new one.
func (r *run) settled(ctx context.Context) (kafka.Progress, error) {
	for last := (kafka.Progress{}); ; time.Sleep(100 * time.Millisecond) {
		at, err := kafka.Committed(ctx, r.adm, r.groups, r.start, r.end)
		if err != nil || slices.Equal(at.Groups, last.Groups) {
			return at, err
		}
		last = at
	}
}

// sinceRestart notes when commits are seen again: of the input, and of every group.
func (r *run) sinceRestart(at kafka.Progress, done int64, seconds float64) {
	if r.report.RestartS == 0 && done > r.last {
		r.report.RestartS = seconds
	}
	for i, n := range at.Groups {
		if n <= r.killed.commits[i] {
			return
		}
	}
	if r.report.RestartAllS == 0 {
		r.report.RestartAllS = seconds
	}
}
