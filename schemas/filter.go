package schemas

import (
	"strings"

	"firstseen/schemas/internal/literal"
)

// Filter is what records have that a rule can match: each fulfils one of the alternatives. It is checked before the record
// is parsed. Without alternatives nothing passes.
type Filter struct{ Alternatives []Alternative }

// Alternative is a condition on a record: it has one of the values, and of each clause it contains one of the literals.
type Alternative struct {
	Field   Field    // what has the value; 0, or a field that is not at the top level of a record: any value will do
	Values  []string // byte for byte
	Clauses [][]string
}

// eventName is the key that every CloudTrail record has.
var eventName = literal.New("eventName")

func (f *Filter) matcher(s Dataset) *literal.Matcher {
	key := ""
	if s == CloudTrail {
		key = eventName.Text()
	}
	var list []literal.Condition
	for _, a := range f.Alternatives {
		c := literal.Condition{Values: a.Values, Clauses: a.Clauses}
		if path := fields[a.Field].path; s == CloudTrail && !strings.Contains(path, ".") {
			c.Key = path
		}
		list = append(list, c)
	}
	return literal.NewMatcher(key, list)
}

// rejects reports whether the filter of the dataset rejects what looks like a record of it. The look may deceive: an
// object that begins with a column of the access log passes if it can be a CloudTrail record, which is then asked for
// by the other filter; and one without an event name passes that one. What has a line that begins like a record passes:
// if it is no JSON, then that line is a record of its own, and may be one of the other dataset.
func (d *Decoder) rejects(s Dataset, raw []byte) bool {
	return !d.matchers[s].Passes(raw) && (s == CloudTrail || eventName.Index(raw) < 0) && recordLine(raw, 0) < 0
}
