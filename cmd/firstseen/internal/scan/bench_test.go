//go:build unix

package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/schemas/jsonscan"
	"firstseen/traffic"
)

// trailFiles makes a directory of CloudTrail files as AWS delivers them, with two records in a hundred that a rule
// matches. It returns how many bytes they have, decompressed.
func trailFiles(t testing.TB, files, records int) (dir string, size int64) {
	t.Helper()
	o := traffic.Defaults()
	o.Trail, o.Anonymous = 1, 0.02
	g, err := traffic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for i := range files {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		sep := `{"Records":[`
		for range records {
			n, err := fmt.Fprintf(z, "%s%s", sep, g.Next().Value)
			if err != nil {
				t.Fatal(err)
			}
			size += int64(n)
			sep = ","
		}
		_, err := io.WriteString(z, "]}")
		if err = errors.Join(err, z.Close(), os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.json.gz", i)), b.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, size
}

// decompressAndSplit does what no scan of such files can do without, on all cores: it returns the number of records.
func decompressAndSplit(t testing.TB, dir string) (records int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	queue, counts := make(chan string), make(chan int)
	var readers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			var z gzip.Reader
			var b bytes.Buffer
			n := 0
			for path := range queue {
				file, err := os.Open(path)
				if err = errors.Join(err, z.Reset(file)); err != nil {
					t.Error(err)
					continue
				}
				b.Reset()
				_, err = b.ReadFrom(&z)
				if err = errors.Join(err, file.Close()); err != nil {
					t.Error(err)
				}
				data := b.Bytes()
				for i := bytes.IndexByte(data, '[') + 1; data[i] != ']'; n++ {
					if i, _ = jsonscan.Skip(data, i); data[i] == ',' {
						i++
					}
				}
			}
			counts <- n
		})
	}
	go func() {
		for _, path := range paths {
			queue <- path
		}
		close(queue)
		readers.Wait()
		close(counts)
	}()
	for n := range counts {
		records += n
	}
	return records
}

// cost is the least that something took.
type cost struct{ wall, cpu time.Duration }

func (c *cost) of(fn func()) {
	cpu := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	began, used := time.Now(), cpu()
	fn()
	wall, spent := time.Since(began), cpu()-used
	if c.wall == 0 || wall < c.wall {
		c.wall = wall
	}
	if c.cpu == 0 || spent < c.cpu {
		c.cpu = spent
	}
}

// What a scan of gzip CloudTrail files costs, beside what it takes to decompress and split them, with the built-in rules
// and with 200 more. The three take turns, so that what else the machine does slows all of them down, and the least of each
// counts: rate is that of the wall clock, cpu is that of all threads. Run it with -cpu 1,2.
func BenchmarkScan(b *testing.B) {
	const files, records = 64, 1000
	dir, size := trailFiles(b, files, records)
	rules := b.TempDir()
	for i := range 200 {
		rule := fmt.Sprintf("id: rule-%d\nname: Rule\ndataset: aws.cloudtrail\nseverity: low\nquery: >-\n  event.provider: \"iam.amazonaws.com\" and event.action: (\"Create%d\" or \"Delete%d\") and event.outcome: \"success\"\n", i, i, i)
		if err := os.WriteFile(filepath.Join(rules, fmt.Sprintf("%d.yaml", i)), []byte(rule), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	scan := func(args ...string) {
		var stderr bytes.Buffer
		if code := cli.Run(commands(), &cli.App{Ctx: b.Context(), Stdout: io.Discard, Stderr: &stderr}, append([]string{"scan"}, append(args, dir)...)); code != cli.ExitOK {
			b.Fatal(stderr.String())
		}
	}
	var split, two, many cost
	for b.Loop() {
		split.of(func() {
			if n := decompressAndSplit(b, dir); n != files*records {
				b.Fatalf("%d records", n)
			}
		})
		two.of(func() { scan() })
		many.of(func() { scan("--rules", rules) })
	}
	b.ReportMetric(0, "ns/op")
	for _, m := range []struct {
		name string
		cost
	}{{"split", split}, {"scan", two}, {"scan202", many}} {
		b.ReportMetric(float64(size)/1e6/m.wall.Seconds(), m.name+"-MB/s")
		b.ReportMetric(float64(m.cpu.Nanoseconds())/(files*records), m.name+"-cpu-ns/record")
	}
	b.ReportMetric(split.wall.Seconds()/two.wall.Seconds(), "rate/split")
	b.ReportMetric(split.cpu.Seconds()/two.cpu.Seconds(), "cpu-rate/split")
	b.ReportMetric(many.cpu.Seconds()/two.cpu.Seconds(), "cpu-202/2")
}
