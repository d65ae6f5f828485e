package rulefile

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"firstseen/schemas"
)

// use is a field name in the rule. Whether it is right depends on the dataset, which may come later in the file.
type use struct {
	node   *yaml.Node
	offset int // in the node's value
	field  string
	where  string
}

func (d *decoder) use(n *yaml.Node, offset int, field, where string) {
	d.uses = append(d.uses, use{n, offset, field, where})
}

// flattened are the objects of CloudTrail whose members are fields by their own names: any may exist.
var flattened = []string{
	"aws.cloudtrail.flattened.request_parameters", "aws.cloudtrail.flattened.response_elements",
	"aws.cloudtrail.flattened.additional_eventdata", "aws.cloudtrail.flattened.service_event_details",
}

func isFlattened(name string) bool {
	return slices.ContainsFunc(flattened, func(object string) bool {
		return name == object || strings.HasPrefix(name, object+".") && !strings.HasSuffix(name, ".")
	})
}

// datasetPrefix is what only records of one dataset have.
var datasetPrefix = map[string]schemas.Dataset{"aws.cloudtrail.": schemas.CloudTrail, "aws.s3access.": schemas.S3Access}

func (d *decoder) checkUses(dataset string) {
	for _, u := range d.uses {
		name, wild := u.field, strings.Contains(u.field, "*")
		f, known := schemas.Known(u.field)
		switch {
		case known:
			name = f.Name()
		case wild && u.where != "query" && u.where != "except":
			d.problem(u.node, u.offset, "%s: a field without wildcards is needed, not %q", u.where, clip(u.field))
			continue
		case wild && !anyKnown(u.field), !wild && !isFlattened(u.field):
			d.problem(u.node, u.offset, "%s: unknown field %q", u.where, clip(u.field)).Suggestion = nearestField(u.field, dataset)
			continue
		}
		for prefix, of := range datasetPrefix {
			if strings.HasPrefix(name, prefix) && dataset != "" && dataset != of.String() {
				d.problem(u.node, u.offset, "%s: records of %s have no %q", u.where, dataset, u.field)
			}
		}
	}
}

// anyKnown says whether a name with wildcards fits a field that events may have.
func anyKnown(pattern string) bool {
	head, _, _ := strings.Cut(pattern, "*")
	for _, object := range flattened {
		if strings.HasPrefix(object+".", head) || strings.HasPrefix(head, object+".") {
			return true
		}
	}
	// Field names have no slash, so * means in path.Match what it means here; what else is special there is in no name.
	return slices.ContainsFunc(schemas.KnownNames(), func(name string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// nearestField prefers the fields of the rule's dataset.
func nearestField(field, dataset string) string {
	names := slices.DeleteFunc(schemas.KnownNames(), func(name string) bool {
		if f, ok := schemas.Known(name); ok {
			name = f.Name()
		}
		for prefix, of := range datasetPrefix {
			if strings.HasPrefix(name, prefix) && dataset != of.String() {
				return true
			}
		}
		return false
	})
	// Behind the object, a flattened name is whatever the record calls it.
	if words := strings.SplitN(field, ".", 5); len(words) == 5 {
		if object := Nearest(strings.Join(words[:4], "."), flattened); object != "" {
			return object + "." + words[4]
		}
	}
	// The end of a long name written alone is a common slip.
	for _, name := range names {
		if strings.HasSuffix(name, "."+field) {
			return name
		}
	}
	return Nearest(field, names)
}

func escapeTemplate(s string) string {
	return strings.NewReplacer("{", "{{", "}", "}}").Replace(s)
}
