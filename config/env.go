package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// service matches the variables that Kubernetes gives every container for a service called firstseen.
var service = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)

func (m *merge) environ(vars []string) {
	l := make(layer)
	for _, v := range slices.Sorted(slices.Values(vars)) {
		name, text, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envPrefix+"CONFIG" || service.MatchString(name) {
			continue // FIRSTSEEN_CONFIG names the file
		}
		where := "environment " + name
		if name == envPrefix+"LANES" {
			m.lanes(l, where, text) // FIRSTSEEN_LANES_DETECT sorts behind, and wins
			continue
		}
		i := slices.IndexFunc(keys, func(k key) bool { return k.env() == name })
		if i < 0 {
			var known []string
			for _, k := range keys {
				known = append(known, k.env())
			}
			m.problem(where, "", unknown("no such key", name, known))
			continue
		}
		value, err := keys[i].parse(text)
		m.set(l, where, keys[i], value, err)
	}
	m.layers = append(m.layers, l)
}

func (m *merge) flags(flags map[string]string) {
	l := make(layer)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		where := "flag --" + strings.ReplaceAll(name, "_", "-")
		k, ok := lookup(name)
		switch {
		case ok:
			v, err := k.parse(flags[name])
			m.set(l, where, k, v, err)
		case name == "lanes":
			m.lanes(l, where, flags[name])
		default:
			m.problem(where, "", unknown(fmt.Sprintf("no such key %q", name), name, names()))
		}
	}
	m.layers = append(m.layers, l)
}
