package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Where string // "firstseen.yml:12:3", "environment FIRSTSEEN_APP", "command line", "default"; empty: nobody set it
	Key   string // empty: it concerns no key, as broken YAML
	Err   error
}

func (p *Problem) Error() string {
	var b strings.Builder
	if p.Where != "" {
		b.WriteString(p.Where + ": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Err.Error())
	return b.String()
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Problems is everything that is wrong, in the order of the sources: file, environment, flags, then what the values mean.
type Problems []*Problem

// Error has a line for each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// placed is an error at a node below the key's own.
type placed struct {
	at  *yaml.Node
	err error
}

func (p *placed) Error() string { return p.err.Error() }
func (p *placed) Unwrap() error { return p.err }

// unknown is an error with a suggestion, if one of the candidates is near what was written.
func unknown(message, written string, candidates []string) error {
	if near := nearest(written, candidates); near != "" {
		return fmt.Errorf("%s (did you mean %q?)", message, near)
	}
	return fmt.Errorf("%s", message)
}

// nearest is the candidate with the fewest edits, at most a third of the word; or whose last part it is ("ca_file").
func nearest(word string, candidates []string) (best string) {
	least := max(len(word)/3, 1) + 1
	word = strings.ToLower(word)
	for _, c := range candidates {
		if d := edits(word, strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	for _, c := range candidates {
		if best == "" && strings.HasSuffix(c, "."+word) {
			best = c
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
