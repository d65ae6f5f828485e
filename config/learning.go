package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Learning is what a deployment that begins, or gets another source topic, does about the records that are there
// already. It is decided once, by the first worker. In a file it is one of
//
//	history      learn the longest history of any rule, and alert on what comes later; the default
//	none         everything is live, from the first offset of every partition
//	{from: 30d}  learn from there on: a duration before now, a time (RFC 3339), earliest or latest
//	{for: 7d}    begin at the end of every partition, and suppress new terms for so long
//
// and its text, which stands in environment variables and flags too, is "history", "none", "from 30d" or "for 7d".
type Learning string

// learning reads a node of a file.
func learning(n *yaml.Node) (any, error) {
	text := n.Value
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content) == 2:
		text = n.Content[0].Value + " " + resolved(n.Content[1]).Value
	case n.Kind != yaml.ScalarNode:
		return nil, errors.New("must be history, none, {from: ...} or {for: ...}")
	}
	l := Learning(strings.TrimSpace(text))
	_, _, err := l.Decide(time.Now())
	return l, err
}

// Decide returns the word that Learning begins with (history, none, earliest, latest, since, for), and for since the
// time, for for the time until which findings are suppressed.
func (l Learning) Decide(now time.Time) (word string, at time.Time, err error) {
	word, arg, _ := strings.Cut(string(l), " ")
	arg = strings.TrimSpace(arg)
	d, notDuration := ParseDuration(arg)
	switch {
	case (word == "history" || word == "none") && arg == "":
		return word, at, nil
	case word == "for" && notDuration == nil && d > 0:
		return word, now.Add(time.Duration(d)), nil
	case word == "for":
		return "", at, fmt.Errorf("for: %q is not a duration such as 7d", arg)
	case word == "from" && (arg == "earliest" || arg == "latest"):
		return arg, at, nil
	case word == "from" && notDuration == nil:
		return "since", now.Add(-time.Duration(d)), nil
	case word == "from":
		if at, err = time.Parse(time.RFC3339, arg); err != nil {
			return "", at, fmt.Errorf("from: %q is none of: earliest, latest, a time such as 2026-01-31T10:00:00Z, a duration before now such as 30d", arg)
		}
		if at.After(now) {
			return "", at, fmt.Errorf("from: %s is in the future; latest begins at the end of every partition", arg)
		}
		return "since", at, nil
	}
	return "", at, unknown(fmt.Sprintf("%q is not one of history, none, {from: ...}, {for: ...}", string(l)), word, []string{"history", "none", "from", "for"})
}
