package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"firstseen/rules/rulefile"
)

// encodedSet is a set as control keeps it. Format changes with what its fields mean.
type encodedSet struct {
	Format int              `json:"format"`
	Strict bool             `json:"strict"`
	Rules  []*rulefile.Rule `json:"rules"`
}

const encodedFormat = 1

// Encode returns the set as bytes that Decode reads: every rule with its networks, none of their tests. Rule files that
// mean the same give the same bytes, whatever they are called, in which order they were read and how they are laid out.
func (s *Set) Encode() []byte { return bytes.Clone(s.encoded) }

// Decode reads what Encode wrote.
func Decode(encoded []byte) (*Set, error) {
	var in encodedSet
	if err := decodeSet(encoded, &in, &in.Format); err != nil {
		return nil, err
	}
	return in.compile()
}

// decodeSet reads JSON of the known format. Its keys are all known: a field that is dropped here would be missing from
// alerts.
func decodeSet(encoded []byte, in any, format *int) error {
	if err := json.Unmarshal(encoded, &struct{ Format *int }{format}); err != nil {
		return fmt.Errorf("decode rules: %w", err)
	}
	if *format != encodedFormat {
		return fmt.Errorf("decode rules: format %d is not known here: upgrade this worker", *format)
	}
	dec := json.NewDecoder(bytes.NewReader(encoded))
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil {
		return fmt.Errorf("decode rules: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("decode rules: something follows the rules")
	}
	return nil
}

func (in *encodedSet) compile() (*Set, error) {
	for _, t := range in.Rules {
		if t == nil {
			return nil, fmt.Errorf("decode rules: a rule is null")
		}
	}
	s, err := newSet(in.Rules, nil, in.Strict)
	if err != nil {
		return nil, fmt.Errorf("decode rules: %w", err)
	}
	return s, nil
}
