package wire

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// The schemas, avsc/vN/name.avsc. A changed record gets a file in a new folder; the old file stays, for reading.
// testdata/vN pins what is released.
//
//go:embed avsc
var avsc embed.FS

var (
	// known holds the record name of every schema of this build by fingerprint.
	known = map[uint64]string{}
	// swept has the fingerprints of the state values, whose first field is sweep_at in every version.
	swept = map[uint64]bool{}

	candidates = register("candidate", (*Candidate).appendTo, (*Candidate).read)
	findings   = register("finding", (*Finding).appendTo, (*Finding).read)
	terms      = register("term", (*Term).appendTo, (*Term).read)
	windows    = register("window", (*Window).appendTo, (*Window).read)
	caps       = register("cap", (*Cap).appendTo, (*Cap).read)
	offsets    = register("offset", (*Offset).appendTo, (*Offset).read)
)

// register makes a record's codec, with what writes and reads the last version in the tree. It panics on a broken
// schema: the schemas are part of the build.
func register[T any](name string, write func(*T, []byte) []byte, read func(*T, []byte, *Memory) bool) *Codec[T] {
	versions, err := load(avsc, name)
	if err != nil {
		panic(err)
	}
	c, err := NewCodec[T](later(name, versions)...)
	if err != nil {
		panic(fmt.Errorf("%s.avsc: %w", name, err))
	}
	if c.json == versions[len(versions)-1] {
		c.write, c.read = write, read
	}
	for fp := range c.readers {
		known[fp] = c.name
		swept[fp] = name == "term" || name == "window" || name == "cap"
	}
	return c
}

// load returns every version of a record's schema, the oldest first.
func load(fsys fs.FS, name string) ([]string, error) {
	var versions []string
	for n := 1; ; n++ {
		folder := fmt.Sprintf("avsc/v%d", n)
		if _, err := fs.Stat(fsys, folder); errors.Is(err, fs.ErrNotExist) && len(versions) > 0 {
			return versions, nil
		} else if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
		json, err := fs.ReadFile(fsys, folder+"/"+name+".avsc")
		if errors.Is(err, fs.ErrNotExist) {
			continue // unchanged in this version
		} else if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
		versions = append(versions, string(json))
	}
}

// Schemas returns the current schemas as JSON by name: candidate, finding, term, window, cap, offset.
func Schemas() map[string]string {
	return map[string]string{
		"candidate": candidates.Schema(), "finding": findings.Schema(), "term": terms.Schema(),
		"window": windows.Schema(), "cap": caps.Schema(), "offset": offsets.Schema(),
	}
}

// SweepAt returns the sweep deadline of a state value, in milliseconds of the partition's sweep clock, without
// decoding the value. It is false for anything but a term, a window or a cap.
func SweepAt(value []byte) (int64, bool) {
	if len(value) < 10 {
		return 0, false
	}
	// Most values are terms of this version.
	if header := [10]byte(value); header != terms.header && (header[0] != 0xC3 || header[1] != 0x01 || !swept[fingerprint(value)]) {
		return 0, false
	}
	at, _, ok := varint(value[10:])
	return at, ok
}

// AppendCandidate appends the single-object encoding of a candidate. See [Codec.Append].
func AppendCandidate(dst []byte, v *Candidate) ([]byte, error) { return candidates.Append(dst, v) }

// DecodeCandidate replaces v by the candidate in src. See [Codec.Decode], also for the errors.
func DecodeCandidate(src []byte, v *Candidate) error { return candidates.Decode(src, v) }

// ViewCandidate is DecodeCandidate without a copy: strings and byte slices of v are views of src, its arrays lie in m.
// All of v is valid until src changes or m is used again, so whatever stays longer must be copied, and its bytes must
// not be changed. Appending to a slice of v copies it. A record of an older version is decoded as by DecodeCandidate.
func ViewCandidate(src []byte, v *Candidate, m *Memory) error { return candidates.view(src, v, m) }

// AppendFinding appends the single-object encoding of a finding.
func AppendFinding(dst []byte, v *Finding) ([]byte, error) { return findings.Append(dst, v) }

// DecodeFinding replaces v by the finding in src.
func DecodeFinding(src []byte, v *Finding) error { return findings.Decode(src, v) }

// ViewFinding is DecodeFinding without a copy, with the rules of [ViewCandidate].
func ViewFinding(src []byte, v *Finding, m *Memory) error { return findings.view(src, v, m) }

// AppendTerm appends the single-object encoding of a term's state.
func AppendTerm(dst []byte, v *Term) ([]byte, error) { return terms.Append(dst, v) }

// DecodeTerm replaces v by the term's state in src.
func DecodeTerm(src []byte, v *Term) error { return terms.Decode(src, v) }

// AppendWindow appends the single-object encoding of a window.
func AppendWindow(dst []byte, v *Window) ([]byte, error) { return windows.Append(dst, v) }

// DecodeWindow replaces v by the window in src.
func DecodeWindow(src []byte, v *Window) error { return windows.Decode(src, v) }

// ViewWindow is DecodeWindow without a copy, with the rules of [ViewCandidate].
func ViewWindow(src []byte, v *Window, m *Memory) error { return windows.view(src, v, m) }

// AppendCap appends the single-object encoding of a cap window.
func AppendCap(dst []byte, v *Cap) ([]byte, error) { return caps.Append(dst, v) }

// DecodeCap replaces v by the cap window in src.
func DecodeCap(src []byte, v *Cap) error { return caps.Decode(src, v) }

// AppendOffset appends the single-object encoding of an offset record.
func AppendOffset(dst []byte, v *Offset) ([]byte, error) { return offsets.Append(dst, v) }

// DecodeOffset replaces v by the offset record in src.
func DecodeOffset(src []byte, v *Offset) error { return offsets.Decode(src, v) }
