package processor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// CheckResult is what a check came to.
type CheckResult string

// The results of checks.
const (
	CheckOK   CheckResult = "ok"
	CheckWarn CheckResult = "warn" // it works, but a person should know
	CheckFail CheckResult = "FAIL" // a worker would not start, or a partition waits
)

// Check is one thing that was looked at.
type Check struct {
	Result     CheckResult    `json:"result"`
	What       string         `json:"check"`
	On         string         `json:"on"`
	Says       string         `json:"says"`
	Next       string         `json:"next,omitempty"`       // what to do
	Partitions []PartitionLag `json:"partitions,omitempty"` // of a stage
}

// PartitionLag is how far a stage's group is in one partition of its input, in offsets.
type PartitionLag struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // -1: none
	Start     int64  `json:"start"`
	Stable    int64  `json:"stable"` // up to which readers see records
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"` // transaction markers count
}

// doctor is one examination.
type doctor struct {
	*Lookup
	deployment *Deployment          // nil: there is none yet
	written    map[string]time.Time // of the records of control, by key
	details    kadm.TopicDetails    // of sources and own topics
	starts     kadm.ListedOffsets
	stable     kadm.ListedOffsets
	ends       kadm.ListedOffsets
	groups     map[Stage]kadm.DescribedGroup
	committed  map[Stage]kadm.Offsets // nil: not known
	checks     []Check
}

// Examine looks at a deployment from outside: it writes nothing, joins nothing and changes nothing. It always comes to
// an end; what could not be looked at is a check of its own. The error is about cfg.
func Examine(ctx context.Context, cfg Config) ([]Check, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(cfg.ClientOptions(kgo.MetadataMinAge(MetadataAge))...)
	if err != nil {
		return nil, err
	}
	x := &doctor{Lookup: &Lookup{cfg: cfg, cl: cl, adm: kadm.NewClient(cl), notes: &control{topic: cfg.topic(topicControl), values: map[string][]byte{}}},
		written: map[string]time.Time{}, groups: map[Stage]kadm.DescribedGroup{}, committed: map[Stage]kadm.Offsets{}}
	defer cl.Close()
	x.disk()
	for _, look := range []func(context.Context) bool{x.brokers, x.control, x.topics, x.permissions, x.offsets, x.stages, x.transactions,
		x.positions, x.noted, x.learning, x.instances, x.clock} {
		step, cancel := context.WithTimeout(ctx, time.Minute)
		more := look(step)
		cancel()
		if !more || ctx.Err() != nil {
			break
		}
	}
	return x.checks, ctx.Err()
}

func (x *doctor) say(r CheckResult, what, on, next, format string, args ...any) {
	x.checks = append(x.checks, Check{Result: r, What: what, On: on, Says: fmt.Sprintf(format, args...), Next: next})
}

func (x *doctor) ok(what, on, format string, args ...any) {
	x.say(CheckOK, what, on, "", format, args...)
}

// unchecked says that something could not be looked at. What this program is not allowed, a worker with the same login
// is not allowed either; the cluster's own things it does not need.
func (x *doctor) unchecked(what, on string, err error) {
	switch {
	case isUnauthorized(err):
		x.say(CheckFail, what, on, x.cfg.allow(""), "not allowed: %s", firstLine(err))
	default:
		x.say(CheckWarn, what, on, "", "could not be checked: %s", firstLine(err))
	}
}

func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// control reads what the deployment has written down.
func (x *doctor) control(ctx context.Context) bool {
	err := x.readControl(ctx)
	switch {
	case errors.Is(err, ErrGuarantee) && x.notes.get(keyDeployment) != nil:
		x.say(CheckFail, "control", x.notes.topic, "upgrade this program", "%s", firstLine(err))
		return true
	case errors.Is(err, ErrNoTopic), errors.Is(err, ErrGuarantee):
		for _, s := range Stages {
			if offsets, err := x.groupOffsets(ctx, s); err == nil && len(offsets) > 0 {
				x.say(CheckFail, "control", x.notes.topic, "start with another app name, or delete the groups "+x.cfg.App+".* to begin anew",
					"group %s has committed offsets, but there is no record of this deployment: the topic was emptied or deleted", x.cfg.group(s))
				return true
			}
		}
		x.say(CheckWarn, "control", x.notes.topic, "firstseen run -c FILE", "no worker of app %q has run here yet, or the app has another name", x.cfg.App)
		return true
	case err != nil:
		x.unchecked("control", x.notes.topic, err)
		return true
	}
	x.deployment, _ = x.notes.deployment() // readControl has looked at it
	err = x.Read(ctx, x.notes.topic, nil, func(r *kgo.Record) bool {
		x.written[string(r.Key)] = r.Timestamp
		return true
	})
	if err != nil {
		x.unchecked("control", x.notes.topic, err)
		return true
	}
	x.ok("control", x.notes.topic, "the deployment has %d partitions and the sources %s", x.deployment.Partitions, list(x.deployment.Sources))
	return true
}

