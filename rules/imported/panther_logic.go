package imported

import (
	"fmt"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v4"

	"firstseen/rules/builtin"
	"firstseen/schemas"
)

// logic is what a rule file says instead of Python.
type logic struct {
	ID        string    `yaml:"id"`
	Query     string    `yaml:"query"`
	Except    string    `yaml:"except"`
	Allowlist yaml.Node `yaml:"allowlist"`
	Title     string    `yaml:"title"`
}

// logic takes the logic from the program's own rule of the same id, or writes a place to put it.
func (p *panther) logic() {
	own, where := ownLogic(p.rule.ID)
	if own == nil {
		p.note("Filename", fmt.Sprintf("the logic in %s is not carried: write query and title, then take out mode: off", p.python))
		p.rule.Query, p.rule.Mode = fmt.Sprintf("event.action: %q", "the logic of "+p.python+" is not written yet"), "off"
		return
	}
	p.note("Filename", fmt.Sprintf("the logic is that of firstseen's %s, not of %s: lists of buckets, networks or roles that were changed there have to be written here", where, p.python))
	p.rule.Query, p.rule.Except, p.rule.Title = tidy(own.Query), tidy(own.Except), own.Title
	if own.Allowlist.Kind != 0 {
		p.rule.Allowlist = &own.Allowlist
	}
}

// ownLogic finds the program's own rule of that id, built in or a preset, and says where it is.
func ownLogic(id string) (own *logic, where string) {
	if _, text, ok := builtin.Preset(id); ok {
		if own = readLogic(text); own.ID == id {
			return own, "preset " + id
		}
	}
	files, _ := fs.Glob(builtin.Files, "*.yaml") // the pattern is fine
	for _, file := range files {
		text, err := builtin.Files.ReadFile(file)
		if own = readLogic(text); err == nil && own.ID == id {
			return own, "built-in rule " + id
		}
	}
	return nil, ""
}

func readLogic(text []byte) *logic {
	var l logic
	if err := yaml.Load(text, &l); err != nil {
		return &logic{} // not reached: they are under test
	}
	return &l
}

// cloudTrailNames are the fields of what Panther's rules name by CloudTrail's own names, in lower case.
var cloudTrailNames = map[string]string{
	"eventname": "event.action", "eventsource": "event.provider", "awsregion": "cloud.region", "sourceipaddress": "source.address",
	"useragent": "user_agent.original", "recipientaccountid": "aws.cloudtrail.recipient_account_id", "vpcendpointid": "aws.cloudtrail.vpc_endpoint_id",
	"errorcode": "aws.cloudtrail.error_code", "errormessage": "aws.cloudtrail.error_message",
	"useridentity.type": "aws.cloudtrail.user_identity.type", "useridentity.arn": "aws.cloudtrail.user_identity.arn",
	"useridentity.principalid": "user.id", "useridentity.accountid": "cloud.account.id", "useridentity.username": "user.name",
	"requestparameters": "aws.cloudtrail.request_parameters", "responseelements": "aws.cloudtrail.response_elements",
}

// summary carries the attributes whose top values an alert shows. One that no record has is left out: nothing depends on
// it.
func (p *panther) summary(n *yaml.Node) {
	var out []string
	for _, name := range p.texts("SummaryAttributes", n) {
		if field, ok := p.field(name); ok {
			p.rule.SummaryAttributes = append(p.rule.SummaryAttributes, field)
		} else {
			out = append(out, name)
		}
	}
	if len(out) > 0 {
		p.note("SummaryAttributes", "left out, as no record has it: "+strings.Join(out, ", "))
	}
}

// field finds what a name of Panther's is called here. A colon there is a dot here.
func (p *panther) field(name string) (string, bool) {
	if p.dataset == schemas.S3Access {
		lower := strings.ToLower(name)
		_, ok := schemas.Known(lower)
		return lower, ok
	}
	path := strings.ReplaceAll(name, ":", ".")
	for object, flattened := range map[string]string{"requestParameters.": "request_parameters.", "responseElements.": "response_elements."} {
		if member, ok := strings.CutPrefix(path, object); ok {
			return "aws.cloudtrail.flattened." + flattened + member, true
		}
	}
	field, ok := cloudTrailNames[strings.ToLower(path)]
	return field, ok
}
