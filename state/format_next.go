//go:build chaosnext

package state

// The formats of the build that plays the next release in a chaos run: nothing has changed but their numbers.
const (
	formatVersion   = "2"
	positionVersion = 2
)

var olderFormats = []string{"1"}
