package processor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas/wire"
)

// KnownTerm is what is remembered of the terms of one rule.
type KnownTerm struct {
	Rule      string // id; empty: of a rule that is gone, or whose fields have changed
	State     wire.StateID
	Fields    []string // of the rule; nil where Rule is empty
	Terms     []string
	Partition int32 // of the detect stage
	History   int64 // how long the rule has them stay known, in milliseconds; 0 where Rule is empty
	Term      wire.Term
}

// shape is what has to be known of a rule to read its state.
type shape struct {
	rule    string
	fields  []string
	source  int // which field is the source address; -1: none
	history int64
}

// setShapes learns the rules from control and, over them, from the configuration.
func (l *Lookup) setShapes() {
	l.shapes = map[wire.StateID]shape{}
	for _, set := range (&texts{control: l.notes}).all() {
		l.addShapes(set.Rules())
	}
	if l.cfg.Rules != nil {
		l.addShapes(l.cfg.Rules.Rules())
	}
}

func (l *Lookup) addShapes(list []*rules.Rule) {
	for _, r := range list {
		if r.HasTerms() {
			l.shapes[r.State()] = shape{r.ID(), r.Text().NewTerms.Fields, r.SourceTerm(), r.History()}
		}
	}
}

// RulesWithTerms lists the ids of the rules with terms whose state can be read: those of the configuration, and those
// that workers have run with.
func (l *Lookup) RulesWithTerms() (ids []string) {
	for _, s := range l.shapes {
		ids = append(ids, s.rule)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// HasRuleset says whether a worker of the deployment has run with a ruleset.
func (l *Lookup) HasRuleset(hash [32]byte) bool {
	return l.notes.get(fmt.Sprintf("%s%x", prefixRuleset, hash)) != nil
}

// Terms returns everything that is remembered of terms among which all the given ones are, in whatever order, by rule
// and terms. They are compared as rules make them: addresses canonical.
func (l *Lookup) Terms(ctx context.Context, given []string) ([]KnownTerm, error) {
	var found []KnownTerm
	var failed error
	err := l.values(ctx, StageDetect, l.partitionsOf(given), func(key []byte) bool {
		_, _, ok := l.split(key, given)
		return ok
	}, func(partition int32, key, value []byte) {
		k := KnownTerm{State: wire.StateID(key[1:9]), Partition: partition}
		s, terms, _ := l.split(key, given)
		k.Rule, k.Fields, k.History, k.Terms = s.rule, s.fields, s.history, terms
		if err := wire.DecodeTerm(value, &k.Term); err != nil {
			failed = fmt.Errorf("terms %q, partition %d: %w", terms, partition, err)
			return
		}
		found = append(found, k)
	})
	if err == nil {
		err = failed
	}
	slices.SortFunc(found, func(a, b KnownTerm) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), bytes.Compare(a.State[:], b.State[:]), slices.Compare(a.Terms, b.Terms))
	})
	return found, err
}

// split takes the key of terms apart, if all the given terms are in it. How many there are only the rule knows: of one
// that is gone every number is tried.
func (l *Lookup) split(key []byte, given []string) (s shape, terms []string, ok bool) {
	if len(key) < 9 || key[0] != stage.TermKind {
		return s, nil, false
	}
	s, known := l.shapes[wire.StateID(key[1:9])]
	from, to := 1, 3
	if known {
		from, to = len(s.fields), len(s.fields)
	}
	for n := from; n <= to; n++ {
		terms, ok = splitTerms(key[9:], n)
		if ok && !slices.ContainsFunc(given, func(t string) bool { return !slices.Contains(terms, t) }) {
			return s, terms, true
		}
	}
	return s, nil, false
}

// splitTerms takes n terms apart: all but the last have their length before them.
func splitTerms(key []byte, n int) (terms []string, ok bool) {
	for range n - 1 {
		size, m := binary.Uvarint(key)
		if m <= 0 || size > uint64(len(key)-m) {
			return nil, false
		}
		terms = append(terms, string(key[m:m+int(size)]))
		key = key[m+int(size):]
	}
	return append(terms, string(key)), true
}

// partitionsOf returns the partitions of the detect stage in which terms with the given ones can be, nil: in any. A
// rule with the source address among its terms has them where the address belongs, another where all its terms do.
func (l *Lookup) partitionsOf(given []string) []int32 {
	of := func(key []byte) int32 { return partition(key, l.cfg.Partitions) }
	if l.store != nil {
		return nil
	}
	address := slices.ContainsFunc(given, func(t string) bool { _, err := netip.ParseAddr(t); return err == nil })
	for _, s := range l.shapes {
		if len(s.fields) > len(given) && (s.source < 0 || !address) {
			return nil
		}
	}
	all := []int32{of(stage.TermKey(nil, wire.StateID{}, given)[9:])}
	for _, t := range given {
		all = append(all, of([]byte(t)))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Partition returns where an internal record with this key goes, and so where the state is that it changes.
func (l *Lookup) Partition(key []byte) int32 { return partition(key, l.cfg.Partitions) }

// Values returns what is remembered under state keys of a stage; want has the partition of each. What is not remembered
// is not in the result.
func (l *Lookup) Values(ctx context.Context, s Stage, want map[string]int32) (map[string][]byte, error) {
	var partitions []int32
	for _, p := range want {
		if !slices.Contains(partitions, p) {
			partitions = append(partitions, p)
		}
	}
	found := map[string][]byte{}
	if len(want) == 0 {
		return found, nil
	}
	err := l.values(ctx, s, partitions, func(key []byte) bool {
		_, ok := want[string(key)]
		return ok
	}, func(_ int32, key, value []byte) { found[string(key)] = bytes.Clone(value) })
	return found, err
}

// values calls each for the values of the wanted keys in some partitions of a stage, nil: all of them. Of a directory
// everything is read, since a scan keeps all of its state in one partition.
func (l *Lookup) values(ctx context.Context, s Stage, partitions []int32, want func(key []byte) bool, each func(partition int32, key, value []byte)) error {
	if l.store != nil {
		return l.stored(want, each)
	}
	topic := l.cfg.topic(topicDetectLog)
	if s == StageGroup {
		topic = l.cfg.topic(topicGroupLog)
	}
	var from map[int32]int64
	if partitions != nil {
		from = map[int32]int64{}
		for _, p := range partitions {
			from[p] = 0
		}
	}
	type place struct {
		partition int32
		key       string
	}
	last := map[place][]byte{}
	err := l.Read(ctx, topic, from, func(r *kgo.Record) bool {
		switch at := (place{r.Partition, string(r.Key)}); {
		case len(r.Key) == 0 || r.Key[0] == 0 || !want(r.Key): // the changelog's own, or another's
		case r.Value == nil:
			delete(last, at)
		default:
			last[at] = r.Value
		}
		return true
	})
	for at, value := range last {
		each(at.partition, []byte(at.key), value)
	}
	return err
}

// stored is values of a directory.
func (l *Lookup) stored(want func(key []byte) bool, each func(partition int32, key, value []byte)) error {
	infos, err := l.store.Ranges()
	if err != nil {
		return err
	}
	for _, info := range infos {
		r, err := l.store.Range(info.Stage, info.Partition)
		if err != nil {
			return err
		}
		err = r.Scan(nil, func(key, value []byte) error {
			if want(key) {
				each(info.Partition, key, value)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
