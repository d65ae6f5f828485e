package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// input is a file to scan, or standard input.
type input struct {
	path string
	info os.FileInfo // nil: standard input
}

func (in input) name() string {
	if in.info == nil {
		return "stdin"
	}
	return in.path
}

// findInputs lists the files that the paths stand for, in their order. Every path must be there, so that a typing error
// shows before anything is read.
func findInputs(paths []string) (inputs []input, err error) {
	for _, p := range paths {
		if p == "-" {
			inputs = append(inputs, input{path: p})
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
func addInputs(inputs []input, path string, info os.FileInfo) ([]input, error) {
	if !info.IsDir() {
		return append(inputs, input{path, info}), nil
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

// totalSize is the number of bytes to read, 0 if that is not known.
func totalSize(inputs []input) (total int64) {
	for _, in := range inputs {
		if in.info == nil || !in.info.Mode().IsRegular() {
			return 0
		}
		total += in.info.Size()
	}
	return total
}

func (in input) open(ctx context.Context, stdin io.Reader) (io.ReadCloser, error) {
	if in.info != nil {
		f, err := os.Open(in.path)
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

// pausing calls pause before each read, with the number of bytes that the one before it got. An error of pause is one
// of the read.
type pausing struct {
	r     io.Reader
	pause func(got int) error
	got   int
}

func (p *pausing) Read(b []byte) (int, error) {
	if err := p.pause(p.got); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.got = n
	return n, err
}
