package processor

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// modelGroup is the coordinator of a group with static members and cooperative rebalances: a partition is given to a
// member only when its last owner has given it back, or was expelled.
type modelGroup struct {
	generation int
	committed  map[int32]int64         // no entry: none
	members    map[string]*modelMember // by instance id
	owner      []*modelMember
}

// modelMember is one incarnation of a member: a static rejoin makes a new one, and the old one is fenced.
type modelMember struct {
	instance   string
	generation int // that it has heard of
}

// join makes a member. Under an instance id that is there it takes the old one's place and partitions, without a
// rebalance.
func (g *modelGroup) join(instance string) *modelMember {
	m := &modelMember{instance: instance}
	if old := g.members[instance]; old != nil {
		for p, o := range g.owner {
			if o == old {
				g.owner[p] = m
			}
		}
	} else {
		g.generation++
	}
	m.generation = g.generation
	g.members[instance] = m
	return m
}

// expel is a session time-out.
func (g *modelGroup) expel(instance string) {
	m := g.members[instance]
	delete(g.members, instance)
	g.generation++
	for p, o := range g.owner {
		if o == m {
			g.owner[p] = nil
		}
	}
}

func (g *modelGroup) knows(m *modelMember) bool { return g.members[m.instance] == m }

// check is what fences a zombie.
func (g *modelGroup) check(m *modelMember) error {
	switch {
	case !g.knows(m):
		return kerr.UnknownMemberID
	case m.generation != g.generation:
		return kerr.IllegalGeneration
	}
	return nil
}

// share is what a member is to have: as even as can be, and moving as little as that takes.
func (g *modelGroup) share(m *modelMember) (partitions []int32) {
	names := slices.Sorted(maps.Keys(g.members))
	least, more := len(g.owner)/len(names), len(g.owner)%len(names)
	share := map[string][]int32{}
	quota := func(name string) int {
		if slices.Index(names, name) < more {
			return least + 1
		}
		return least
	}
	var free []int32
	for p, o := range g.owner {
		if o != nil && len(share[o.instance]) < quota(o.instance) {
			share[o.instance] = append(share[o.instance], int32(p))
		} else {
			free = append(free, int32(p))
		}
	}
	for _, name := range names {
		for len(share[name]) < quota(name) {
			share[name] = append(share[name], free[0])
			free = free[1:]
		}
	}
	return share[m.instance]
}
