package main

import (
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	for _, name := range []string{"MINUTES", "BROKER", "RATE", "PORT", "DIR", "BINARY"} {
		t.Setenv("SOAK_"+name, "")
	}
	s, err := readSettings()
	if err != nil || s.minutes != 30 || s.broker != "kafka" || s.rate != 4000 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, test := range []struct{ name, value, want string }{
		{"MINUTES", "soon", `SOAK_MINUTES must be a number above 0, is "soon"`},
		{"MINUTES", "5", "SOAK_MINUTES times SOAK_RATE must be at least 60000"},
		{"RATE", "-1", "SOAK_RATE must be a number above 0"},
		{"BROKER", "redpanda", `SOAK_BROKER must be kafka or embedded, is "redpanda"`},
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			t.Setenv("SOAK_"+test.name, test.value)
			if _, err := readSettings(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// A metric and its value are apart at the last blank: labels may have others.
func TestCutLast(t *testing.T) {
	for _, test := range []struct {
		line, name, value string
		ok                bool
	}{{`a{b="c d"} 1`, `a{b="c d"}`, "1", true}, {"a 1", "a", "1", true}, {"a", "a", "", false}} {
		if name, value, ok := cutLast(test.line, " "); name != test.name || value != test.value || ok != test.ok {
			t.Errorf("%s: %q, %q, %v", test.line, name, value, ok)
		}
	}
}
