package alert

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestGolden compares each kind of alert in each shape with testdata. The documents are one line; the files are
// indented.
func TestGolden(t *testing.T) {
	for _, s := range samples(t) {
		for _, doc := range []struct {
			suffix string
			bytes  []byte
		}{
			{".ecs.json", s.alert.AppendECS(nil)}, {".ocsf.json", s.alert.AppendOCSF(nil)},
			{".panther.json", s.alert.AppendPanther(nil)}, {".txt", []byte(s.alert.Text())},
		} {
			file, got := filepath.Join("testdata", s.name+doc.suffix), doc.bytes
			if filepath.Ext(file) == ".json" {
				if bytes.ContainsAny(got, "\n\r") {
					t.Errorf("%s: more than a line", file)
				}
				var indented bytes.Buffer
				if err := json.Indent(&indented, got, "", "  "); err != nil {
					t.Fatalf("%s: %v\n%s", file, err, got)
				}
				got = append(indented.Bytes(), '\n')
			}
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs; got\n%s", file, got)
			}
		}
	}
}
