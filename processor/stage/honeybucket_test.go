package stage

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"firstseen/rules"
	"firstseen/schemas"
)

const rare = "aws-s3-unauthenticated-bucket-access-by-rare-source"

// Real traffic of scanners on an open bucket, see testdata/README.md: 284 anonymous events, 128 of them ListObjects.
func TestHoneyBucket(t *testing.T) {
	wide := []string{rare + `.query=aws.cloudtrail.user_identity.type: "AWSAccount" and cloud.account.id: "ANONYMOUS_PRINCIPAL"`, rare + ".max_alerts=off"}
	with := func(history string) []string { return append(wide[:2:2], rare+".new_terms.history="+history) }
	for _, c := range []struct {
		name, file string
		strict     bool
		set        []string
		want       int
	}{
		{"oldest first", "oldest-first", false, nil, 92},
		{"only the seed's spelling of anonymous", "oldest-first", true, nil, 0},
		{"newest first: what is late is not new twice", "newest-first", false, nil, 87},
		{"every event name", "oldest-first", false, wide, 230},
		{"every event name, 30 days", "oldest-first", false, with("30d"), 225},
		{"every event name, for ever", "oldest-first", false, with("36500d"), 216},
		{"every event name, newest first", "newest-first", false, wide, 216},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, _, err := rules.Load(rules.LoadOptions{Strict: c.strict, Set: c.set})
			if err != nil {
				t.Fatal(err)
			}
			for _, batch := range []int{1, 50, 1000} {
				r := newRun(t, set, PipelineConfig{Batch: batch, Ingest: IngestConfig{Decoder: schemas.Config{Strict: c.strict}}})
				for i, line := range lines(t, c.file+".ndjson") {
					r.message(schemas.Message{Value: line, Timestamp: -1, File: c.file, Line: int64(i) + 1, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()})
				}
				r.close()
				if got := r.Counts().Group.Alerts; got != int64(c.want) || len(r.dead) > 0 || r.Counts().Ingest.Stats.Records != 301 {
					t.Errorf("in batches of %d: %d alerts, want %d; %d dead letters, %+v", batch, got, c.want, len(r.dead), r.Counts())
				}
			}
		})
	}
}

// An attack simulation without S3 data events. 353 of its records have a service name as their source.
func TestInvictusIsSilent(t *testing.T) {
	set, _, err := rules.Load(rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../testdata/invictus/*.json.gz")
	if err != nil || len(files) != 55 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	r := newRun(t, set, PipelineConfig{})
	for i, file := range files {
		value, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r.message(schemas.Message{Value: value, Topic: "trail", Offset: int64(i), Timestamp: time.Date(2023, 7, 11, 0, 0, 0, 0, time.UTC).UnixMilli()})
	}
	r.close()
	if n := r.Counts().Ingest.Stats.Records; len(r.outputs) > 0 || len(r.dead) > 0 || n != 2900 {
		t.Errorf("%d records, %d alerts, %d dead letters", n, len(r.outputs), len(r.dead))
	}
}

func lines(t *testing.T, name string) (list [][]byte) {
	f, err := os.Open(filepath.Join("../../testdata/honeybucket", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		list = append(list, bytes.Clone(s.Bytes()))
	}
	return list
}
