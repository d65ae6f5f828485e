package config

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What is printed is a file that loads to the same configuration, secrets aside.
func TestPrintedConfigurationLoads(t *testing.T) {
	c := load(t, minimal+`sasl: {mechanism: PLAIN, username: "a: b", password: hunter2}
rules: {set: [A.b=c], overrides: {AWS.S3.ServerAccess.IPWhitelist: {allowlist: {networks: [10.0.0.0/8]}}}}
close_after: 90s
`, "FIRSTSEEN_BROKERS=a:1,b:2")
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("the password is printed:\n%s", out.String())
	}
	for _, want := range []string{"environment FIRSTSEEN_BROKERS", "f.yml:4:14", "# default"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	again := load(t, out.String())
	again.SASL.Password = c.SASL.Password
	again.from, c.from = nil, nil
	if !reflect.DeepEqual(again, c) {
		t.Errorf("printed:\n%s\nloaded %+v\nwant   %+v", out.String(), again, c)
	}
}

// The example mentions every key, and loads: as it is, and with everything that it comments out.
func TestExampleFile(t *testing.T) {
	text, err := os.ReadFile("firstseen.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(Layers{File: "firstseen.example.yml"})
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	for _, k := range keys {
		name := k.name[strings.LastIndexByte(k.name, '.')+1:]
		if !strings.Contains(string(text), name+":") && !strings.Contains(string(text), "or "+name) {
			t.Errorf("%s is not in the example", k.name)
		}
	}

	// The lines "# key: value" at their places, but for those of other SASL mechanisms.
	isKey := regexp.MustCompile(`^[a-z_]+$`)
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		head, rest, ok := strings.Cut(line, "# ")
		if key, _, _ := strings.Cut(strings.TrimSpace(rest), ":"); ok && strings.TrimSpace(head) == "" && isKey.MatchString(key) {
			if !slices.Contains([]string{"token_file", "extensions", "access_key", "secret_key_file", "session_token_file"}, key) {
				lines[i] = head + rest
			}
		}
	}
	full := load(t, strings.Join(lines, "\n"))
	def := Default()
	if full.Commit != def.Commit || full.Bounds != def.Bounds || full.Learning != def.Learning || full.Validate != def.Validate || full.Purge != def.Purge ||
		full.Close != def.Close || full.Partition != def.Partition || full.Replicas != def.Replicas || full.Stop != def.Stop || full.OnGap != def.OnGap ||
		full.State.Cache != def.State.Cache || full.State.MemTable != def.State.MemTable || full.HTTP.Listen != def.HTTP.Listen || !slices.Equal(full.Outputs, def.Outputs) {
		t.Errorf("the example's defaults are not the defaults: %+v", full)
	}
}

// schema is the part of JSON Schema that schema.json uses.
type schema struct {
	Type                 any
	Enum                 []string
	Default              any
	Description          string
	Properties           map[string]schema
	AdditionalProperties any
	Items                *schema
}

// The schema has the keys, the values, the types and the defaults of the decoder; nothing more, nothing less.
func TestSchemaIsTheDecoder(t *testing.T) {
	var root schema
	if err := json.Unmarshal(Schema, &root); err != nil {
		t.Fatal(err)
	}
	inSchema := make(map[string]schema)
	collect(t, root, "", inSchema)
	def := reflect.ValueOf(Default()).Elem()
	for _, k := range keys {
		s, ok := inSchema[k.name]
		if !ok {
			t.Errorf("%s is not in the schema", k.name)
			continue
		}
		delete(inSchema, k.name)
		if s.Description == "" {
			t.Errorf("%s has no description", k.name)
		}
		enum := s.Enum
		if s.Items != nil && k.typ.Elem().Kind() == reflect.String {
			enum = s.Items.Enum
		}
		if !slices.Equal(enum, k.oneof) {
			t.Errorf("%s: the schema allows %q, the decoder %q", k.name, enum, k.oneof)
		}
		if want := schemaType(k); s.Enum == nil && !reflect.DeepEqual(s.Type, want) {
			t.Errorf("%s: type %v in the schema, want %v", k.name, s.Type, want)
		}
		if k.name == "instance" || k.name == "lanes.ingest" {
			continue // of the machine
		}
		if got := asJSON(def.FieldByIndex(k.index)); fmt.Sprint(s.Default) != got && (s.Default != nil || !slices.Contains([]string{"", "[]", "map[]"}, got)) {
			t.Errorf("%s: default %v in the schema, %s in the code", k.name, s.Default, got)
		}
	}
	for name := range inSchema {
		t.Errorf("%s is in the schema only", name)
	}
	source := root.Properties["sources"].Items
	if len(source.Properties) != reflect.TypeFor[Source]().NumField() || !slices.Equal(source.Properties["format"].Enum, []string{"auto", "cloudtrail", "s3access"}) {
		t.Errorf("a source in the schema: %+v", source)
	}
}

func collect(t *testing.T, s schema, prefix string, into map[string]schema) {
	if s.AdditionalProperties != false {
		t.Errorf("%q allows unknown keys", prefix)
	}
	for name, p := range s.Properties {
		if len(p.Properties) > 0 {
			collect(t, p, prefix+name+".", into)
		} else {
			into[prefix+name] = p
		}
	}
}

func schemaType(k key) any {
	switch k.typ {
	case reflect.TypeFor[Duration]():
		return "string"
	case reflect.TypeFor[Learning]():
		return []any{"string", "object"}
	case reflect.TypeFor[Size]():
		return []any{"string", "integer"}
	}
	return map[reflect.Kind]any{reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Slice: "array", reflect.Map: "object"}[k.typ.Kind()]
}

// asJSON is a default as JSON decoded into any prints.
func asJSON(v reflect.Value) string {
	if v.Kind() == reflect.Int {
		return fmt.Sprint(float64(v.Int()))
	}
	return fmt.Sprint(v.Interface())
}
