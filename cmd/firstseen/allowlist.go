package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/deployment"
	"firstseen/cmd/firstseen/internal/why"
	"firstseen/rules"
	"firstseen/rules/allowlist"
	"firstseen/rules/rulefile"
)

type allowlistCmd struct {
	Check allowlistCheckCmd `cmd:"" help:"Which entry of which file allows an address, or that none does."`
}

type allowlistCheckCmd struct {
	deployment.RuleFlags `embed:""`
	Rule                 string    `placeholder:"ID" help:"Only the allowlist of this rule. Default: those of all rules that are not off."`
	At                   time.Time `placeholder:"TIME" help:"The time of the request, by which entries expire; RFC 3339. Default: now."`
	JSON                 bool      `name:"json" help:"Print the answers as one JSON document."`
	Addresses            []string  `arg:"" name:"ip" help:"Addresses, or networks in CIDR form, as a request has them."`
}

// listAnswer is what the allowlist of a rule makes of an address.
type listAnswer struct {
	Address string      `json:"address"`
	Rule    string      `json:"rule"`
	Inside  bool        `json:"inside"`
	Entry   *why.Entry  `json:"entry,omitempty"`   // which decides
	Expired []why.Entry `json:"expired,omitempty"` // around the address, no longer
	entries int
}

// Run answers for each address and each rule. It exits with 1 if an address is outside an allowlist, so that the rule
// would match where its query does.
func (c *allowlistCheckCmd) Run(a *cli.App) error {
	set, err := c.Load(io.Discard) // an empty allowlist is an answer here, no warning
	if err != nil {
		return err
	}
	lists, err := c.lists(set)
	if err != nil {
		return cli.Usage(err)
	}
	at := time.Now()
	if !c.At.IsZero() {
		at = c.At
	}
	var answers []listAnswer
	outside := false
	for _, address := range c.Addresses {
		network, err := allowlist.ParseSource([]byte(address), set.Strict())
		if err != nil {
			return cli.Usage(err)
		}
		for _, r := range lists {
			written := r.Text().Allowlist.Written
			answer := newListAnswer(allowlist.Decide(written, network, set.Strict(), at.UnixMilli()))
			answer.Address, answer.Rule, answer.entries = address, r.ID(), len(written)
			answers, outside = append(answers, answer), outside || !answer.Inside
		}
	}
	if c.JSON {
		enc := json.NewEncoder(a.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(answers)
	} else {
		for _, answer := range answers {
			_, werr := fmt.Fprintln(a.Stdout, answer)
			err = errors.Join(err, werr)
		}
	}
	if err == nil && outside {
		return cli.Exit(cli.ExitFindings, nil)
	}
	return err
}

// lists are the rules with an allowlist that are asked.
func (c *allowlistCheckCmd) lists(set *rules.Set) (list []*rules.Rule, err error) {
	var ids []string
	for _, r := range set.Rules() {
		if r.Text().Allowlist == nil || c.Rule == "" && r.Mode() == rulefile.Off {
			continue
		}
		ids = append(ids, r.ID())
		if c.Rule == "" || c.Rule == r.ID() {
			list = append(list, r)
		}
	}
	switch {
	case len(list) > 0:
		return list, nil
	case len(ids) == 0:
		return nil, errors.New("no rule with an allowlist is loaded: give its file with --rules, or a configuration with -c")
	case set.Rule(c.Rule) != nil:
		return nil, fmt.Errorf("rule %s has no allowlist; those with one: %s", c.Rule, strings.Join(ids, ", "))
	}
	return nil, rules.Errors{{Message: fmt.Sprintf("no rule %q with an allowlist is loaded", c.Rule), Suggestion: rulefile.Nearest(c.Rule, ids)}}
}

func newListAnswer(d allowlist.Decision) listAnswer {
	var answer listAnswer
	answer.Entry, answer.Expired = why.Entries(d)
	answer.Inside = answer.Entry != nil
	return answer
}

// String is the answer for people: a line, and a line for each entry that has expired.
func (l listAnswer) String() string {
	var b strings.Builder
	switch {
	case l.Inside:
		fmt.Fprintf(&b, "%s  inside   %s: %s", l.Address, l.Rule, l.Entry)
	case l.entries == 0:
		fmt.Fprintf(&b, "%s  outside  %s: its allowlist is empty, so every address alerts", l.Address, l.Rule)
	default:
		fmt.Fprintf(&b, "%s  outside  %s: in none of its %s, so it alerts", l.Address, l.Rule, map[bool]string{true: "1 entry", false: fmt.Sprintf("%d entries", l.entries)}[l.entries == 1])
	}
	for _, e := range l.Expired {
		fmt.Fprintf(&b, "\n    expired: %s", e)
	}
	return b.String()
}
