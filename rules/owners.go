package rules

import (
	"fmt"
	"strings"

	"firstseen/rules/rulefile"
	"firstseen/schemas"
	"firstseen/schemas/asn"
)

// Owners is what a decoder asks for source.as.*; nil when no rule needs it, or none was loaded.
func (s *Set) Owners() schemas.Owners { return s.owners }

// owners loads the database of networks if a rule that is not off needs it. Without one the fields of such a rule would
// be absent from every record, and it would say nothing, or, behind a `not`, too much: so it is refused.
func (l *loader) owners(s *Set) error {
	var problems Errors
	for _, r := range s.rules {
		if field := ownerField(r.text); field != "" && r.text.Mode != rulefile.Off {
			problems = append(problems, r.warning(field+" is looked up in a database of networks, and none is named: rules.asn in the configuration, or --asn"))
		}
	}
	switch {
	case len(problems) == 0:
		return nil
	case l.options.ASN == "" && l.options.Unready:
		l.warnings = append(l.warnings, problems...)
		return nil
	case l.options.ASN == "":
		return problems.Sorted()
	}
	database, err := asn.Open(l.options.ASN)
	if err != nil {
		return fmt.Errorf("database of networks: %w", err)
	}
	s.owners = database
	return nil
}

// ownerField is the first field of the rule that comes from a database of networks.
func ownerField(t *rulefile.Rule) string {
	for _, name := range fieldNames(t) {
		if strings.HasPrefix(name, "source.as.") {
			return name
		}
	}
	return ""
}
