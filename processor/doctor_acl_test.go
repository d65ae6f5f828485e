package processor

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"firstseen/devbroker"
	"firstseen/rules"
)

// TestExaminedWithoutPermission examines a deployment with logins that lack something each. The doctor names it, and all
// the rest is looked at all the same.
func TestExaminedWithoutPermission(t *testing.T) {
	t.Parallel()
	app := newApp()
	topic := func(name string, pattern kmsg.ACLResourcePatternType, op kmsg.ACLOperation, allow bool) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: name, Pattern: pattern, Operation: op, Allow: allow}
	}
	prefixed := func(resource kmsg.ACLResourceType, name string) kfake.ACL {
		return kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: kmsg.ACLOperationAll, Allow: true}
	}
	const literal = kmsg.ACLResourcePatternTypeLiteral
	own, groups, ids := prefixed(kmsg.ACLResourceTypeTopic, app+"."), prefixed(kmsg.ACLResourceTypeGroup, app+"."), prefixed(kmsg.ACLResourceTypeTransactionalId, app+"-")
	sources := prefixed(kmsg.ACLResourceTypeTopic, app+"-")
	b, err := devbroker.Start(devbroker.Options{Kfake: []kfake.Opt{
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "x"),
		kfake.User("PLAIN", "all", "x", own, groups, ids, sources),
		kfake.User("PLAIN", "one-topic", "x", own, groups, ids, sources, topic(app+".alerts", literal, kmsg.ACLOperationWrite, false), topic(app+"-s3access", literal, kmsg.ACLOperationRead, false)),
		kfake.User("PLAIN", "no-source", "x", own, groups, ids, topic(app+"-cloudtrail", literal, kmsg.ACLOperationAll, true)),
		kfake.User("PLAIN", "no-groups", "x", own, ids, sources),
		kfake.User("PLAIN", "no-transactions", "x", own, groups, sources),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	login := func(user string) Config {
		cfg := testConfig(b.Addr(), app, "one", t.TempDir(), mustLoad(t, rules.LoadOptions{}))
		cfg.Client = append(cfg.Client, kgo.SASL(plain.Auth{User: user, Pass: "x"}.AsMechanism()))
		return cfg
	}
	cl, err := kgo.NewClient(login("admin").Client...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopics(context.Background(), 1, -1, nil, app+"-cloudtrail", app+"-s3access"); err != nil {
		t.Fatal(err)
	}
	(&cluster{t: t}).found(login("admin"))
	for user, want := range map[string][]string{
		"all":             nil,
		"one-topic":       {"permissions " + app + ".alerts: this login lacks WRITE; next: kafka-acls.sh", "permissions " + app + "-s3access: this login lacks READ; next: kafka-acls.sh"},
		"no-source":       {"topics " + app + "-s3access: not allowed: ", "permissions " + app + "-s3access: this login lacks READ, DESCRIBE, DESCRIBE_CONFIGS"},
		"no-groups":       {"group " + app + ".ingest: not allowed", "group " + app + ".detect: not allowed", "group " + app + ".group: not allowed"},
		"no-transactions": {"permissions transactional ids " + app + "-*: not allowed"},
	} {
		t.Run(user, func(t *testing.T) {
			checks := examine(t, login(user))
			once := slices.CompactFunc(checks, func(a, b Check) bool { return a.What == b.What && a.On == b.On && a.Result == b.Result })
			expect(t, once, CheckFail, want...)
			if n := slices.IndexFunc(checks, func(c Check) bool { return c.What == "learning" || c.What == "transactions" }); n < 0 {
				t.Errorf("it stopped half-way: %+v", checks)
			}
		})
	}
}
