package rules

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What except matches is no match, of any kind of rule, and nothing further of the event is looked at: not even a source
// that the allowlist could not compare.
func TestExcept(t *testing.T) {
	const except = "except: 'bucket: scratch* or remoteip: 192.0.2.0/24 or key: \"x\"'\n"
	record := func(remoteIP, bucket, more string) string {
		return strings.TrimSuffix(accessFrom(remoteIP, bucket), "}") + more + "}"
	}
	for kind, keys := range map[string]string{
		"query":     "query: 'operation: REST.GET.*'\n",
		"all":       "",
		"allowlist": "allowlist: {field: remoteip, networks: [10.0.0.0/8]}\n",
		"new terms": "new_terms: {fields: [source.address], history: 7d}\n",
		"threshold": "query: 'operation: REST.GET.OBJECT'\ndedup: {by: [bucket], period: 1h}\nthreshold: 3\n",
	} {
		file := filepath.Join(write(t, "r.yaml", listRule+keys+except), "r.yaml")
		s := mustLoad(t, LoadOptions{Paths: []string{file}, NoBuiltin: true})
		for event, want := range map[string]string{
			record(`"203.0.113.7"`, "acme", ""):             "list",
			record(`"203.0.113.7"`, "acme", `, "key": "y"`): "list",
			record(`"203.0.113.7"`, "acme", `, "key": "x"`): "",
			record(`"203.0.113.7"`, "scratch-1", ""):        "",
			record(`"192.0.2.9"`, "acme", ""):               "",
			record(`"no address"`, "scratch-1", ""):         "", // before the allowlist: no error
			record(`null`, "scratch-1", ""):                 "",
		} {
			if got := verdicts(t, s, event); got != want {
				t.Errorf("%s rule, %s: got %q, want %q", kind, event, got, want)
			}
		}
	}
	file := filepath.Join(write(t, "r.yaml", listRule+"allowlist: {field: remoteip, networks: [10.0.0.0/8]}\n"+except), "r.yaml")
	s := mustLoad(t, LoadOptions{Paths: []string{file}, NoBuiltin: true})
	if got := verdicts(t, s, accessFrom(`"no address"`, "acme")); got != "list error" {
		t.Errorf("what is not excepted is looked at as ever: got %q", got)
	}
}

// Both built-in rules take exceptions from the configuration and the command line, and lose them again.
func TestExceptAsAnOverride(t *testing.T) {
	read := anonymous("anonymous", "203.0.113.7", `,"requestParameters":{"bucketName":"public-site"}`)
	get := accessFrom(`"203.0.113.7"`, "public-site")
	for _, o := range []LoadOptions{
		{Set: []string{
			rareSource + ".except=aws.cloudtrail.flattened.request_parameters.bucketName: public-*",
			ipList + `.except="nothing" or bucket: (public-site or "other")`, // taken as it is: not YAML
		}},
		{Overrides: map[string]map[string]any{
			rareSource: {"except": `source.address: "203.0.113.7"`},
			ipList:     {"except": "source.ip: 203.0.113.0/24"},
		}},
	} {
		if got := verdicts(t, mustLoad(t, o), read) + verdicts(t, mustLoad(t, o), get); got != "" {
			t.Errorf("%+v: %s match", o, got)
		}
		o.Set = append(o.Set, rareSource+".except=null", ipList+".except=null")
		s := mustLoad(t, o)
		if got := verdicts(t, s, read) + " " + verdicts(t, s, get); got != rareSource+" "+ipList {
			t.Errorf("%+v: taken back, %s match", o, got)
		}
		if s.Hash() != mustLoad(t, LoadOptions{}).Hash() {
			t.Errorf("%+v: a rule without exceptions is what it was before there were any", o)
		}
	}
	_, _, err := Load(LoadOptions{Set: []string{rareSource + ".except=remoteip: 10.0.0.0/8"}})
	if err == nil || !strings.Contains(err.Error(), `except:1:1: except: records of aws.cloudtrail have no "remoteip"`) {
		t.Errorf("a field of the other dataset: %v", err)
	}
}

// The prefilter asks for what the query needs, never for what except names, nor does except take anything from it.
func TestExceptLeavesTheFilterAlone(t *testing.T) {
	with, without := []string{
		rareSource + `.except=event.action: "PutObject" and not user_agent.original: "x" and not event.provider: "s3.amazonaws.com"`,
		ipList + `.except=not bucket: "acme"`,
	}, []string(nil)
	if got, want := mustLoad(t, LoadOptions{Set: with}).Filters(), mustLoad(t, LoadOptions{Set: without}).Filters(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Workers that learn of a rule from another one make the same exceptions; what has been seen stays.
func TestExceptIsPublished(t *testing.T) {
	one := mustLoad(t, LoadOptions{Set: []string{ipList + `.except=bucket: a   or ( bucket:"b" )`}})
	same := mustLoad(t, LoadOptions{Set: []string{ipList + `.except=bucket: (a or b)`}})
	if one.Hash() != same.Hash() || one.Hash() == mustLoad(t, LoadOptions{}).Hash() {
		t.Error("the hash is not that of the meaning")
	}
	decoded, err := Decode(one.Encode())
	if err != nil {
		t.Fatal(err)
	}
	for bucket, want := range map[string]string{"a": "", "b": "", "c": ipList} {
		if got := verdicts(t, decoded, accessFrom(`"203.0.113.7"`, bucket)); got != want {
			t.Errorf("bucket %s: got %q, want %q", bucket, got, want)
		}
	}
	if one.Rule(ipList).State() != mustLoad(t, LoadOptions{}).Rule(ipList).State() {
		t.Error("an exception starts the history anew")
	}
}
