//go:build elastic

package imported

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// wanted is the share of rules that must be carried.
const wanted = 0.95

// Over a checkout of elastic/detection-rules, which ELASTIC_RULES names: every rule on CloudTrail of the three types is
// imported or refused with a reason, enough of them are imported, and their queries agree with the references.
// ELASTIC_OUT, if set, is a directory for the rule files.
func TestElasticRules(t *testing.T) {
	root := os.Getenv("ELASTIC_RULES")
	if root == "" {
		t.Fatal("ELASTIC_RULES names no checkout of elastic/detection-rules")
	}
	var subjects []*subject
	texts, refused := map[string][]byte{}, map[string][]string{}
	kinds := map[string]int{}
	total := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".toml" {
			return err
		}
		text, err := os.ReadFile(name)
		kind := kindOf(text)
		if err != nil || kind == "" {
			return err
		}
		total++
		rule, err := Elastic(name, text)
		if err != nil {
			for _, p := range err.(Problems) {
				if p.Reason == "" {
					t.Errorf("%s is refused without a reason", name)
				}
				reason := p.Field + ": " + p.Reason
				if files := refused[reason]; !slices.Contains(files, filepath.Base(name)) {
					refused[reason] = append(files, filepath.Base(name))
				}
			}
			return nil
		}
		if texts[rule.ID] != nil {
			t.Errorf("%s: another rule has the id %s", name, rule.ID)
		}
		kinds[kind]++
		texts[rule.ID] = rule.Text
		subjects = append(subjects, readSubject(t, name, text))
		if out := os.Getenv("ELASTIC_OUT"); out != "" {
			return os.WriteFile(filepath.Join(out, strings.TrimSuffix(filepath.Base(name), ".toml")+"-"+rule.ID[:8]+".yaml"), rule.Text, 0o666)
		}
		return nil
	})
	if err != nil || total == 0 {
		t.Fatalf("%d rules on CloudTrail in %s: %v", total, root, err)
	}
	report(total, kinds, refused)
	if share := float64(len(texts)) / float64(total); share < wanted {
		t.Errorf("%.1f %% imported, want %.0f %%", 100*share, 100*wanted)
	}
	compare(t, subjects, texts).run(t)
	hits, misses := 0, 0
	for _, s := range subjects {
		hits, misses = hits+s.hits, misses+s.misses
	}
	fmt.Printf("%d generated records, each put to all %d rules here and to the reference; %d match the rule they were made for\n", hits+misses, len(subjects), hits)
}

// kindOf is the type of a rule that has to be imported or refused with a reason; empty for others.
func kindOf(text []byte) string {
	var f struct {
		Rule struct {
			Type, Language, Query string
			Index                 []string
		}
	}
	if _, err := toml.Decode(string(text), &f); err != nil || f.Rule.Language != "kuery" || !slices.Contains(elasticTypes, f.Rule.Type) {
		return ""
	}
	if !strings.Contains(f.Rule.Query+strings.Join(f.Rule.Index, " "), "cloudtrail") {
		return ""
	}
	return f.Rule.Type
}

func report(total int, kinds map[string]int, refused map[string][]string) {
	imported := 0
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Printf("%-10s %4d imported\n", kind, kinds[kind])
		imported += kinds[kind]
	}
	fmt.Printf("%-10s %4d of %d imported, %.1f %%; %d refused, a rule perhaps for several reasons:\n", "all", imported, total, 100*float64(imported)/float64(total), total-imported)
	reasons := slices.SortedFunc(maps.Keys(refused), func(a, b string) int {
		return cmp.Or(len(refused[b])-len(refused[a]), cmp.Compare(a, b))
	})
	for _, reason := range reasons {
		fmt.Printf("%4d  %s\n", len(refused[reason]), reason)
		for _, name := range refused[reason] {
			fmt.Printf("        %s\n", name)
		}
	}
}
