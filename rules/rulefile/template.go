package rulefile

import (
	"fmt"
	"strings"
)

// Template is a text with the values of event fields in it: `{field}`, or `{field|what to write without one}`. A brace
// that means itself is written twice.
type Template []Segment

// Segment is literal text, or a field when Field is set.
type Segment struct {
	Text   string // literal text, or what stands for a field without a value
	Field  string
	Offset int // of the field's name in the template
}

// TemplateError says what is wrong at a byte offset of a template.
type TemplateError struct {
	Offset  int
	Message string
}

func (e *TemplateError) Error() string { return e.Message }

// NoValue is what a field without a value and without a default becomes.
const NoValue = "-"

// ParseTemplate reads a template. Its errors are *TemplateError.
func ParseTemplate(text string) (Template, error) {
	var t Template
	literal := ""
	flush := func() {
		if literal != "" {
			t = append(t, Segment{Text: literal})
			literal = ""
		}
	}
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "{{"), strings.HasPrefix(text[i:], "}}"):
			literal += text[i : i+1]
			i += 2
		case text[i] == '}':
			return nil, &TemplateError{i, "this } closes nothing: write }} for the character"}
		case text[i] == '{':
			end := strings.IndexAny(text[i+1:], "{}")
			if end < 0 || text[i+1+end] == '{' {
				return nil, &TemplateError{i, "this { is never closed: write {{ for the character"}
			}
			field, fallback, has := strings.Cut(text[i+1:i+1+end], "|")
			if !has {
				fallback = NoValue
			}
			if field == "" || strings.ContainsAny(field, " \t\r\n*") {
				return nil, &TemplateError{i + 1, fmt.Sprintf("%q is no field name", field)}
			}
			flush()
			t = append(t, Segment{Text: fallback, Field: field, Offset: i + 1})
			i += end + 2
		default:
			literal += text[i : i+1]
			i++
		}
	}
	flush()
	return t, nil
}
