package imported

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"pgregory.net/rapid"

	"firstseen/rules"
	"firstseen/schemas"
)

// subject is an imported rule as the references see it: from the TOML, not from the rule file.
type subject struct {
	id, file string
	query    *query
	terms    []string // new terms
	hits     int      // records made for it that it matched
	misses   int
}

// readSubject reads the TOML on its own. A threshold counts only events that have its fields.
func readSubject(t *testing.T, name string, text []byte) *subject {
	t.Helper()
	var f struct {
		Rule struct {
			RuleID    string `toml:"rule_id"`
			Query     string
			Terms     struct{ Value []string } `toml:"new_terms"`
			Threshold struct{ Field []string }
		}
	}
	if _, err := toml.Decode(string(text), &f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	q, err := parseQuery(f.Rule.Query)
	if err != nil {
		t.Fatalf("%s: the reference cannot read the query: %v", name, err)
	}
	for _, field := range f.Rule.Threshold.Field {
		q = &query{op: "and", kids: []*query{q, {op: ":", field: field, text: star}}}
	}
	return &subject{id: f.Rule.RuleID, file: filepath.Base(name), query: q, terms: f.Rule.Terms.Value}
}

// comparison holds rules as firstseen runs them beside the references.
type comparison struct {
	set      *rules.Set
	decoder  *schemas.Decoder
	owner    owner // of the address of the record at hand
	subjects []*subject
}

// Owner makes the comparison the database of networks.
func (c *comparison) Owner(netip.Addr) (number uint32, organization string, ok bool) {
	n, err := strconv.ParseUint(c.owner.number, 10, 32)
	return uint32(n), c.owner.organization, err == nil
}

// compare imports nothing itself: texts are the rule files.
func compare(t *testing.T, subjects []*subject, texts map[string][]byte) *comparison {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, _, err := rules.Load(rules.LoadOptions{Paths: []string{dir}, NoBuiltin: true, Unready: true})
	if err != nil {
		t.Fatalf("the imported rules do not load: %v", err)
	}
	c := &comparison{set: set, subjects: subjects}
	c.decoder = schemas.NewDecoder(schemas.Config{Layout: set.Layout(), Filters: set.Filters(), Owners: c})
	return c
}

// ours is what firstseen says of a record: the ids of the rules that match, and their terms.
func (c *comparison) ours(t *rapid.T, record []byte) (verdicts []string) {
	message := schemas.Message{Value: record, Timestamp: 1_800_000_000_000, Format: schemas.FormatCloudTrail}
	stats := c.decoder.Decode(message, eventFunc(func(e *schemas.Event) {
		c.set.Match(e, func(r *rules.Rule, err error) {
			if err != nil {
				t.Fatalf("%s: %v", r.ID(), err)
			}
			verdicts = append(verdicts, r.ID())
			r.EachTerms(e, func(values [][]byte) { verdicts = append(verdicts, fmt.Sprintf("%s %q", r.ID(), values)) })
		})
	}))
	if stats.Dead > 0 || stats.Events+stats.Filtered != 1 {
		t.Fatalf("%+v of %s", stats, record)
	}
	slices.Sort(verdicts)
	return verdicts
}

type eventFunc func(*schemas.Event)

func (f eventFunc) Event(e *schemas.Event)  { f(e) }
func (f eventFunc) Dead(schemas.DeadLetter) {}

// theirs is what the references say.
func (c *comparison) theirs(t *rapid.T, record []byte) (verdicts []string) {
	d, err := toECS(record, c.owner)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.subjects {
		if !s.query.holds(d) {
			continue
		}
		verdicts = append(verdicts, s.id)
		for _, terms := range products(d, s.terms) {
			verdicts = append(verdicts, fmt.Sprintf("%s %q", s.id, terms))
		}
	}
	slices.Sort(verdicts)
	return slices.Compact(verdicts)
}

// products is every combination of the values of the fields; a field without a value leaves none.
func products(d document, fields []string) [][]string {
	if len(fields) == 0 {
		return nil
	}
	list := [][]string{nil}
	for _, field := range fields {
		var longer [][]string
		for _, head := range list {
			for _, v := range d[field] {
				longer = append(longer, append(slices.Clone(head), fmt.Sprint(v)))
			}
		}
		list = longer
	}
	return list
}

// run makes records for each rule in turn and puts every one of them to all rules.
func (c *comparison) run(t *testing.T) {
	for _, s := range c.subjects {
		t.Run(strings.TrimSuffix(s.file, ".toml"), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				record, owner := drawRecord(t, s.query)
				c.owner = owner
				ours, theirs := c.ours(t, record), c.theirs(t, record)
				if !slices.Equal(ours, theirs) {
					t.Fatalf("%s\nfirstseen: %s\nreference: %s", record, strings.Join(ours, "\n  "), strings.Join(theirs, "\n  "))
				}
				if slices.Contains(theirs, s.id) {
					s.hits++
				} else {
					s.misses++
				}
			})
			if s.hits == 0 || s.misses == 0 {
				t.Errorf("%d records matched, %d did not: the records say little", s.hits, s.misses)
			}
		})
	}
}

// Imported queries mean what the references take Elastic's to mean, for each of our own examples.
func TestImportedQueriesAgree(t *testing.T) {
	files, err := filepath.Glob("testdata/elastic/*.toml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	var subjects []*subject
	texts := map[string][]byte{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rule, err := Elastic(name, text)
		if err != nil {
			t.Fatal(err)
		}
		subjects, texts[rule.ID] = append(subjects, readSubject(t, name, text)), rule.Text
	}
	compare(t, subjects, texts).run(t)
}
