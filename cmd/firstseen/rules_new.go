package main

import (
	"bytes"
	_ "embed" // the skeleton
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/rules/rulefile"
)

type rulesNewCmd struct {
	Kind    string `enum:"new-terms,allowlist,query,threshold" default:"query" help:"What makes the rule fire. new-terms: values that were not seen before; allowlist: addresses outside it; query: each match; threshold: many matches."`
	Dataset string `enum:"aws.cloudtrail,aws.s3access" default:"aws.cloudtrail" help:"Whose records it looks at: aws.cloudtrail or aws.s3access."`
	Output  string `short:"o" placeholder:"FILE" help:"Where to write it; - for standard output. Default: ID.yaml."`
	ID      string `arg:"" name:"id" help:"The id of the rule: letters, digits, dots, dashes and underscores."`
}

// schemaFile is what a new rule file calls the JSON Schema beside it.
const schemaFile = "firstseen-rule.schema.json"

//go:embed rules_new.yaml.tmpl
var skeletonText string

var skeletonTemplate = template.Must(template.New("rule").Parse(skeletonText))

// skeleton returns a rule file that is right as it stands. file is what it is called in it.
func (c *rulesNewCmd) skeleton(file string) ([]byte, error) {
	if err := rulefile.CheckID(c.ID); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	name := strings.Join(strings.FieldsFunc(c.ID, func(r rune) bool { return strings.ContainsRune(".-_", r) }), " ")
	err := skeletonTemplate.Execute(&b, struct{ ID, Name, Kind, Dataset, Schema, File string }{c.ID, name, c.Kind, c.Dataset, schemaFile, file})
	return append(bytes.TrimSpace(b.Bytes()), '\n'), err
}

// Run writes the file, never over another one.
func (c *rulesNewCmd) Run(a *cli.App) error {
	if c.Output == "" {
		c.Output = c.ID + ".yaml"
	}
	file := c.Output
	if file == "-" {
		file = c.ID + ".yaml"
	}
	text, err := c.skeleton(file)
	if err != nil {
		return cli.Usage(err)
	}
	if c.Output == "-" {
		_, err := a.Stdout.Write(text)
		return err
	}
	switch err := writeNew(c.Output, text); {
	case errors.Is(err, fs.ErrExist):
		return cli.Usage(fmt.Errorf("%s is there already: choose another file with -o", c.Output))
	case err != nil:
		return cli.Usage(err)
	}
	fmt.Fprintf(a.Stderr, "wrote %[1]s\nChange what it looks for, then: firstseen lint %[1]s && firstseen test %[1]s\n", c.Output)
	schema := filepath.Join(filepath.Dir(c.Output), schemaFile)
	if _, err := os.Stat(schema); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(a.Stderr, "For completion in an editor, once: firstseen rules show --schema > %s\n", schema)
	}
	return nil
}

func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
