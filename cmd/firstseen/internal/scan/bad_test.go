package scan

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/cmd/firstseen/internal/output"
)

func gzipped(s string) string {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func records(list ...string) string {
	for i, r := range list {
		list[i] = strings.TrimSpace(r)
	}
	return `{"Records":[` + strings.Join(list, ",") + "]}\n"
}

// Bad input goes to its place with its reason, and takes no neighbour with it: what comes before and after alerts.
func TestScanBadInput(t *testing.T) {
	a, b, c := clitest.Anonymous("192.0.2.1"), clitest.Anonymous("192.0.2.2"), clitest.Anonymous("192.0.2.3")
	bad := strings.Replace(b, `"awsRegion":`, `"awsRegion"`, 1)
	deep := strings.Replace(b, `"key":"k"`, `"key":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000), 1)
	big := strings.Replace(b, `"key":"k"`, `"key":"`+strings.Repeat("k", 20<<20)+`"`, 1)
	filler := strings.Repeat("k", 16<<20)
	bomb := gzipped(a+`{"eventVersion":"`) + strings.Repeat(gzipped(filler), 20) + gzipped(`"}`+"\n"+c)
	random := make([]byte, 4096)
	for i, r := 0, rand.NewPCG(1, 2); i < len(random); i++ {
		random[i] = byte(r.Uint64())
	}
	noise := strings.Map(func(r rune) rune { return r &^ ('{' ^ '[') }, string(random)) + "\n"
	zipped := gzipped(records(a, b, c, strings.Repeat(" ", 100)))
	forged := clitest.AccessLine("192.0.2.4", "31/Jan/2026:10:00:00 +0000", `x" 200 - "`)
	const notification = `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-central-1","eventTime":"2026-01-31T10:00:00Z",` +
		`"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"acme-logs"},"object":{"key":"k"}}}]}` + "\n"
	lookalike := strings.Replace(notification, `"key":"k"`, `"key":"s3.amazonaws.com AWSAccount anonymous","eventSource":"s3.amazonaws.com","eventName":"GetObject"`, 1)
	for _, test := range []struct {
		name, file string
		alerts     string   // addresses
		dead       []string // reason line index
		says       string   // in the summary
	}{
		{"random bytes", a + noise + c, "1 3", nil, "unknown_shape"},
		{"truncated JSON", records(a, b, c)[:len(a)+len(b)+20], "1 2", []string{"truncated 1 2"}, ""},
		{"truncated gzip", gzipped(records(a, b, c)[:len(a)+len(b)+12]) + zipped[:20], "1 2", []string{"truncated 1 2"}, ""},
		{"damaged gzip", zipped[:len(zipped)-8] + "12345678", "1 2 3", []string{"invalid_gzip 2 -1"}, ""},
		{"one bad element", records(a, bad, c), "1 3", []string{"invalid_json 1 1"}, ""},
		{"one bad element, on lines", a + bad + c, "1 3", []string{"invalid_json 2 -1"}, ""},
		{"record of 20 MB", a + big + c, "1 3", []string{"too_large 2 -1"}, ""},
		{"record of 20 MB among others", records(a, big, c), "1 3", []string{"too_large 1 1"}, ""},
		{"value of 320 MB in gzip of 1 MB", bomb, "1 3", []string{"too_large 2 -1"}, ""},
		{"depth of 10,000", a + deep + c, "1 3", []string{"too_deep 2 -1"}, ""},
		{"depth of 10,000 among others", records(a, deep, c), "1 3", []string{"too_deep 1 1"}, ""},
		{"forged quotes", a + forged, "1 4", nil, ""},
		{"user agent that ends in a quote", clitest.AccessLine("192.0.2.4", "31/Jan/2026:10:00:00 +0000", `x"`), "4", nil, ""},
		{"event notification", a + notification + c, "1 3", nil, "filtered    1\n"},
		{"event notification with the words of a rule", a + lookalike + c, "1 3", nil, "skipped     1\n"},
		{"test event", a + `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"acme-logs"}` + c, "1 3", nil, "skipped     1\n"},
		{"future", strings.Replace(a, "2026-01-31T10", "2099-01-31T10", 1) + c, "1 3", nil, ""},
		{"address that is none", a + clitest.AccessLine("1.2.3", "31/Jan/2026:10:00:00 +0000", "x") + c, "1 3", []string{"rule_error 2 0"}, ""},
		{"other JSON", a + `{"hello":"world"}` + c, "1 3", []string{"unknown_shape 2 -1"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dlq := filepath.Join(t.TempDir(), "dlq")
			e := execute(t, nil, "scan", clitest.Now, "--dlq", dlq, clitest.Write(t, "file", test.file))
			if e.Code != cli.ExitOK {
				t.Fatalf("exit code %d: %s", e.Code, e.Stderr)
			}
			clitest.WantStderr(t, e, test.says)
			var alerts []string
			for _, a := range clitest.Alerts(t, e.Stdout) {
				alerts = append(alerts, strings.TrimPrefix(a.Source.Address, "192.0.2."))
			}
			if got := strings.Join(alerts, " "); got != test.alerts {
				t.Errorf("alerts of %s, want %s\n%s", got, test.alerts, e.Stderr)
			}
			var dead []string
			for _, d := range deadLettersIn(t, dlq) {
				dead = append(dead, fmt.Sprintf("%s %d %d", d.Reason, d.Line, d.Index))
			}
			if !slices.Equal(dead, test.dead) && test.name != "random bytes" {
				t.Errorf("dead letters %q, want %q", dead, test.dead)
			}
		})
	}
}

// A time in the future is not believed, the alert has that of --now and says so. A line that a client has tampered with
// is evaluated by what stands before the tampering.
func TestScanFlags(t *testing.T) {
	for _, test := range []struct{ record, time, flags string }{
		{strings.Replace(clitest.Anonymous("192.0.2.1"), "2026-01-31T10", "2099-01-31T10", 1), "2026-01-31T12:00:00.000Z", "[time_clamped]"},
		{strings.Replace(clitest.Anonymous("192.0.2.1"), "eventTime", "eventTimes", 1), "2026-01-31T12:00:00.000Z", "[time_missing]"},
		{clitest.AccessLine("192.0.2.1", "31/Jan/2026:10:00:00 +0000", `x" 200 - "`), "2026-01-31T10:00:00.000Z", "[]"},
		{strings.Split(clitest.AccessLine("192.0.2.1", "31/Jan/2026:10:00:00 +0000", "x"), " HTTP")[0], "2026-01-31T10:00:00.000Z", "[degraded]"},
	} {
		alerts := scanned(t, clitest.Write(t, "file", test.record))
		if len(alerts) != 1 || alerts[0].Timestamp != test.time || fmt.Sprint(alerts[0].Firstseen.Flags) != test.flags || alerts[0].Source.Address != "192.0.2.1" {
			t.Errorf("%s\nmakes %+v, want one of %s with flags %s", test.record, alerts, test.time, test.flags)
		}
	}
}

// A dead letter says where it was and has its bytes, as text or else in base64, and not more of them than are of use.
func TestScanDeadLetters(t *testing.T) {
	long := strings.Repeat("ä", 400_000)
	dlq := filepath.Join(t.TempDir(), "dlq")
	file := clitest.Write(t, "file", clitest.Anonymous("192.0.2.1")+"<nonsense>\n"+"\xff\x00\n"+"x"+long+"\n"+records("12", clitest.Anonymous("192.0.2.2")))
	if e := execute(t, nil, "scan", clitest.Now, "--dlq", dlq, file); e.Code != cli.ExitOK {
		t.Fatal(e.Stderr)
	}
	content, err := os.ReadFile(dlq)
	if err != nil {
		t.Fatal(err)
	}
	const shape = `"reason":"unknown_shape","detail":`
	for i, line := range strings.SplitAfter(string(content), "\n")[:4] {
		if !strings.HasPrefix(line, "{"+shape) {
			t.Errorf("%.200s", line)
		}
		_, rest, _ := strings.Cut(line, `,"file":`)
		where := fmt.Sprintf(`%q,"line":%d,"offset":%d,"index":%d,`, file, i+2, i+1, []int{-1, -1, -1, 0}[i])
		value := []string{`"value":"<nonsense>"}`, `"value_base64":"/wA="}`, `"value":"x` + long[:output.KeptValue-2] + `","truncated":800001}`, `"value":"12"}`}[i]
		if rest != where+value+"\n" {
			t.Errorf("dead letter %d is %.300s\nwant %.300s", i, rest, where+value)
		}
	}
}

func deadLettersIn(t *testing.T, path string) (list []output.DeadLetter) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		var d output.DeadLetter
		if err := dec.Decode(&d); err != nil {
			t.Fatalf("%v in %.1000s", err, line)
		}
		list = append(list, d)
	}
	return list
}
