package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/processor/disk"
)

// brokers looks for all brokers and their versions. Without one there is nothing more to look at.
func (x *doctor) brokers(ctx context.Context) bool {
	reach, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := x.cl.Ping(reach); err != nil {
		x.say(CheckFail, "brokers", "the configured addresses", "check brokers, tls and sasl in the configuration", "no broker answers: %s", firstLine(err))
		return false
	}
	meta, err := x.adm.BrokerMetadata(ctx)
	if err != nil {
		x.unchecked("brokers", "the cluster", err)
		return true
	}
	versions, err := x.adm.ApiVersions(reach)
	if err != nil {
		x.unchecked("brokers", "the cluster", err)
		return true
	}
	for _, b := range meta.Brokers {
		on := fmt.Sprintf("broker %d (%s:%d)", b.NodeID, b.Host, b.Port)
		v, ok := versions[b.NodeID]
		if !ok || v.Err != nil {
			x.say(CheckFail, "brokers", on, "workers must reach every broker under the address it advertises: check the network and advertised.listeners",
				"it does not answer: %v", v.Err)
			continue
		}
		verifies, _ := v.KeyMaxVersion(int16(kmsg.AddPartitionsToTxn))
		ends, _ := v.KeyMaxVersion(int16(kmsg.EndTxn))
		x.checks = append(x.checks, versionCheck(on, v.VersionGuess(), verifies, ends))
	}
	return true
}

// versionCheck judges a broker by what it can do about a dead transaction: verify that a partition was added to it, which
// came with version 4 of AddPartitionsToTxn in Kafka 3.6, and tell late records of the last transaction from those of the
// next, with version 5 of EndTxn in 4.0 (KIP-890). guess is the client's, and only a name.
func versionCheck(on, guess string, addPartitions, endTxn int16) Check {
	c := Check{Result: CheckOK, What: "version", On: on, Says: "Kafka 4.0 or later (" + guess + ")"}
	switch {
	case addPartitions < 4:
		c.Result, c.Says, c.Next = CheckFail, "older than Kafka 3.6 ("+guess+"): transactions can hang for ever there", "upgrade the brokers to 4.0, at least to 3.6"
	case endTxn < 5:
		c.Result, c.Says, c.Next = CheckWarn, "older than Kafka 4.0 ("+guess+"): it works, but late records of a dead transaction can get into the next one", "upgrade the brokers to 4.0"
	}
	return c
}

// topics compares the sources and the deployment's own topics with the plan and with what control has of them.
func (x *doctor) topics(ctx context.Context) bool {
	plan := x.cfg.Plan() // with the deployment's partitions, once control is read
	for _, name := range x.cfg.sourceTopics() {
		plan = append(plan, TopicPlan{Name: name})
	}
	x.details = kadm.TopicDetails{}
	var states []TopicState
	for _, p := range plan { // one by one: a topic that this login may not see would hide the others
		details, err := x.adm.ListTopics(ctx, p.Name)
		var state []TopicState
		if err == nil {
			x.details[p.Name] = details[p.Name]
			state, err = CheckTopics(ctx, x.adm, []TopicPlan{p})
		}
		if err != nil {
			x.unchecked("topics", p.Name, err)
			continue
		}
		states = append(states, state...)
	}
	if x.deployment != nil {
		if !slices.Equal(slices.Sorted(maps.Keys(x.deployment.Sources)), slices.Sorted(slices.Values(x.cfg.sourceTopics()))) {
			x.say(CheckFail, "topics", "sources", "correct sources, or start the workers once with --change-sources",
				"the deployment reads %s, this configuration names %s", list(x.deployment.Sources), strings.Join(x.cfg.sourceTopics(), ", "))
		}
	}
	for _, s := range states {
		before := len(x.checks)
		x.topic(&s, s.Plan.Configs == nil)
		if len(x.checks) == before {
			x.ok("topics", s.Plan.Name, "as planned, %d partitions", s.Have)
		}
	}
	return true
}

// topic says what is wrong with one topic; nothing if all is well.
func (x *doctor) topic(s *TopicState, source bool) {
	name, known := s.Plan.Name, ""
	if x.deployment != nil {
		known = x.deployment.TopicIDs[name]
		if source {
			known = x.deployment.Sources[name]
		}
	}
	another := "what it held is lost: start a deployment with another app name"
	switch {
	case s.Missing && source:
		x.say(CheckFail, "topics", name, "create it, or correct sources in the configuration", "the source topic is missing")
		return
	case s.Missing && known != "":
		x.say(CheckFail, "topics", name, another, "it is missing, though the deployment had it")
		return
	case s.Missing:
		x.say(CheckWarn, "topics", name, "firstseen topics create -c FILE, or let the first worker create it", "it is missing")
		return
	case known != "" && known != s.ID.String() && source:
		x.say(CheckFail, "topics", name, "if the new topic is meant, start the workers once with --change-sources",
			"it was deleted and created again (its id is %s, the deployment knows %s): nothing is read from it", s.ID, known)
	case known != "" && known != s.ID.String():
		x.say(CheckFail, "topics", name, another, "it was deleted and created again (its id is %s, the deployment knows %s)", s.ID, known)
	}
	for r, texts := range map[CheckResult][]string{CheckFail: s.Problems, CheckWarn: s.Warnings} {
		for _, text := range texts {
			says, next, _ := strings.Cut(text, "; ")
			x.say(r, "topics", name, strings.TrimPrefix(next, "run: "), "%s", strings.TrimPrefix(says, "topic "+name+" "))
		}
	}
	x.replicas(s)
}