// inputs are the topics that a stage reads.
func (x *doctor) inputs(s Stage) []string {
	if s == StageIngest {
		return x.cfg.sourceTopics()
	}
	return []string{x.InputTopic(s)}
}

// names are the sources and the deployment's own topics.
func (x *doctor) names() []string {
	names := x.cfg.sourceTopics()
	for _, p := range x.cfg.Plan() {
		names = append(names, p.Name)
	}
	return names
}

// partitions of a topic, in order.
func (x *doctor) partitions(topic string) (all []int32) {
	for p := range x.details[topic].Partitions {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// offsets reads how long the topics are and how far the groups. Groups first: what they have committed is then in the
// topics.
func (x *doctor) offsets(ctx context.Context) bool {
	for _, s := range Stages {
		group := x.cfg.group(s)
		described, err := x.adm.DescribeGroups(ctx, group)
		if err == nil {
			err = described[group].Err
		}
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			x.unchecked("group", group, err)
		}
		x.groups[s] = described[group]
		if x.committed[s], err = x.groupOffsets(ctx, s); errors.Is(err, context.DeadlineExceeded) {
			// An open transaction has offsets with it; those before it are better than none.
			x.say(CheckWarn, "group", group, "", "a transaction on its offsets is open; shown is what was committed before it")
			var before kadm.OffsetResponses
			before, err = x.adm.FetchOffsets(ctx, group)
			x.committed[s] = before.Offsets()
		}
		if err != nil {
			x.unchecked("group", group, err)
			delete(x.committed, s)
		}
	}
	var err error
	names := slices.Collect(func(yield func(string) bool) {
		for _, n := range x.names() {
			if d, ok := x.details[n]; ok && d.Err == nil && !yield(n) {
				return
			}
		}
	})
	if len(names) == 0 {
		return true
	}
	if x.starts, err = x.adm.ListStartOffsets(ctx, names...); err == nil {
		if x.stable, err = x.adm.ListCommittedOffsets(ctx, names...); err == nil {
			x.ends, err = x.adm.ListEndOffsets(ctx, names...)
		}
	}
	if err != nil {
		x.unchecked("offsets", "all topics", err)
	}
	for _, s := range []Stage{StageDetect, StageGroup} {
		for p, start := range x.starts[x.cfg.ChangelogTopic(s)] {
			if start.Err == nil && start.Offset > 0 { // compaction does not move the beginning
				x.say(CheckWarn, "topics", topicPartition{start.Topic, p}.String(), "keep the state directories of the workers, and find out who deletes records: see firstseen state verify",
					"it begins at offset %d: what was deleted before it is forgotten when a state is restored from it", start.Offset)
			}
		}
	}
	return true
}

// groupOffsets are a stage's stable committed offsets. It does not wait long for a transaction to end.
func (x *doctor) groupOffsets(ctx context.Context, s Stage) (kadm.Offsets, error) {
	wait, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	offsets, err := stableOffsets(wait, x.adm, x.cfg.group(s))
	if err == nil && offsets == nil {
		offsets = kadm.Offsets{}
	}
	return offsets, err
}

// place is where a group is in a partition; ok is false where the brokers did not say.
func (x *doctor) place(s Stage, topic string, partition int32) (l PartitionLag, ok bool) {
	start, ok1 := x.starts.Lookup(topic, partition)
	stable, ok2 := x.stable.Lookup(topic, partition)
	end, ok3 := x.ends.Lookup(topic, partition)
	offsets, ok4 := x.committed[s]
	if !ok1 || !ok2 || !ok3 || !ok4 || start.Err != nil || stable.Err != nil || end.Err != nil {
		return l, false
	}
	l = PartitionLag{Topic: topic, Partition: partition, Committed: -1, Start: start.Offset, Stable: stable.Offset, End: end.Offset}
	if at, ok := offsets.Lookup(topic, partition); ok {
		l.Committed = at.At
	}
	l.Lag = max(0, l.End-max(l.Committed, l.Start))
	return l, true
}

// note is what ingest noted of a source partition in control; -1: nothing, or of another topic of this name.
func (x *doctor) note(topic string, partition int32) int64 {
	var n offsetNote
	v := x.notes.get(sourceKey(prefixOffset, topic, partition))
	if v == nil || json.Unmarshal(v, &n) != nil || n.TopicID != x.details[topic].ID.String() {
		return -1
	}
	return n.Next
}
