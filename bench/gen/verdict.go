package gen

import (
	"encoding/json"
	"os"
)

// Expected is the content of expected.json.
type Expected struct {
	Config     Config  `json:"config"`
	Candidates int     `json:"candidates"`
	Matches    int     `json:"matches"`
	Addresses  int     `json:"addresses"` // distinct ones among the candidates
	Bytes      int64   `json:"bytes"`     // of the values of all records
	Alerts     []Alert `json:"alerts"`
}

// Write writes the file.
func (e *Expected) Write(path string) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// ReadExpected reads what Write wrote.
func ReadExpected(path string) (*Expected, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	e := new(Expected)
	return e, json.Unmarshal(b, e)
}

// Verdict compares the alerts that were seen with the expected ones.
type Verdict struct {
	Expected  int `json:"expected"`
	Seen      int `json:"seen"`
	Duplicate int `json:"duplicate"`
	Missing   int `json:"missing"`
	Wrong     int `json:"wrong"`
}

// Compare judges alerts that were seen. An alert is its rule and event id; its key must be right too.
func Compare(expected, seen []Alert) Verdict {
	type id struct{ rule, event string }
	want := make(map[id]string, len(expected))
	for _, a := range expected {
		want[id{a.Rule, a.EventID}] = a.Key
	}
	v := Verdict{Expected: len(expected), Seen: len(seen)}
	got := make(map[id]bool, len(seen))
	for _, a := range seen {
		k := id{a.Rule, a.EventID}
		switch key, ok := want[k]; {
		case got[k]:
			v.Duplicate++
		case !ok || key != a.Key:
			v.Wrong++
		}
		got[k] = true
	}
	for k := range want {
		if !got[k] {
			v.Missing++
		}
	}
	return v
}
