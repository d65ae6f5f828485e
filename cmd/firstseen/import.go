package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/rules/imported"
)

type importCmd struct {
	Elastic importElasticCmd `cmd:"" help:"Detection rules of Elastic's (TOML; query, new_terms and threshold on CloudTrail) as rule files."`
	Panther importPantherCmd `cmd:"" help:"Metadata and tests of Panther's rules (YAML) as rule files. Their Python is not run."`
}

type importElasticCmd struct {
	importer
}

type importPantherCmd struct {
	importer
}

// Run carries TOML files.
func (c *importElasticCmd) Run(a *cli.App) error { return c.run(a, imported.Elastic, ".toml") }

// Run carries YAML files.
func (c *importPantherCmd) Run(a *cli.App) error { return c.run(a, imported.Panther, ".yml", ".yaml") }

// importer is what both have in common. A rule that cannot be carried does not keep the others from it.
type importer struct {
	Out   string   `short:"o" placeholder:"DIR" help:"Directory for the rule files. Without it, the one rule goes to standard output."`
	Force bool     `help:"Replace files that are there."`
	Paths []string `arg:"" name:"path" help:"Rules, and directories of them."`
}

// errRefused ends an import of which every problem has been printed.
var errRefused = cli.Exit(cli.ExitUsage, nil)

func (c *importer) run(a *cli.App, carry func(string, []byte) (*imported.Rule, error), extensions ...string) error {
	files, err := c.files(extensions)
	if err != nil {
		return cli.Usage(err)
	}
	if c.Out == "" && len(files) > 1 {
		return cli.Usage(fmt.Errorf("%d rules cannot go to standard output together: name a directory with -o", len(files)))
	}
	if c.Out != "" {
		if err := os.MkdirAll(c.Out, 0o777); err != nil {
			return cli.Usage(err)
		}
	}
	written := map[string]string{} // file of ours: file it came from
	ids := map[string]string{}
	refused := 0
	for _, name := range files {
		rule, err := c.one(name, carry)
		if err == nil {
			if first := ids[rule.ID]; first != "" {
				err = fmt.Errorf("%s: its id %s is also that of %s", name, rule.ID, first)
			}
		}
		if err == nil {
			ids[rule.ID] = name
			err = c.write(a, name, rule, written)
		}
		if err != nil {
			refused++
			fmt.Fprintln(a.Stderr, err)
		}
	}
	fmt.Fprintf(a.Stderr, "%s imported, %d not\n", show.Plural(int64(len(files)-refused), "rule"), refused)
	if refused > 0 {
		return errRefused
	}
	return nil
}

func (c *importer) one(name string, carry func(string, []byte) (*imported.Rule, error)) (*imported.Rule, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return carry(name, text)
}

// files lists the files to read, those below a directory by their extension.
func (c *importer) files(extensions []string) (files []string, err error) {
	for _, p := range c.Paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		before := len(files)
		err = filepath.WalkDir(p, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && slices.Contains(extensions, filepath.Ext(name)) {
				files = append(files, name)
			}
			return err
		})
		if err == nil && len(files) == before {
			err = fmt.Errorf("%s: no file ending in %s", p, strings.Join(extensions, " or "))
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// write puts the rule where it belongs and says what was left out. Its file is named after the one it came from.
func (c *importer) write(a *cli.App, from string, rule *imported.Rule, written map[string]string) error {
	if c.Out == "" {
		_, err := a.Stdout.Write(rule.Text)
		return err
	}
	base := filepath.Base(from)
	to := filepath.Join(c.Out, strings.TrimSuffix(base, filepath.Ext(base))+".yaml")
	if other := written[to]; other != "" {
		return fmt.Errorf("%s: %s is already the rule from %s: import one of them into another directory", from, to, other)
	}
	there, err := os.ReadFile(to)
	switch {
	case err == nil && !c.Force && !bytes.Equal(there, rule.Text):
		return fmt.Errorf("%s: %s is there and differs: --force replaces it", from, to)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.WriteFile(to, rule.Text, 0o666); err != nil {
		return err
	}
	written[to] = from
	for _, n := range rule.Notes {
		fmt.Fprintln(a.Stderr, n)
	}
	return nil
}
