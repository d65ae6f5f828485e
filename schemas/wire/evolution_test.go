//go:build !chaosnext

package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hamba/avro/v2"
)

var pin = flag.Bool("pin", false, "write the files of testdata/vN that are missing; present ones are never changed")

// TestReleasedSchemas holds every schema of the build to its copy in testdata: a schema that changes in more than its
// comments needs a new version, and what an old version wrote is read for ever.
func TestReleasedSchemas(t *testing.T) {
	files, err := fs.Glob(avsc, "avsc/*/*.avsc")
	if err != nil || len(files) < len(kinds) {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".avsc")
		pinned := filepath.Join("testdata", strings.TrimPrefix(file, "avsc/"))
		golden := strings.TrimSuffix(pinned, ".avsc") + ".hex"
		schema, _ := avsc.ReadFile(file)
		i := 0
		for kinds[i].name != name {
			i++
		}
		writeMissing(t, pinned, schema)
		writeMissing(t, golden, []byte(hex.EncodeToString(kinds[i].sample)+"\n"))

		if got, want := headerOf(t, schema), headerOf(t, read(t, pinned)); got != want {
			t.Errorf("%s has changed: fingerprint %x, released %x. Add a new version beside it", file, got, want)
		}
		old, err := hex.DecodeString(strings.TrimSpace(string(read(t, golden))))
		if err != nil || !bytes.HasPrefix(old, header0(t, schema)) {
			t.Errorf("%s is not written by %s: %v", golden, file, err)
		}
		if _, err := kinds[i].again(old); err != nil {
			t.Errorf("%s: %v", golden, err)
		}
	}
}

// TestSweepAtComesFirst: SweepAt reads the first field of a state value of any version.
func TestSweepAtComesFirst(t *testing.T) {
	for _, name := range []string{"term", "window", "cap"} {
		versions, err := load(avsc, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range versions {
			schema, err := parse(version)
			if err != nil {
				t.Fatal(err)
			}
			if first := schema.(*avro.RecordSchema).Fields()[0]; first.Name() != "sweep_at" || first.Type().Type() != avro.Long {
				t.Errorf("%s begins with %s", name, first)
			}
		}
	}
}

// TestNewVersion plays a release through: version 2 of a record adds a field. The new worker reads old records with the
// field's default and new ones whole; the old worker says that it needs an upgrade.
func TestNewVersion(t *testing.T) {
	v1, err := avsc.ReadFile("avsc/v1/term.avsc")
	if err != nil {
		t.Fatal(err)
	}
	v2 := bytes.Replace(v1, []byte(`{"name": "count", "type": "long"}`),
		[]byte(`{"name": "note", "type": "string", "default": "none"}, {"name": "count", "type": "long"}`), 1)
	tree := fstest.MapFS{
		"avsc/v1/term.avsc": {Data: v1}, "avsc/v2/cap.avsc": {}, "avsc/v3/term.avsc": {Data: v2},
	}
	versions, err := load(tree, "term")
	if err != nil || len(versions) != 2 {
		t.Fatal(len(versions), err)
	}
	type term2 struct {
		SweepAt   int64  `avro:"sweep_at"`
		FirstSeen int64  `avro:"first_seen"`
		LastSeen  int64  `avro:"last_seen"`
		Note      string `avro:"note"`
		Count     int64  `avro:"count"`
	}
	c, err := NewCodec[term2](versions...)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := AppendTerm(nil, &sampleTerm)
	want := term2{sampleTerm.SweepAt, sampleTerm.FirstSeen, sampleTerm.LastSeen, "none", sampleTerm.Count}
	got := term2{Note: "stale"}
	if err := c.Decode(old, &got); err != nil || got != want {
		t.Errorf("old record: %+v, %v", got, err)
	}
	want.Note = "new"
	src, err := c.Append(nil, &want)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(src, &got); err != nil || got != want {
		t.Errorf("new record: %+v, %v", got, err)
	}
	if err := DecodeTerm(src, new(Term)); !errors.Is(err, ErrUnknownVersion) {
		t.Errorf("the old worker reads a new record: %v", err)
	}
}

// golden returns the bytes of a released version.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimSpace(string(read(t, "testdata/"+name+".hex"))))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func header0(t *testing.T, schema []byte) []byte { h := headerOf(t, schema); return h[:] }

func headerOf(t *testing.T, json []byte) [10]byte {
	t.Helper()
	schema, err := parse(string(json))
	if err != nil {
		t.Fatal(err)
	}
	h, err := header(schema)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeMissing(t *testing.T, file string, b []byte) {
	if _, err := os.Stat(file); !*pin || err == nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBeforeHolding: what version 1 wrote, which knew no holding back, is held back nowhere.
func TestBeforeHolding(t *testing.T) {
	var c Candidate
	if err := DecodeCandidate(golden(t, "v1/candidate"), &c); err != nil || c.HoldUntil != NoTime || c.Rule != sampleCandidate.Rule {
		t.Errorf("candidate: hold until %d, rule %q, %v", c.HoldUntil, c.Rule, err)
	}
	f := Finding{Held: true}
	if err := DecodeFinding(golden(t, "v1/finding"), &f); err != nil || f.Held || f.Rule != sampleFinding.Rule {
		t.Errorf("finding: held %v, rule %q, %v", f.Held, f.Rule, err)
	}
}
