package gen

// The rules, by the names that alerts give them.
const (
	NewTerms  = "new_terms"
	Allowlist = "allowlist"

	newTermsWindow = 7 * 24 * 3600 // seconds
	dedupWindow    = 3600          // seconds
)

// Alert is what the oracle expects. Key is the source address or the bucket.
type Alert struct {
	Rule    string `json:"rule"`
	Key     string `json:"key"`
	EventID string `json:"event_id"`
	Time    int64  `json:"time"`
}

// Oracle applies both rules to records in the order they are given. The generator puts all records of one key in one
// partition, so the order given here is, per key, the order in which any consumer sees them.
type Oracle struct {
	lastSeen map[string]int64
	opened   map[string]int64
	Alerts   []Alert
}

// NewOracle returns an oracle that has seen nothing.
func NewOracle() *Oracle {
	return &Oracle{lastSeen: map[string]int64{}, opened: map[string]int64{}}
}

// Add shows the oracle the next record.
func (o *Oracle) Add(r *Record) {
	switch r.Rule {
	case NewTerms:
		last, seen := o.lastSeen[r.Key]
		if !seen || r.Time-last > newTermsWindow {
			o.alert(r)
		}
		if !seen || r.Time > last {
			o.lastSeen[r.Key] = r.Time
		}
	case Allowlist:
		opened, seen := o.opened[r.Key]
		if !seen || r.Time > opened+dedupWindow {
			o.opened[r.Key] = r.Time
			o.alert(r)
		}
	}
}

func (o *Oracle) alert(r *Record) {
	o.Alerts = append(o.Alerts, Alert{Rule: r.Rule, Key: r.Key, EventID: r.ID, Time: r.Time})
}

// Addresses is the number of different addresses among the candidates so far.
func (o *Oracle) Addresses() int { return len(o.lastSeen) }
