package imported

import (
	"os"
	"path/filepath"
	"testing"

	"firstseen/rules/rulefile"
)

// Whatever a file holds, there is either a rule that firstseen reads, or a problem that says why not.
func fuzz(f *testing.F, carry func(string, []byte) (*Rule, error), seeds string) {
	files, err := filepath.Glob(seeds)
	if err != nil || len(files) == 0 {
		f.Fatalf("%d seeds, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(""))
	f.Add([]byte("- 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rule, err := carry("rule", text)
		if err != nil {
			if err.Error() == "" {
				t.Error("a problem without words")
			}
			return
		}
		if _, err := rulefile.Open("rule.yaml", rule.Text); err != nil {
			t.Errorf("%v in\n%s", err, rule.Text)
		}
	})
}

func FuzzElastic(f *testing.F) { fuzz(f, Elastic, "testdata/elastic/*.toml") }

func FuzzPanther(f *testing.F) { fuzz(f, Panther, "testdata/panther/*.yml") }
