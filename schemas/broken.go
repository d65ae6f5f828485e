package schemas

import "firstseen/schemas/jsonscan"

// skipTo returns the end of the value at i. With a reason the value is not complete, and end is where it breaks off.
// Looking for an end that is not there costs the whole rest of the message each time, so a message has a budget for it.
// When that is used up no further value is looked for: what is left becomes dead letters, a line or a mark at a time.
func (d *Decoder) skipTo(data []byte, i int) (end int, reason Reason) {
	if d.budget <= 0 {
		return len(data), Truncated
	}
	s := jsonscan.At(i)
	end, fault := s.Next(data)
	if fault == jsonscan.None {
		return max(end, i+1), ""
	}
	d.budget -= end - i
	if s.Depth > d.bounds.Depth {
		return end, TooDeep
	}
	return end, Truncated
}

// recordLine returns where the first line behind i begins that can be a record, -1 if there is none.
func recordLine(data []byte, i int) int {
	for i = endOfLine(data, i); i < len(data); i = endOfLine(data, i+1) {
		if beginsRecord(data, i+1) {
			return i + 1
		}
	}
	return -1
}

// remains makes a dead letter of what cannot be decoded between i and end, or up to a line between them that can.
func (d *Decoder) remains(data []byte, i, end int, reason Reason) (next int) {
	if n := recordLine(data[:end], i); n > 0 {
		end = n
	} else if end == len(data) {
		if d.ended = true; reason == Truncated {
			reason = d.why()
		}
	}
	d.dead(reason, "", data[i:end])
	return end
}

// malformed makes a dead letter of an object that begins at start and is no JSON at i.
func (d *Decoder) malformed(data []byte, start, i int) (next int) {
	end, reason := d.skipTo(data, start)
	if reason != "" {
		end = endOfLine(data, i)
	}
	return d.remains(data, start, max(end, start+1), InvalidJSON)
}

// nestedTooMuch makes a dead letter of an object at start that is one envelope too many.
func (d *Decoder) nestedTooMuch(data []byte, start int) (next int) {
	end, reason := d.skipTo(data, start)
	if reason == "" {
		reason = TooNested
	}
	return d.remains(data, start, end, reason)
}

// partOf decodes an object in which the data breaks off, within the value v of a member or outside of values. Of a list
// of log events and of a file in a string what is complete counts, and so does a record that the object carries.
func (d *Decoder) partOf(data []byte, start int, v span, m *members, member *span, level int, reason Reason) (next int) {
	if v.end < len(data) || reason != Truncated {
		return d.remains(data, start, v.end, reason)
	}
	switch member {
	case &m.logEvents:
		if data[v.at] == '[' && !m.messageType.is(data, "CONTROL_MESSAGE") {
			next, _ = d.elements(data, v.at+1, level, (*Decoder).logElement)
			return next
		}
	case &m.message, &m.log, &m.payload:
		if _, _, fault := jsonscan.String(data, v.at+1); data[v.at] == '"' && fault == jsonscan.Truncated {
			return d.enterPart(data, start, v.at, level)
		}
	}
	if end, ok := d.unwrap(data, m, level); ok {
		start = end
	}
	return d.remains(data, start, v.end, reason)
}

// reasonOf is the reason of a record that the parser refuses.
func reasonOf(fault jsonscan.Fault) Reason {
	switch fault {
	case jsonscan.TooDeep:
		return TooDeep
	case jsonscan.Truncated:
		return Truncated
	}
	return InvalidJSON
}
