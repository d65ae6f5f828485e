package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrNoMember means that no group of the deployment has a member of an instance, and no transaction of it is open.
var ErrNoMember = errors.New("no such instance")

// laneOf takes the name of a lane of a stage apart, see Config.laneName. Names of others are not ok.
func (c *Config) laneOf(s Stage, name string) (instance string, ok bool) {
	rest, ok := strings.CutPrefix(name, fmt.Sprintf("%s-%s-", c.App, s))
	n := strings.LastIndexByte(rest, '-')
	if !ok || n < 1 {
		return "", false
	}
	_, err := strconv.ParseUint(rest[n+1:], 10, 16)
	return rest[:n], err == nil
}

// instanceOf finds the instance whose lane has a name.
func (c *Config) instanceOf(name string) (instance string, ok bool) {
	for _, s := range Stages {
		if instance, ok = c.laneOf(s, name); ok {
			return instance, true
		}
	}
	return "", false
}

// Leave removes the members of a worker that will not come back from the deployment's groups, so that its partitions
// move at once and not after the session time-out, and takes over its transactional ids, which ends the transactions it
// left open. told gets a line for each. A worker that does run joins again and goes on: it loses the transactions in hand.
// The error wraps ErrNoMember if there is nothing of that instance.
func Leave(ctx context.Context, cfg Config, instance string, told func(string)) error {
	if err := cfg.setDefaults(); err != nil {
		return err
	}
	cl, err := kgo.NewClient(cfg.ClientOptions()...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	others := map[string]bool{}
	taken := map[string]bool{} // transactional ids
	removed := 0
	for _, s := range Stages {
		groups, err := adm.DescribeGroups(ctx, cfg.group(s))
		if err != nil {
			return fmt.Errorf("%w: describe group %s: %w", ErrUnreachable, cfg.group(s), err)
		}
		hosts := map[string]string{}
		for _, m := range groups[cfg.group(s)].Members {
			if m.InstanceID == nil {
				continue
			}
			of, ok := cfg.laneOf(s, *m.InstanceID)
			switch {
			case ok && of == instance:
				hosts[*m.InstanceID] = strings.TrimPrefix(m.ClientHost, "/")
			case ok:
				others[of] = true
			}
		}
		if len(hosts) == 0 {
			continue
		}
		answers, err := adm.LeaveGroup(ctx, kadm.LeaveGroup(cfg.group(s)).InstanceIDs(slices.Sorted(maps.Keys(hosts))...).Reason("firstseen leave"))
		if err != nil {
			return fmt.Errorf("%w: remove members of group %s: %w", ErrUnreachable, cfg.group(s), err)
		}
		for _, a := range answers.Sorted() {
			if a.Err != nil {
				return fmt.Errorf("remove %s from group %s: %w", a.InstanceID, a.Group, a.Err)
			}
			removed++
			taken[a.InstanceID] = true
			told(fmt.Sprintf("removed %s (%s) from group %s", a.InstanceID, hosts[a.InstanceID], a.Group))
		}
	}
	open, err := adm.ListTransactions(ctx, nil, []string{"Ongoing"})
	if err != nil {
		told("which transactions it left open could not be found out: " + err.Error())
	}
	for _, t := range open {
		if of, ok := cfg.instanceOf(t.TxnID); ok && of == instance {
			taken[t.TxnID] = true
		}
	}
	if len(taken) == 0 {
		return fmt.Errorf("%w: the groups %s.* have no member of instance %q; they have members of: %s", ErrNoMember, cfg.App, instance,
			strings.Join(append(slices.Sorted(maps.Keys(others)), "none else")[:max(1, len(others))], ", "))
	}
	for _, id := range slices.Sorted(maps.Keys(taken)) {
		if err := takeTransactionalID(ctx, &cfg, id); err != nil {
			return err
		}
		if _, ongoing := open[id]; ongoing {
			told(fmt.Sprintf("ended the open transaction of %s", id))
		}
	}
	told(fmt.Sprintf("%d members removed", removed))
	return nil
}

// takeTransactionalID fences whoever has a transactional id; the coordinator aborts what it left open.
func takeTransactionalID(ctx context.Context, cfg *Config, id string) error {
	cl, err := kgo.NewClient(cfg.ClientOptions(kgo.TransactionalID(id), kgo.TransactionTimeout(cfg.Timing.Transaction))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("%w: end the transaction of %s: %w", ErrUnreachable, id, err)
	}
	return nil
}
