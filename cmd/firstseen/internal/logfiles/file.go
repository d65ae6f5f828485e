// Package logfiles finds and opens the files of logs that a command line names.
package logfiles

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// File is a file of logs, or standard input.
type File struct {
	Path string
	Info os.FileInfo // nil: standard input
}

// Name is what alerts and messages call it.
func (in File) Name() string {
	if in.Info == nil {
		return "stdin"
	}
	return in.Path
}

// Find lists the files that the paths stand for, in their order. Every path must be there, so that a typing error
// shows before anything is read.
func Find(paths []string) (inputs []File, err error) {
	for _, p := range paths {
		if p == "-" {
			inputs = append(inputs, File{Path: p})
			continue
		}
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		if inputs, err = addInputs(inputs, p, info); err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
	}
	return inputs, nil
}

// addInputs adds a file, or those of a directory by name. In a directory only regular files count, and links to them: a
// link to a directory might lead back.
func addInputs(inputs []File, path string, info os.FileInfo) ([]File, error) {
	if !info.IsDir() {
		return append(inputs, File{path, info}), nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name := filepath.Join(path, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !entry.IsDir() && !info.Mode().IsRegular() {
			continue
		}
		if inputs, err = addInputs(inputs, name, info); err != nil {
			return nil, err
		}
	}
	return inputs, nil
}

// Size is the number of bytes to read, 0 if that is not known.
func Size(inputs []File) (total int64) {
	for _, in := range inputs {
		if in.Info == nil || !in.Info.Mode().IsRegular() {
			return 0
		}
		total += in.Info.Size()
	}
	return total
}

// Open opens the file, or reads standard input until ctx ends.
func (in File) Open(ctx context.Context, stdin io.Reader) (io.ReadCloser, error) {
	if in.Info != nil {
		f, err := os.Open(in.Path)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		return f, nil
	}
	// A read of standard input cannot be broken off, one of a pipe can: the goroutine ends with the input, or with the
	// process.
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, stdin)
		w.CloseWithError(err)
	}()
	stop := context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	return piped{r, stop}, nil
}

// piped is standard input.
type piped struct {
	*io.PipeReader
	stop func() bool
}

func (p piped) Close() error {
	p.stop()
	return p.PipeReader.Close()
}

// Pausing returns a reader that calls pause before each read of r, with the number of bytes that the one before it got. An
// error of pause is one of the read.
func Pausing(r io.Reader, pause func(got int) error) io.Reader {
	return &reader{r: r, pause: pause}
}

// reader is what Pausing returns.
type reader struct {
	r     io.Reader
	pause func(got int) error
	got   int
}

func (p *reader) Read(b []byte) (int, error) {
	if err := p.pause(p.got); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.got = n
	return n, err
}
