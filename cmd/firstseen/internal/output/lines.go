// Package output writes files of lines: alerts, records, dead letters.
package output

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
)

// Lines is a file of lines that is being written. The first error stays, until Flush returns it.
type Lines struct {
	Name string
	w    *bufio.Writer
	file *os.File // to be closed; nil: it is somebody else's
	N    int64    // lines, or documents of several
}

// CreateLines makes a file, or empties it.
func CreateLines(path string) (*Lines, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // logs are not for everybody
	if err != nil {
		return nil, err
	}
	return &Lines{Name: path, w: bufio.NewWriter(f), file: f}, nil
}

// NewLines writes lines to a file that is open, and that is somebody else's to close.
func NewLines(name string, w *bufio.Writer) *Lines { return &Lines{Name: name, w: w} }

// Add writes a line, or a document of several.
func (l *Lines) Add(text []byte) {
	l.N++
	_, _ = l.w.Write(text) // bufio keeps the error
	if !bytes.HasSuffix(text, []byte("\n")) {
		_ = l.w.WriteByte('\n')
	}
}

// Flush writes what is buffered.
func (l *Lines) Flush() error {
	if l == nil {
		return nil
	}
	if err := l.w.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", l.Name, err)
	}
	return nil
}

// Close flushes, and closes the file if it was created here.
func (l *Lines) Close() error {
	err := l.Flush()
	if l == nil || l.file == nil {
		return err
	}
	return errors.Join(err, l.file.Close())
}
