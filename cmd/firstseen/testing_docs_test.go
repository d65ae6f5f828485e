package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/rules"
)

// The rules in the documentation fit the schema, pass their tests and leave lint nothing to say, and the documentation has
// every key.
func TestTestingPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(examples) != 2 {
		t.Fatalf("%d examples", len(examples))
	}
	published, err := jsonschema.UnmarshalJSON(bytes.NewReader(rules.Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("urn:firstseen:rule", published); err != nil {
		t.Fatal(err)
	}
	compiled := compiler.MustCompile("urn:firstseen:rule")
	for _, example := range examples {
		var rule any
		if err := yaml.Load([]byte(example[1]), &rule); err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(rule); err != nil {
			t.Errorf("the schema refuses it: %v", err)
		}
		file := clitest.Write(t, "rule.yaml", example[1])
		if e := execute(t, nil, "test", file); e.Code != cli.ExitOK {
			t.Errorf("exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
		}
		if e := execute(t, nil, "lint", file); e.Code != cli.ExitOK || !strings.Contains(e.Stderr, "0 warnings") {
			t.Errorf("exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
		}
	}
	var schema struct {
		Defs map[string]struct{ Properties map[string]any } `yaml:"$defs"`
	}
	if err := yaml.Load(rules.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"test", "scenario", "event", "alert"} {
		for key := range schema.Defs[kind].Properties {
			if !strings.Contains(string(text), "| `"+key+"` |") {
				t.Errorf("the key %s of %s is not documented", key, kind)
			}
		}
	}
}

// What the example for GitHub runs is run here, in a repository with rules: with good ones all steps pass, and a step
// fails if a rule has a slip, a failing test or too few. The results are where the last step looks for them.
func TestGitHubAction(t *testing.T) {
	text, err := os.ReadFile("../../docs/examples/github-action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		On   map[string]struct{ Paths []string }
		Jobs map[string]struct {
			RunsOn string `yaml:"runs-on"`
			Steps  []struct {
				Run, Uses string
				If        string
				With      map[string]string
			}
		}
	}
	if err := yaml.Load(text, &workflow); err != nil {
		t.Fatal(err)
	}
	job, ok := workflow.Jobs["test"]
	if !ok || job.RunsOn == "" || !slices.Contains(workflow.On["pull_request"].Paths, "rules/**") {
		t.Fatalf("got %+v", workflow)
	}
	var commands [][]string
	results, fetched := "", false
	for _, step := range job.Steps {
		if words := strings.Fields(step.Run); len(words) > 0 && words[0] == "./firstseen" {
			if !fetched {
				t.Error("the binary is run before it is there")
			}
			commands = append(commands, words[1:])
		}
		fetched = fetched || strings.Contains(step.Run, "--output firstseen ") && strings.Contains(step.Run, "chmod +x firstseen")
		if strings.HasPrefix(step.Uses, "actions/upload-artifact@") && step.If == "always()" {
			results = step.With["path"]
		}
	}
	if len(commands) != 2 || commands[0][0] != "lint" || commands[1][0] != "test" || results == "" {
		t.Fatalf("runs %q, keeps %q", commands, results)
	}
	const good = clitest.PayrollRule + "  - {Name: another bucket, ExpectedResult: false, Log: {remoteip: 192.0.2.1, bucket: logs}}\n"
	for name, c := range map[string]struct {
		rule  string
		codes []int
	}{
		"good":    {good, []int{cli.ExitOK, cli.ExitOK}},
		"slip":    {strings.Replace(good, "severity", "severty", 1), []int{cli.ExitUsage, cli.ExitUsage}},
		"failing": {strings.Replace(good, "ExpectedResult: false", "ExpectedResult: true", 1), []int{cli.ExitOK, cli.ExitFindings}},
		"too few": {clitest.PayrollRule, []int{cli.ExitOK, cli.ExitFindings}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(clitest.Files(t, "rules/payroll.yaml", c.rule))
			for i, args := range commands {
				if e := execute(t, nil, args...); e.Code != c.codes[i] {
					t.Errorf("%v: exit code %d, want %d\n%s%s", args, e.Code, c.codes[i], e.Stdout, e.Stderr)
				}
			}
			if _, err := os.Stat(filepath.Clean(results)); (err == nil) != (c.codes[1] != cli.ExitUsage) {
				t.Errorf("results: %v", err)
			}
		})
	}
}
