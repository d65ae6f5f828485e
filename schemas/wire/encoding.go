package wire

import "encoding/binary"

// What follows writes the bodies of the current versions, field after field as the last avsc/vN has them: numbers as
// zigzag varints, texts with their length before them, an array as one block and a zero. hamba writes the same bytes,
// which the tests hold it to, at several times the cost.

func (v *Candidate) appendTo(dst []byte) []byte {
	dst = appendText(dst, v.Ruleset)
	dst = appendText(dst, v.Rule)
	dst = append(dst, v.State[:]...)
	dst = appendTexts(dst, v.Terms)
	dst = appendText(dst, v.Group)
	dst = v.Policy.appendTo(dst)
	dst = appendLong(dst, v.History)
	dst = appendLong(dst, v.HistoryStart)
	dst = appendLong(dst, v.Count)
	dst = appendLong(dst, v.Last)
	dst = v.First.appendTo(dst)
	dst = appendCounters(dst, v.Counters)
	dst = appendBool(dst, v.Learn)
	return appendLong(dst, v.HoldUntil)
}

func (v *Finding) appendTo(dst []byte) []byte {
	dst = appendText(dst, v.Ruleset)
	dst = appendText(dst, v.Rule)
	dst = append(dst, v.State[:]...)
	dst = appendText(dst, v.Group)
	dst = v.Policy.appendTo(dst)
	if len(v.Entries) > 0 {
		dst = appendLong(dst, int64(len(v.Entries)))
		for i := range v.Entries {
			dst = v.Entries[i].appendTo(dst)
		}
	}
	dst = append(dst, 0)
	return appendBool(dst, v.Held)
}

func (v *Term) appendTo(dst []byte) []byte {
	dst = appendLong(dst, v.SweepAt)
	dst = appendLong(dst, v.FirstSeen)
	dst = appendLong(dst, v.LastSeen)
	return appendLong(dst, v.Count)
}

func (v *Window) appendTo(dst []byte) []byte {
	dst = appendLong(dst, v.SweepAt)
	dst = appendLong(dst, v.Start)
	dst = appendText(dst, v.Ruleset)
	dst = appendText(dst, v.Rule)
	dst = appendText(dst, v.Group)
	dst = v.Policy.appendTo(dst)
	dst = v.First.appendTo(dst)
	dst = appendLong(dst, v.Count)
	dst = appendLong(dst, v.Reported)
	dst = appendLong(dst, v.ReachedAt)
	dst = appendLong(dst, v.LastSeen)
	dst = appendLong(dst, v.JoinedAt)
	dst = appendBool(dst, v.Closed)
	return appendCounters(dst, v.Counters)
}

func (v *Cap) appendTo(dst []byte) []byte {
	dst = appendLong(dst, v.SweepAt)
	dst = appendLong(dst, v.Start)
	dst = appendText(dst, v.Ruleset)
	dst = appendText(dst, v.Rule)
	dst = v.Policy.appendTo(dst)
	dst = v.First.appendTo(dst)
	dst = appendLong(dst, v.Alerts)
	dst = appendLong(dst, v.Suppressed)
	dst = appendLong(dst, v.Reported)
	dst = appendLong(dst, v.LastSeen)
	dst = appendLong(dst, v.JoinedAt)
	return appendBool(dst, v.Closed)
}

func (v *Offset) appendTo(dst []byte) []byte {
	dst = append(dst, v.InputTopicID[:]...)
	dst = appendLong(dst, v.InputNext)
	dst = appendLong(dst, v.SweepClock)
	return appendLong(dst, v.InputTimestamp)
}

func (v *Policy) appendTo(dst []byte) []byte {
	dst = appendLong(dst, v.Period)
	dst = appendLong(dst, v.Threshold)
	dst = appendLong(dst, v.CapCount)
	dst = appendLong(dst, v.CapPer)
	return appendBool(dst, v.Shadow)
}

func (v *Match) appendTo(dst []byte) []byte {
	dst = appendLong(dst, v.Time)
	dst = appendText(dst, v.EventID)
	dst = appendText(dst, v.Origin.Topic)
	dst = appendLong(dst, int64(v.Origin.Partition))
	dst = appendLong(dst, v.Origin.Offset)
	dst = appendLong(dst, int64(v.Origin.Index))
	dst = appendText(dst, v.Origin.File)
	dst = appendLong(dst, v.Origin.Line)
	dst = appendLong(dst, int64(v.Flags))
	dst = appendText(dst, v.Title)
	return appendText(dst, v.Evidence)
}

func (v *Entry) appendTo(dst []byte) []byte {
	dst = v.Match.appendTo(dst)
	dst = appendTexts(dst, v.Terms)
	dst = appendLong(dst, v.PreviousSeen)
	dst = appendLong(dst, v.History)
	dst = appendLong(dst, v.HistoryStart)
	dst = appendLong(dst, v.Folded)
	return appendCounters(dst, v.Counters)
}

func appendCounters(dst []byte, list []Counter) []byte {
	if len(list) > 0 {
		dst = appendLong(dst, int64(len(list)))
		for i := range list {
			dst = appendText(dst, list[i].Attribute)
			dst = appendText(dst, list[i].Value)
			dst = appendLong(dst, list[i].Count)
			dst = appendLong(dst, list[i].Error)
		}
	}
	return append(dst, 0)
}

func appendTexts(dst []byte, list []string) []byte {
	if len(list) > 0 {
		dst = appendLong(dst, int64(len(list)))
		for _, s := range list {
			dst = appendText(dst, s)
		}
	}
	return append(dst, 0)
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	return append(appendLong(dst, int64(len(s))), s...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendLong appends an int or a long: what fits into 31 bits is written the same as either.
func appendLong(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	if u < 0x80 {
		return append(dst, byte(u))
	}
	return binary.AppendUvarint(dst, u)
}
