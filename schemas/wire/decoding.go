package wire

// What follows reads what encoding.go writes, and refuses what a shape refuses. The cursor remembers that something was
// wrong, so that nobody has to ask before the end.

func (v *Candidate) read(src []byte, m *Memory) bool {
	c := open(src, m)
	v.Ruleset = c.bytes()
	v.Rule = c.text()
	c.fixed(v.State[:])
	v.Terms = c.texts()
	v.Group = c.text()
	v.Policy.read(&c)
	v.History = c.long()
	v.HistoryStart = c.long()
	v.Count = c.long()
	v.Last = c.long()
	v.First.read(&c)
	v.Counters = c.counters()
	v.Learn = c.bool()
	v.HoldUntil = c.long()
	return c.done(m)
}

func (v *Finding) read(src []byte, m *Memory) bool {
	c := open(src, m)
	v.Ruleset = c.bytes()
	v.Rule = c.text()
	c.fixed(v.State[:])
	v.Group = c.text()
	v.Policy.read(&c)
	v.Entries = c.entries()
	v.Held = c.bool()
	return c.done(m)
}

func (v *Term) read(src []byte, _ *Memory) bool {
	c := cursor{src: src}
	v.SweepAt = c.long()
	v.FirstSeen = c.long()
	v.LastSeen = c.long()
	v.Count = c.long()
	return c.done(nil)
}

func (v *Window) read(src []byte, m *Memory) bool {
	c := open(src, m)
	v.SweepAt = c.long()
	v.Start = c.long()
	v.Ruleset = c.bytes()
	v.Rule = c.text()
	v.Group = c.text()
	v.Policy.read(&c)
	v.First.read(&c)
	v.Count = c.long()
	v.Reported = c.long()
	v.ReachedAt = c.long()
	v.LastSeen = c.long()
	v.JoinedAt = c.long()
	v.Closed = c.bool()
	v.Counters = c.counters()
	return c.done(m)
}

func (v *Cap) read(src []byte, m *Memory) bool {
	c := open(src, m)
	v.SweepAt = c.long()
	v.Start = c.long()
	v.Ruleset = c.bytes()
	v.Rule = c.text()
	v.Policy.read(&c)
	v.First.read(&c)
	v.Alerts = c.long()
	v.Suppressed = c.long()
	v.Reported = c.long()
	v.LastSeen = c.long()
	v.JoinedAt = c.long()
	v.Closed = c.bool()
	return c.done(m)
}

func (v *Offset) read(src []byte, _ *Memory) bool {
	c := cursor{src: src}
	c.fixed(v.InputTopicID[:])
	v.InputNext = c.long()
	v.SweepClock = c.long()
	v.InputTimestamp = c.long()
	return c.done(nil)
}

func (v *Policy) read(c *cursor) {
	v.Period = c.long()
	v.Threshold = c.long()
	v.CapCount = c.long()
	v.CapPer = c.long()
	v.Shadow = c.bool()
}

func (v *Match) read(c *cursor) {
	v.Time = c.long()
	v.EventID = c.text()
	v.Origin.Topic = c.text()
	v.Origin.Partition = c.int()
	v.Origin.Offset = c.long()
	v.Origin.Index = c.int()
	v.Origin.File = c.text()
	v.Origin.Line = c.long()
	v.Flags = c.int()
	v.Title = c.text()
	v.Evidence = c.bytes()
}

func (v *Entry) read(c *cursor) {
	v.Match.read(c)
	v.Terms = c.texts()
	v.PreviousSeen = c.long()
	v.History = c.long()
	v.HistoryStart = c.long()
	v.Folded = c.long()
	v.Counters = c.counters()
}

func (c *cursor) entries() []Entry {
	n := c.count(17) // numbers, lengths and the ends of arrays, a byte each
	list := take(&c.memory.entries, n)
	for i := range list {
		list[i].read(c)
	}
	c.end(n)
	return list
}

func (c *cursor) counters() []Counter {
	n := c.count(4)
	list := take(&c.memory.counters, n)
	for i := range list {
		v := &list[i]
		v.Attribute = c.text()
		v.Value = c.text()
		v.Count = c.long()
		v.Error = c.long()
	}
	c.end(n)
	return list
}

func (c *cursor) texts() []string {
	n := c.count(1)
	list := take(&c.memory.texts, n)
	for i := range list {
		list[i] = c.text()
	}
	c.end(n)
	return list
}
