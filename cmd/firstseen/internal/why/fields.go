package why

import (
	"fmt"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/rules/kql"
	"firstseen/schemas"
)

// Field is a field with its values, as rules see them.
type Field struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Fields are the fields that a record has.
type Fields []Field

// Values are those of the field with this name.
func (fields Fields) Values(name string) []string {
	if f, ok := schemas.Known(name); ok {
		name = f.Name()
	}
	for _, f := range fields {
		if f.Name == name {
			return f.Values
		}
	}
	return nil
}

// decisive says what the event has where it decides, for the first few fields.
func (fields Fields) decisive(conditions []kql.Answer) string {
	byField := map[string][]kql.Answer{}
	var names []string
	for _, c := range conditions {
		if byField[c.Field] == nil {
			names = append(names, c.Field)
		}
		byField[c.Field] = append(byField[c.Field], c)
	}
	var all []string
	for _, f := range names[:min(len(names), 3)] {
		asked, has := byField[f], fields.Values(f)
		switch {
		case len(has) == 0 && f != "":
			all = append(all, "there is no "+f)
		case len(asked) == 1 && len(has) > 0:
			all = append(all, fmt.Sprintf("%s is %t of %q", show.Text(asked[0].Query, 100), asked[0].Holds, show.Text(has[0], 80)))
		case len(asked) == 1: // of several fields
			all = append(all, fmt.Sprintf("%s is %t", show.Text(asked[0].Query, 100), asked[0].Holds))
		default:
			all = append(all, fmt.Sprintf("%s is %q", f, show.Text(has[0], 80)))
		}
	}
	if more := len(names) - len(all); more > 0 {
		all = append(all, fmt.Sprintf("%d more", more))
	}
	return show.List(all)
}