// replicas looks whether acknowledged records are safe and new ones can be written.
func (x *doctor) replicas(s *TopicState) {
	need, ok := s.number("min.insync.replicas")
	if !ok {
		need = 1
	}
	for _, p := range x.details[s.Plan.Name].Partitions.Sorted() {
		on := fmt.Sprintf("%s/%d", s.Plan.Name, p.Partition)
		switch {
		case p.Leader < 0:
			x.say(CheckFail, "replicas", on, "bring its brokers back", "it has no leader: nothing can be read or written")
		case len(p.Replicas) < need:
			x.say(CheckWarn, "replicas", on, fmt.Sprintf("kafka-configs.sh --bootstrap-server BROKER --alter --topic %s --add-config min.insync.replicas=%d", s.Plan.Name, max(1, len(p.Replicas)-1)),
				"min.insync.replicas is %d, but it has %d replicas: brokers of older versions write nothing then", need, len(p.Replicas))
		case len(p.ISR) < need:
			x.say(CheckFail, "replicas", on, "bring the missing brokers back", "%d replicas are in sync, min.insync.replicas is %d: nothing can be written", len(p.ISR), need)
		case len(p.ISR) < len(p.Replicas):
			x.say(CheckWarn, "replicas", on, "bring the missing brokers back", "%d of %d replicas are in sync", len(p.ISR), len(p.Replicas))
		}
	}
}

// permissions asks the brokers what this login may do. That of transactional ids can only be tried, by writing.
func (x *doctor) permissions(ctx context.Context) bool {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	sources := x.cfg.sourceTopics()
	for _, name := range x.names() {
		if d, ok := x.details[name]; ok && errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	if len(req.Topics) == 0 { // this would ask for all there are
		return true
	}
	resp, err := req.RequestWith(ctx, x.cl)
	if err != nil {
		x.unchecked("permissions", "topics", err)
		return true
	}
	allowed, missing := 0, 0
	for _, t := range resp.Topics {
		name, have := *t.Topic, kadm.DecodeACLOperations(t.AuthorizedOperations)
		want := []kadm.ACLOperation{kadm.OpRead, kadm.OpDescribe, kadm.OpDescribeConfigs}
		if !slices.Contains(sources, name) {
			want = append(want, kadm.OpWrite)
		}
		if name == x.cfg.topic(topicCandidates) || name == x.cfg.topic(topicFindings) {
			want = append(want, kadm.OpDelete) // of consumed records
		}
		if kerr.ErrorForCode(t.ErrorCode) == nil && len(have) == 0 {
			continue // the brokers do not tell
		}
		allowed++
		if lack := without(want, have); len(lack) > 0 {
			missing++
			x.say(CheckFail, "permissions", name, x.cfg.allow(name), "this login lacks %s", strings.Join(lack, ", "))
		}
	}
	switch {
	case allowed == 0:
		x.say(CheckWarn, "permissions", "topics", "", "could not be checked: the brokers do not tell")
	case missing == 0:
		x.ok("permissions", "topics", "this login may read and write what it must, on %d topics", allowed)
	}
	x.transactionalIDs(ctx)
	return true
}

func without(want, have []kadm.ACLOperation) (lack []string) {
	for _, op := range want {
		if !slices.Contains(have, op) {
			lack = append(lack, strings.ToUpper(op.String()))
		}
	}
	return lack
}

func (x *doctor) transactionalIDs(ctx context.Context) {
	id := x.cfg.laneName(StageIngest, 0)
	described, err := x.adm.DescribeTransactions(ctx, id)
	if err == nil {
		err = described[id].Err
	}
	on := "transactional ids " + x.cfg.App + "-*"
	if err != nil && !errors.Is(err, kerr.TransactionalIDNotFound) {
		x.unchecked("permissions", on, err)
		return
	}
	x.ok("permissions", on, "this login may describe them; whether it may write with them is not tried, as this only reads")
}

// disk looks at the space for the state directory on this machine.
func (x *doctor) disk() {
	dir := x.cfg.StateDir
	if dir == "" {
		return
	}
	on := dir
	for {
		_, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		if err == nil || parent == dir {
			break
		}
		dir = parent // the worker will make it
	}
	usage, err := vfs.Default.GetDiskUsage(dir)
	if err != nil {
		x.unchecked("disk", on, err)
		return
	}
	x.checks = append(x.checks, diskCheck(on, usage, x.cfg.StateMinFree))
}

// diskCheck judges the space for the state directory as the workers do.
func diskCheck(dir string, usage vfs.DiskUsage, minFree int64) Check {
	const gib = 1 << 30
	c := Check{Result: CheckOK, What: "disk", On: dir, Says: fmt.Sprintf("%.1f GiB of %.1f GiB are free on this machine", float64(usage.AvailBytes)/gib, float64(usage.TotalBytes)/gib)}
	need := disk.Reserve(minFree, usage.TotalBytes)
	switch {
	case usage.AvailBytes < need:
		c.Result, c.Says = CheckFail, c.Says+", less than state.min_free, "+disk.MiB(need)+": detect and group wait"
	case usage.AvailBytes < 2*need:
		c.Result, c.Says = CheckWarn, c.Says+"; with less than state.min_free, "+disk.MiB(need)+", detect and group wait"
	}
	if c.Result != CheckOK {
		c.Next = "make room, or move state.dir; nothing is lost, the state is restored from its changelogs"
	}
	return c
}
