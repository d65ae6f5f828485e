package history

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"firstseen/config"
)

// Offsets is an offset in each partition of each topic that it names.
type Offsets map[string]map[int32]int64

// Point is one end of a range of topics: their beginning, their end, a time, or an offset for each partition. The zero
// Point is the beginning.
type Point struct {
	latest  bool
	at      time.Time // zero: not a time
	offsets Offsets   // nil: not offsets
}

// The ends of what there is. Latest is the last stable offset: what comes before it is decided, committed or aborted.
var (
	Earliest = Point{}
	Latest   = Point{latest: true}
)

// PointAt is, in each partition, the first record whose Kafka timestamp is t or later.
func PointAt(t time.Time) Point { return Point{at: t} }

// PointOffsets is an offset in each of the partitions named. A range with such an end leaves the other partitions out.
func PointOffsets(o Offsets) Point { return Point{offsets: o} }

// ParsePoint understands earliest, latest, now, a time as RFC 3339 has it, a duration (90s, 15m, 12h, 7d: so long before
// now), and offsets: topic/partition:offset, several with commas between.
func ParsePoint(text string, now time.Time) (Point, error) {
	switch text {
	case "earliest":
		return Earliest, nil
	case "latest":
		return Latest, nil
	case "now":
		return PointAt(now), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return PointAt(t), nil
	}
	if d, err := config.ParseDuration(text); err == nil {
		return PointAt(now.Add(-time.Duration(d))), nil
	}
	if strings.Contains(text, "/") {
		o, err := parseOffsets(text)
		return PointOffsets(o), err
	}
	return Point{}, fmt.Errorf("%q is none of: earliest, latest, now, a time such as 2026-01-31T10:00:00Z, a duration before now such as 24h or 7d, "+
		"or offsets such as cloudtrail/0:1200,cloudtrail/1:1180", text)
}

func parseOffsets(text string) (Offsets, error) {
	o := Offsets{}
	for item := range strings.SplitSeq(text, ",") {
		topic, rest, _ := strings.Cut(strings.TrimSpace(item), "/")
		number, offset, ok := strings.Cut(rest, ":")
		p, err := strconv.ParseInt(number, 10, 32)
		at, err2 := strconv.ParseInt(offset, 10, 64)
		if !ok || topic == "" || err != nil || err2 != nil || p < 0 || at < 0 {
			return nil, fmt.Errorf("%q is not topic/partition:offset, such as cloudtrail/0:1200", item)
		}
		if o[topic] == nil {
			o[topic] = map[int32]int64{}
		}
		if _, twice := o[topic][int32(p)]; twice {
			return nil, fmt.Errorf("%s/%d is there twice", topic, p)
		}
		o[topic][int32(p)] = at
	}
	return o, nil
}
