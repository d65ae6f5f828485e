package alert

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"firstseen/schemas"
)

// place is what is known ahead of a path that ECS documents have. Places are in the order of their paths, so that nothing
// is left to be sorted when a document is written.
type place struct {
	path   string
	typ    schemas.Type // of a field of the event
	cost   int          // see costOf
	opens  []string     // by level that is open already: what stands before the value, as in `"client":{"ip":`
	shared int          // levels in common with the path before
	inside int          // how many of the places that follow are inside of this one
}

// maxPlaces is not below the number of places, which placeTable counts in bytes.
const maxPlaces = 255

var (
	places     = newPlaces()
	placeTable = func() (table [1024]uint8) {
		for i, p := range places {
			h := hashOf(p.path)
			for ; table[h%1024] != 0; h++ {
			}
			table[h%1024] = uint8(i + 1)
		}
		return table
	}()
	fieldPlaces = func() (of [schemas.FieldEnd]int) {
		for f := range schemas.FieldEnd {
			of[f], _ = placeOf(f.Name())
		}
		return of
	}()
)

// placeOf returns the place of a path. It is asked for every value, and so does with less than a map.
func placeOf(path string) (int, bool) {
	for h := hashOf(path); ; h++ {
		i := int(placeTable[h%1024]) - 1
		if i < 0 {
			return 0, false
		}
		if places[i].path == path {
			return i, true
		}
	}
}

// hashOf tells paths apart by their length, their end and what is before it.
func hashOf(path string) uint {
	n := len(path)
	if n < 8 {
		return uint(n)
	}
	end := binary.LittleEndian.Uint64([]byte(path[n-8:]))
	middle := binary.LittleEndian.Uint64([]byte(path[(n-8)/2:][:8]))
	return uint((end ^ middle*31 + uint64(n)) * 0x9E3779B97F4A7C15 >> 54)
}

func newPlaces() []place {
	paths := strings.Fields(ownPaths)
	for f := range schemas.FieldEnd {
		if name := f.Name(); name != "" {
			paths = append(paths, name)
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if len(paths) > maxPlaces {
		panic(fmt.Sprintf("%d places", len(paths)))
	}
	list := make([]place, len(paths))
	for i, path := range paths {
		p := place{path: path, typ: schemas.FieldType(path), cost: costOf(path)}
		names := strings.Split(path, ".")
		for level := range names {
			p.opens = append(p.opens, `"`+strings.Join(names[level:], `":{"`)+`":`)
		}
		if i > 0 {
			p.shared = strings.Count(path[:sharedLevels(paths[i-1], path)], ".")
		}
		for _, next := range paths[i+1:] {
			if !strings.HasPrefix(next, path+".") {
				break
			}
			p.inside++
		}
		list[i] = p
	}
	return list
}

// slot is where the JSON of a document has the value of a place; its end is never 0 if there is one.
type slot struct{ from, to int32 }

// slots are by place.
type slots [maxPlaces]slot

// appendSlots is appendTo for a document whose paths all have places. It goes through all places, and knows how many
// levels the path there has in common with the one written last: the least number on the way.
func (d *document) appendSlots(dst []byte) []byte {
	dst = append(dst, '{')
	depth, shared := 0, 0 // of the path written last
	for i := 0; i < len(places); i++ {
		p, v := &places[i], d.slots[i]
		if shared = min(shared, p.shared); v.to == 0 {
			continue
		}
		if depth > 0 {
			for ; depth > shared+1; depth-- {
				dst = append(dst, '}')
			}
			dst = append(dst, ',')
		}
		dst = append(append(dst, p.opens[shared]...), d.json[v.from:v.to]...)
		depth = len(p.opens)
		shared = depth - 1
		i += p.inside
	}
	for ; depth > 1; depth-- {
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// ownPaths are those that a document has besides the fields of the event. A path that is missing here costs time, and
// nothing else.
const ownPaths = `
@timestamp ecs.version message tags source.address related.ip cloud.provider
event.kind event.category event.type event.action event.outcome event.provider event.module event.dataset event.id
event.start event.end event.created event.severity event.risk_score event.reason
rule.id rule.name rule.version rule.category rule.description rule.reference rule.ruleset
threat.framework threat.tactic.id threat.tactic.name threat.tactic.reference
threat.technique.id threat.technique.name threat.technique.reference
threat.technique.subtechnique.id threat.technique.subtechnique.name threat.technique.subtechnique.reference
firstseen.alert.id firstseen.alert.status firstseen.alert.count firstseen.alert.first_seen firstseen.alert.last_seen
firstseen.ruleset.sha256 firstseen.allowlist.networks_version firstseen.flags firstseen.summary
firstseen.new_terms.fields firstseen.new_terms.values firstseen.new_terms.history firstseen.new_terms.previous_seen
firstseen.new_terms.history_start firstseen.new_terms.history_complete
firstseen.group.by firstseen.group.key firstseen.group.window_start firstseen.group.window_end
firstseen.group.threshold firstseen.group.threshold_reached
firstseen.suppressed.count firstseen.suppressed.topic
firstseen.gap.topic firstseen.gap.partition firstseen.gap.first_offset firstseen.gap.next_offset firstseen.gap.records
firstseen.origin.event_id firstseen.origin.topic firstseen.origin.partition firstseen.origin.offset
firstseen.origin.file firstseen.origin.line firstseen.origin.index
bucket eventName eventSource awsRegion recipientAccountId sourceIPAddress userAgent userIdentity
userIdentity.type userIdentity.principalId userIdentity.arn userIdentity.accountId userIdentity.userName
`
