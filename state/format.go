//go:build !chaosnext

package state

const (
	// formatVersion is the format of this build: keys as in range.go, positions as in position.go or an older version.
	formatVersion = "1"
	// positionVersion is the first byte of a position on disk; every older one is read, too.
	positionVersion = 1
)

// olderFormats are those that this build reads, too, and turns into its own.
var olderFormats []string
