// Package compose holds the compose file and proves, without a docker daemon, that it says what it should: it is read
// with compose-spec's own library. It is a module of its own, so that this library is no dependency of the worker.
package compose

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func load(t *testing.T, path string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, "compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every service runs what its name says, once the service it needs is there.
func TestServices(t *testing.T) {
	p := project(t)
	for _, tt := range []struct {
		name, command, needs, condition string
	}{
		{"kafka", "", "", ""},
		{"topics", "topics create", "kafka", types.ServiceConditionHealthy},
		{"generator", "gen", "topics", types.ServiceConditionCompletedSuccessfully},
		{"worker-1", "run", "topics", types.ServiceConditionCompletedSuccessfully},
		{"worker-2", "run", "topics", types.ServiceConditionCompletedSuccessfully},
		{"tail", "tail", "topics", types.ServiceConditionCompletedSuccessfully},
	} {
		s, ok := p.Services[tt.name]
		if !ok {
			t.Errorf("no service %s", tt.name)
			continue
		}
		if got := strings.Join(s.Command, " "); !strings.HasPrefix(got, tt.command) {
			t.Errorf("%s runs %q, want %q", tt.name, got, tt.command)
		}
		if tt.needs != "" && s.DependsOn[tt.needs].Condition != tt.condition {
			t.Errorf("%s waits for %v, want %s to be %s", tt.name, s.DependsOn, tt.needs, tt.condition)
		}
	}
	if len(p.Services) != 6 {
		t.Errorf("%d services, want 6: %v", len(p.Services), p.ServiceNames())
	}
}

// Workers keep their name and their state over a restart, share neither, and tell when they are ready.
func TestWorkers(t *testing.T) {
	p := project(t)
	names, volumes := map[string]bool{}, map[string]bool{}
	for _, worker := range []string{"worker-1", "worker-2"} {
		s := p.Services[worker]
		names[s.Hostname] = true
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeVolume && v.Target == "/var/lib/firstseen" {
				volumes[v.Source] = true
			}
		}
		if s.HealthCheck == nil || !strings.HasSuffix(strings.Join(s.HealthCheck.Test, " "), "/readyz") {
			t.Errorf("%s: no health check by /readyz", worker)
		}
	}
	if len(names) != 2 || len(volumes) != 2 {
		t.Errorf("two workers have the names %v and the state volumes %v", names, volumes)
	}
}

// Nothing is reachable from another machine, and what we build runs as nobody and cannot change its own files.
func TestConfined(t *testing.T) {
	for name, s := range project(t).Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open on %q", name, port.Published, port.HostIP)
			}
		}
		if s.Build == nil {
			continue
		}
		if s.User != "65532:65532" || !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s: user %q, read-only %v, dropped %v", name, s.User, s.ReadOnly, s.CapDrop)
		}
	}
}

// Files the compose file names are there, and its Kafka is the one the tests run on.
func TestFiles(t *testing.T) {
	p := project(t)
	for name, c := range p.Configs {
		if _, err := os.Stat(c.File); err != nil {
			t.Errorf("config %s: %v", name, err)
		}
	}
	build := p.Services["worker-1"].Build
	if _, err := os.Stat(filepath.Join(build.Context, build.Dockerfile)); err != nil {
		t.Error(err)
	}
	pom, err := os.ReadFile("../scripts/pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`<kafka.version>(.*)</kafka.version>`).FindSubmatch(pom)
	if version == nil || p.Services["kafka"].Image != "apache/kafka:"+string(version[1]) {
		t.Errorf("compose runs %s, the tests Kafka %s", p.Services["kafka"].Image, version)
	}
}

// The library refuses what docker compose would refuse, so the tests above mean something.
func TestRefused(t *testing.T) {
	good, err := os.ReadFile("compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, old, new, err string
	}{
		{"misspelt key", "healthcheck:", "healtcheck:", "healtcheck"},
		{"unknown dependency", "kafka: {condition: service_healthy}", "kafak: {condition: service_healthy}", "kafak"},
		{"unknown condition", "service_healthy", "service_helthy", "must be one of"},
		{"undefined volume", `"worker-1:/var/lib/firstseen"`, `"worker-3:/var/lib/firstseen"`, "worker-3"},
		{"unset variable", "image: firstseen", "image: ${FIRSTSEEN_IMAGE:?no image}", "no image"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(string(good), tt.old) {
				t.Fatalf("%q is not in compose.yml", tt.old)
			}
			path := filepath.Join(t.TempDir(), "compose.yml")
			if err := os.WriteFile(path, []byte(strings.Replace(string(good), tt.old, tt.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := load(t, path)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want an error about %s", err, tt.err)
			}
		})
	}
}

// The program knows every command line in the compose file, flags included, and accepts the configuration.
func TestCommands(t *testing.T) {
	firstseen := filepath.Join(t.TempDir(), "firstseen")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", firstseen, "./cmd/firstseen")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(args ...string) {
		if out, err := exec.Command(firstseen, args...).CombinedOutput(); err != nil {
			t.Errorf("firstseen %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	p := project(t)
	for _, s := range p.Services {
		if s.Build == nil {
			continue
		}
		args := append(slices.Clone(s.Command), "--help")
		for _, c := range s.Configs {
			if i := slices.Index(args, c.Target); i >= 0 {
				args[i] = p.Configs[c.Source].File
			}
		}
		run(args...)
	}
	run("lint", "-c", p.Configs["firstseen"].File)
}
