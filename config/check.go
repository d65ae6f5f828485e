package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// checker collects what is wrong with values that are well-formed each by itself.
type checker struct {
	*Config
	problems Problems
}

// check is what Load does last.
func (c *Config) check() Problems {
	k := &checker{Config: c}
	k.names()
	k.connection()
	k.sasl()
	k.work()
	k.numbers()
	return k.problems
}

// must reports a key unless ok. The format is what to do, or what is wrong.
func (k *checker) must(ok bool, key, format string, args ...any) {
	if !ok {
		k.problems = append(k.problems, &Problem{Where: k.from[key], Key: key, Err: fmt.Errorf(format, args...)})
	}
}

// topicName is what Kafka allows in the name of a topic; the names of groups and transactional ids are made of these too.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

func (k *checker) names() {
	const letters = "may have letters, digits, dots, underscores and dashes only, is %q"
	k.must(topicName.MatchString(k.App) && len(k.App) <= 200 && strings.Trim(k.App, ".") != "", "app", letters, k.App)
	switch {
	case k.Instance == "":
		k.must(false, "instance", "is not set and this machine has no host name: give this worker a name of its own")
	default:
		k.must(topicName.MatchString(k.Instance) && len(k.Instance) <= 200, "instance", letters, k.Instance)
	}
	k.must(len(k.Sources) > 0 || !slices.Contains(k.Stages, "ingest"), "sources", "is empty: name at least one topic with logs, or leave ingest out of stages")
	seen := make(map[string]bool)
	for _, s := range k.Sources {
		k.must(topicName.MatchString(s.Topic) && len(s.Topic) <= 249, "sources", "topic "+letters, s.Topic)
		k.must(!seen[s.Topic], "sources", "topic %q is named twice", s.Topic)
		k.must(!strings.HasPrefix(s.Topic, k.App+"."), "sources", "topic %q is one of the worker's own, whose names begin with %q: choose another app", s.Topic, k.App+".")
		seen[s.Topic] = true
	}
}

func (k *checker) connection() {
	k.must(len(k.Brokers) > 0, "brokers", "is empty: name at least one as host:port")
	for _, b := range k.Brokers {
		k.must(address(b) == nil, "brokers", "%v", address(b))
	}
	for _, s := range [][2]string{{"tls.ca_file", k.TLS.CAFile}, {"tls.cert_file", k.TLS.CertFile}, {"tls.key_file", k.TLS.KeyFile}, {"tls.server_name", k.TLS.ServerName}} {
		k.must(s[1] == "" || k.TLS.Enabled, s[0], "is set but tls.enabled is not true: the connection would not be encrypted")
	}
	k.must((k.TLS.CertFile == "") == (k.TLS.KeyFile == ""), "tls.cert_file", "and tls.key_file belong together: set both or neither")
	if k.HTTP.Listen != "off" {
		k.must(address(k.HTTP.Listen) == nil && strings.Contains(k.HTTP.Listen, ":"), "http.listen", "must be host:port or off, is %q", k.HTTP.Listen)
	}
	if k.HTTP.Advertise != "" {
		k.must(address(k.HTTP.Advertise) == nil, "http.advertise", "%v", address(k.HTTP.Advertise))
		k.must(k.HTTP.Listen != "off", "http.advertise", "is set but http.listen is off")
	}
}

