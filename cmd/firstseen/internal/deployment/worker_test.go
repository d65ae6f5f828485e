package deployment

import "testing"

// TestSoftwareVersion gives brokers versions as the build may have stamped them.
func TestSoftwareVersion(t *testing.T) {
	for given, want := range map[string]string{"v1.2.0": "v1.2.0", "1.0+meta": "1.0-meta", "v1-3-gabc-dirty": "v1-3-gabc-dirty", "a,b ": "a-b", "-rc.": "rc", "": "devel", "é": "devel"} {
		if got := softwareVersion(given); got != want {
			t.Errorf("%q: %q, not %q", given, got, want)
		}
	}
}
