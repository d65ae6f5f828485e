package rules

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"firstseen/rules/rulefile"
)

// Published is what workers tell each other of a set: everything about its rules but the networks of their allowlists,
// of which there may be megabytes. So it can say what a rule's alerts look like and what of a rule has changed, and it
// cannot match.
type Published struct{ set *Set }

// published is a Published as JSON, compressed with gzip.
type published struct {
	encodedSet
	Networks map[string]string `json:"networks,omitempty"` // version of the allowlist, by rule
}

// maxPublished bounds a published set after decompression, in bytes.
const maxPublished = 64 << 20

// Publish returns what ReadPublished reads.
func (s *Set) Publish() []byte {
	out := published{encodedSet: encodedSet{Format: encodedFormat, Strict: s.strict}, Networks: map[string]string{}}
	for _, r := range s.rules {
		text := *r.text
		if text.Allowlist != nil {
			text.Allowlist = &rulefile.Allowlist{Field: text.Allowlist.Field}
			out.Networks[text.ID] = r.info.NetworksVersion
		}
		out.Rules = append(out.Rules, &text)
	}
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	err := json.NewEncoder(zip).Encode(&out)
	if err := errors.Join(err, zip.Close()); err != nil {
		panic(err) // strings and numbers, into memory
	}
	return b.Bytes()
}

// ReadPublished reads what Publish wrote, on this worker or another.
func ReadPublished(encoded []byte) (*Published, error) {
	zip, err := gzip.NewReader(bytes.NewReader(encoded))
	if err != nil {
		return nil, fmt.Errorf("read published rules: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(zip, maxPublished))
	if err != nil {
		return nil, fmt.Errorf("read published rules: %w", err)
	}
	var in published
	if err := decodeSet(text, &in, &in.Format); err != nil {
		return nil, err
	}
	s, err := in.compile()
	if err != nil {
		return nil, err
	}
	for id, version := range in.Networks {
		if r := s.Rule(id); r != nil {
			r.info.NetworksVersion = version
		}
	}
	return &Published{s}, nil
}

// Rules returns all rules by id, those that are off too.
func (p *Published) Rules() []*Rule { return p.set.rules }

// Rule returns the rule with the id, nil if there is none.
func (p *Published) Rule(id string) *Rule { return p.set.Rule(id) }

// Recorded says whether what the terms of rule r, of a set in force now, are compared with was recorded under p as it
// would be under r: no event that r counts went unnoticed while p was in force. It is so if p had the rule, looking at
// the same events and remembering them for at least as long.
func (p *Published) Recorded(r *Rule) bool {
	old := p.Rule(r.ID())
	return old != nil && old.text.Mode != rulefile.Off && old.state == r.state && old.History() >= r.History() &&
		old.text.Query == r.text.Query && old.text.Except == r.text.Except && old.info.NetworksVersion == r.info.NetworksVersion
}

// Known says whether p had the rule with the same state.
func (p *Published) Known(r *Rule) bool {
	old := p.Rule(r.ID())
	return old != nil && old.text.Mode != rulefile.Off && old.state == r.state
}
