package schemas

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Real records: every one is an event, and says what its source says about it (testdata/README.md).
func TestRealRecords(t *testing.T) {
	for _, test := range []struct {
		files                        string
		records, services, anonymous int
	}{
		{"invictus/*.json.gz", 2900, 353, 0},
		{"honeybucket/oldest-first.ndjson", 301, 0, 284},
		{"honeybucket/newest-first.ndjson", 301, 0, 284},
	} {
		t.Run(filepath.Dir(test.files), func(t *testing.T) {
			files, err := filepath.Glob("../testdata/" + test.files)
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			records, services, anonymous := 0, 0, 0
			d, filtered := NewDecoder(Config{}), NewDecoder(Config{Filters: elasticFilter})
			for _, name := range files {
				f, err := os.Open(name)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				for r := NewFileReader(f, name, Bounds{}); ; {
					m, err := r.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					m.Now = now
					s := d.Decode(m, eventFunc(func(e *Event) {
						if e.Text(Slot(fSourceIP)) == nil {
							services++
						}
						if account, _ := Known("cloud.account.id"); string(e.Text(Slot(account))) == "ANONYMOUS_PRINCIPAL" {
							anonymous++
						}
						if e.Flags != 0 || len(e.ID()) == 0 {
							t.Errorf("%s: %v", e.Raw, e.Flags.Names())
						}
					}))
					if records += s.Records; s.Records != s.Events {
						t.Errorf("%s: %+v", name, s)
					}
					if f := filtered.Decode(m, &nullSink{}); f.Records != s.Records || f.Dead > 0 {
						t.Errorf("%s filtered: %+v, not %+v", name, f, s)
					}
				}
			}
			if records != test.records || services != test.services || anonymous != test.anonymous {
				t.Errorf("%d records, %d of services, %d anonymous; want %+v", records, services, anonymous, test)
			}
		})
	}
}