// address checks host or host:port; the host may be empty, as in ":9480".
func address(s string) error {
	if !strings.Contains(s, ":") && s != "" && !strings.ContainsAny(s, "/ ") {
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("must be host:port, is %q", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && port != "0" {
		return fmt.Errorf("%q has no port number from 1 to 65535", s)
	}
	return nil
}

func (k *checker) work() {
	k.must(len(k.Stages) > 0, "stages", "is empty: this worker would do nothing")
	k.must(unique(k.Stages), "stages", "names a stage twice")
	k.must(len(k.Outputs) > 0, "outputs", "is empty: alerts would be lost")
	k.must(unique(k.Outputs), "outputs", "names a shape twice")
	k.must(k.State.Dir != "" || !slices.ContainsFunc(k.Stages, func(s string) bool { return s != "ingest" }), "state.dir", "is empty: detect and group keep their state there")
	k.must(k.Rules.Builtin || len(k.Rules.Paths)+len(k.Rules.Presets) > 0, "rules.paths", "is empty and rules.builtin is false: there would be no rules")
	k.must(unique(k.Rules.Presets), "rules.presets", "names a preset twice")
	for _, s := range k.Rules.Set {
		parameter, _, ok := strings.Cut(s, "=")
		k.must(ok && strings.Contains(parameter, "."), "rules.set", "must be RULE.KEY=VALUE, is %q", s)
	}
}

func unique(list []string) bool {
	return len(slices.Compact(slices.Sorted(slices.Values(list)))) == len(list)
}

func (k *checker) numbers() {
	between := func(key string, n, low, high int) {
		k.must(low <= n && n <= high, key, "must be %d to %d, is %d", low, high, n)
	}
	between("lanes.ingest", k.Lanes.Ingest, 1, 64)
	between("lanes.detect", k.Lanes.Detect, 1, 64)
	between("lanes.group", k.Lanes.Group, 1, 64)
	between("partitions", k.Partition, 1, 10_000)
	k.must(k.Replicas == -1 || 1 <= k.Replicas && k.Replicas <= 100, "replication_factor", "must be -1 (the broker's default) or 1 to 100, is %d", k.Replicas)
	between("commit.messages", k.Commit.Messages, 1, 1_000_000)
	between("commit.records", k.Commit.Records, 1, 10_000_000)
	between("bounds.records", k.Bounds.Records, 1, 100_000_000)
	between("bounds.depth", k.Bounds.Depth, 8, 1000) // a CloudTrail record has up to 8
	between("bounds.nesting", k.Bounds.Nesting, 1, 10)

	size := func(key string, n, low, high Size) {
		k.must(low <= n && n <= high, key, "must be %v to %v, is %v", low, high, n)
	}
	size("state.memtable", k.State.MemTable, 16<<20, 1<<30)
	size("state.cache", k.State.Cache, 1<<20, 1<<40)
	size("state.min_free", k.State.MinFree, 0, 1<<40)
	size("commit.bytes", k.Commit.Bytes, 1<<20, 1<<30)
	size("bounds.message_bytes", k.Bounds.MessageBytes, 1<<20, 1<<30)
	size("bounds.record_bytes", k.Bounds.RecordBytes, 256<<10, k.Bounds.MessageBytes) // CloudTrail's own limit is 256 KiB

	length := func(key string, d, low, high Duration) {
		k.must(low <= d && d <= high, key, "must be %v to %v, is %v", low, high, d)
	}
	length("commit.transaction_timeout", k.Commit.Transaction, sec(1), sec(15*60))
	length("commit.session_timeout", k.Commit.Session, sec(1), sec(30*60))
	length("commit.rebalance_timeout", k.Commit.Rebalance, sec(1), sec(60*60))
	length("commit.every", k.Commit.Every, ms(5), k.Commit.Transaction/4)
	k.must(k.Commit.Transaction < k.Commit.Session, "commit.transaction_timeout",
		"is %v and must be below commit.session_timeout, %v: a dead worker's transaction has to end before its partitions move", k.Commit.Transaction, k.Commit.Session)
	length("purge_after", k.Purge, sec(60), sec(365*24*3600))
	length("close_after", k.Close, sec(1), sec(7*24*3600))
}

// Warnings are settings that work and are likely not meant.
func (c *Config) Warnings() []string {
	var list []string
	clear := c.SASL.Mechanism == "PLAIN" || c.SASL.Mechanism == "OAUTHBEARER"
	if clear && !c.TLS.Enabled && slices.ContainsFunc(c.Brokers, func(b string) bool { return !loopback(b) }) {
		list = append(list, "sasl.mechanism "+c.SASL.Mechanism+" without tls.enabled sends the secret over the network as it is")
	}
	if c.HTTP.Listen != "off" && !loopback(c.HTTP.Listen) {
		list = append(list, "http.listen "+c.HTTP.Listen+" can be reached from other machines, and asks nobody who they are")
	}
	return list
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
