package schemas

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll returns what the messages of a file are decoded to, each with its line.
func readAll(t *testing.T, r io.Reader, bounds Bounds) []string {
	t.Helper()
	f := NewFileReader(r, "some.log", bounds)
	d := NewDecoder(Config{Bounds: bounds})
	var got []string
	for {
		m, err := f.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		m.Now = now
		c := &collector{layout: d.layout, names: []string{"source.address"}}
		d.Decode(m, c)
		for _, line := range c.lines {
			got = append(got, fmt.Sprintf("%s:%d %s", m.File, m.Line, line))
		}
	}
}

func TestFileReader(t *testing.T) {
	a, b := from("192.0.2.1"), from("192.0.2.2")
	la := lineFrom("192.0.2.1")
	file := `{"Records":[` + a + "," + b + `]}`
	big := strings.Replace(a, "192.0.2.1", strings.Repeat("x},{", 9000), 1)
	for _, test := range []struct {
		name, content string
		want          []string
	}{
		{"empty", " \n", nil},
		{"records", a + "\n" + b + "\n", []string{"1 0 aws.cloudtrail 192.0.2.1", "2 0 aws.cloudtrail 192.0.2.2"}},
		{"records, concatenated", a + b, []string{"1 0 aws.cloudtrail 192.0.2.1", "1 0 aws.cloudtrail 192.0.2.2"}},
		{"records, pretty-printed", "\xef\xbb\xbf\n" + pretty(a) + "\r\n" + pretty(b), []string{"2 0 aws.cloudtrail 192.0.2.1", "53 0 aws.cloudtrail 192.0.2.2"}},
		{"file", file, []string{"1 0 aws.cloudtrail 192.0.2.1", "1 1 aws.cloudtrail 192.0.2.2"}},
		{"file, gzip", gzipped(file), []string{"1 0 aws.cloudtrail 192.0.2.1", "1 1 aws.cloudtrail 192.0.2.2"}},
		{"files in a row, gzip", gzipped(file + file + " "), []string{"1 0 aws.cloudtrail 192.0.2.1", "1 1 aws.cloudtrail 192.0.2.2", "1 0 aws.cloudtrail 192.0.2.1", "1 1 aws.cloudtrail 192.0.2.2"}},
		{"file and line, gzip", gzipped(file + "\n" + la), []string{"1 0 aws.cloudtrail 192.0.2.1", "1 1 aws.cloudtrail 192.0.2.2", "2 0 aws.s3access 192.0.2.1"}},
		{"file with braces in a string, gzip", gzipped(strings.Replace(file, "Boto3", "}}}}{", 1) + "\r\n"), []string{"1 0 aws.cloudtrail 192.0.2.1", "1 1 aws.cloudtrail 192.0.2.2"}},
		{"file with more braces in a string, gzip", gzipped(strings.Replace(file, "Boto3", "{{{", 1) + la), []string{"1 0 aws.cloudtrail 192.0.2.1", "1 1 aws.cloudtrail 192.0.2.2", "1 0 aws.s3access 192.0.2.1"}},
		{"array", pretty("[" + a + "," + b + "]"), []string{"1 0 aws.cloudtrail 192.0.2.1", "1 1 aws.cloudtrail 192.0.2.2"}},
		{"lines", la + "\r\n\r\n" + la, []string{"1 0 aws.s3access 192.0.2.1", "3 0 aws.s3access 192.0.2.1"}},
		{"lines and records", la + "\n" + pretty(a) + "\n" + `"` + "\n" + b, []string{"1 0 aws.s3access 192.0.2.1", "2 0 aws.cloudtrail 192.0.2.1", "53 -1 dead truncated", "54 0 aws.cloudtrail 192.0.2.2"}},
		{"a line not finished", a[:100] + "\n" + b, []string{"1 -1 dead truncated", "2 0 aws.cloudtrail 192.0.2.2"}},
		{"a line not finished, in a string", a[:70] + "\n" + b, []string{"1 -1 dead truncated", "2 0 aws.cloudtrail 192.0.2.2"}},
		{"a line that looks whole and is not", `{"eventName":"A","a":{"b":"}"}` + "\n" + `,` + a[1:] + "\n" + b, []string{"1 0 aws.cloudtrail 192.0.2.1", "3 0 aws.cloudtrail 192.0.2.2"}},
		{"cut off", a + "\n" + b[:100], []string{"1 0 aws.cloudtrail 192.0.2.1", "2 -1 dead truncated"}},
		{"file, cut off", file[:len(a)+100], []string{"1 0 aws.cloudtrail 192.0.2.1", "1 1 dead truncated"}},
		{"gzip, cut off", gzipped(file)[:100], []string{"1 0 dead truncated"}},
		{"gzip, cut off behind the last value", gzipped(file)[:len(gzipped(file))-8], []string{"1 0 aws.cloudtrail 192.0.2.1", "1 1 aws.cloudtrail 192.0.2.2", "1 2 dead truncated"}},
		{"gzip, cut off behind a line", gzipped(la + "\n")[:len(gzipped(la+"\n"))-8], []string{"1 0 aws.s3access 192.0.2.1", "2 -1 dead truncated"}},
		{"gzip, nearly nothing", "\x1f\x8b", []string{"1 -1 dead truncated"}},
		{"gzip, wrong header", "\x1f\x8bxxxxxxxxxx", []string{"1 -1 dead invalid_gzip"}},
		{"value over the bound", a + "\n" + big + "\n" + b, []string{"1 0 aws.cloudtrail 192.0.2.1", "2 -1 dead too_large", "3 0 aws.cloudtrail 192.0.2.2"}},
		{"line over the bound", la + "\n" + strings.Repeat("x", 9000) + "\n" + la, []string{"1 0 aws.s3access 192.0.2.1", "2 -1 dead too_large", "3 0 aws.s3access 192.0.2.1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bounds := Bounds{MessageBytes: 8000}
			got := readAll(t, strings.NewReader(test.content), bounds)
			if len(got) != len(test.want) {
				t.Fatalf("got:\n%s", strings.Join(got, "\n"))
			}
			for i, want := range test.want {
				if !strings.HasPrefix(got[i], "some.log:"+want) {
					t.Errorf("got  %s\nwant %s", got[i], want)
				}
			}
			// How the file arrives changes nothing.
			for name, r := range map[string]io.Reader{
				"one byte": iotest.OneByteReader(strings.NewReader(test.content)),
				"half":     iotest.HalfReader(strings.NewReader(test.content)),
				"with EOF": iotest.DataErrReader(strings.NewReader(test.content)),
			} {
				if other := readAll(t, r, bounds); strings.Join(other, "\n") != strings.Join(got, "\n") {
					t.Errorf("%s at a time:\n%s", name, strings.Join(other, "\n"))
				}
			}
		})
	}
	broken := errors.New("disk on fire")
	if _, err := NewFileReader(iotest.ErrReader(broken), "x", Bounds{}).Next(); !errors.Is(err, broken) {
		t.Error(err)
	}
}
