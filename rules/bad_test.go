package rules_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firstseen/rules"
)

// badFiles are rule files with a mistake each, or directories of them where it takes two; what they lead to is beside
// them as .golden. A file can say in its first comments what it is loaded with: "# set: RULE.KEY=VALUE", "# override: ID
// KEY VALUE", "# preset: NAME"; and "# pad: N" makes it N bytes long.
const badFiles = "testdata/bad"

// Each mistake is told with its place, what is wrong, and where possible what was meant; nothing else is. With -update
// the messages are written anew.
func TestBadFiles(t *testing.T) {
	t.Chdir(badFiles) // messages name files as they were given
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, entry := range entries {
		name := entry.Name()
		if ext := filepath.Ext(name); ext != ".yaml" && !entry.IsDir() {
			continue
		}
		n++
		t.Run(name, func(t *testing.T) {
			golden, err := filepath.Abs(strings.TrimSuffix(name, ".yaml") + ".golden")
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = rules.Load(badOptions(t, name))
			if err == nil {
				t.Fatal("it loads")
			}
			var problems rules.Errors
			if !errors.As(err, &problems) {
				t.Fatalf("%T is no list of problems: %v", err, err)
			}
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, rerr := os.ReadFile(golden)
			if rerr != nil {
				t.Fatal(rerr)
			}
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
	if n < 50 {
		t.Errorf("%d bad files", n)
	}
}

// badOptions is how a bad file is loaded.
func badOptions(t *testing.T, name string) rules.LoadOptions {
	o := rules.LoadOptions{Paths: []string{name}, NoBuiltin: true, Overrides: map[string]map[string]any{}}
	text, err := os.ReadFile(name)
	if err != nil {
		return o // a directory
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "# ")), ": ")
		switch {
		case !strings.HasPrefix(line, "# "):
			return o
		case key == "set":
			o.Set = append(o.Set, value)
		case key == "preset":
			o.Presets = append(o.Presets, value)
		case key == "override":
			words := strings.SplitN(value, " ", 3)
			o.Overrides[words[0]] = map[string]any{words[1]: words[2]}
		case key == "pad":
			size, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			o.Paths[0] = filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(o.Paths[0], append(text, strings.Repeat("#", size-len(text))...), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Chdir(filepath.Dir(o.Paths[0]))
			o.Paths[0] = name
		}
	}
	return o
}

// unseen are messages that no file of one's own leads to.
var unseen = []string{
	"allowlist.files: no files can be read here", // the loader can
	"no rules are loaded: nothing is looked for", // warnings
	"no *.yaml or *.yml file in this directory",
}

// Every message of the readers of rule files, lists and overrides is in one of the golden files: there is a bad file for
// each kind of mistake. The query language has a table of its own.
func TestEveryKindOfMistakeHasAFile(t *testing.T) {
	var golden strings.Builder
	files, err := filepath.Glob(badFiles + "/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		golden.Write(text)
	}
	n := 0
	for _, source := range []string{"load.go", "allowlist", "rulefile"} {
		for message, place := range messages(t, source) {
			if n++; !slices.Contains(unseen, message) && !pattern(message).MatchString(golden.String()) {
				t.Errorf("%s: no bad file leads to %q", place, message)
			}
		}
	}
	if n < 50 {
		t.Errorf("%d messages were found in the sources", n)
	}
}

// pattern matches what comes of a format.
func pattern(format string) *regexp.Regexp {
	verb := regexp.MustCompile(`%[a-z]`)
	var b strings.Builder
	for {
		at := verb.FindStringIndex(format)
		if at == nil {
			break
		}
		b.WriteString(regexp.QuoteMeta(format[:at[0]]) + `.+`)
		format = format[at[1]:]
	}
	return regexp.MustCompile(b.String() + regexp.QuoteMeta(format))
}

// messages finds the literal messages of problems in Go files, and where they are made.
func messages(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	set := token.NewFileSet()
	err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "rulefile/panther.go" {
			return err // panther.go is about others' files
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			return err
		}
		note := func(e ast.Expr) {
			if call, ok := e.(*ast.CallExpr); ok && len(call.Args) > 0 {
				e = call.Args[0] // fmt.Sprintf
			}
			if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				if err == nil && len(text) > 8 {
					found[text] = set.Position(literal.Pos()).String()
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				switch function := callee(n); {
				case function == "problem" && len(n.Args) > 2:
					note(n.Args[2])
				case function == "refuse" || function == "bad":
					note(n.Args[0])
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Message" {
					note(n.Value)
				}
			case *ast.CompositeLit:
				if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "TemplateError" && len(n.Elts) == 2 {
					note(n.Elts[1])
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func callee(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
