package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor/stage"
	"firstseen/schemas"
)

// lines is a file of lines that is being written. The first error stays, until flush returns it.
type lines struct {
	name string
	w    *bufio.Writer
	file *os.File // to be closed; nil: it is somebody else's
	n    int64    // lines, or documents of several
}

func createLines(path string) (*lines, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // logs are not for everybody
	if err != nil {
		return nil, err
	}
	return &lines{name: path, w: bufio.NewWriter(f), file: f}, nil
}

func (l *lines) add(text []byte) {
	l.n++
	_, _ = l.w.Write(text) // bufio keeps the error
	if !bytes.HasSuffix(text, []byte("\n")) {
		_ = l.w.WriteByte('\n')
	}
}

func (l *lines) flush() error {
	if l == nil {
		return nil
	}
	if err := l.w.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", l.name, err)
	}
	return nil
}

func (l *lines) close() error {
	err := l.flush()
	if l == nil || l.file == nil {
		return err
	}
	return errors.Join(err, l.file.Close())
}

// openOutputs creates the files that are asked for. None of them, and not where standard output goes, may be among what
// is read: creating it would empty it, and a scan of its own alerts would not end.
func (s *scan) openOutputs(stdout io.Writer, inputs []input) (err error) {
	outputs := map[string]os.FileInfo{}
	for _, path := range []string{s.DLQ, s.Suppressed} {
		if info, err := os.Stat(path); path != "" && err == nil {
			outputs[path] = info
		}
	}
	if f, ok := stdout.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			outputs["standard output"] = info
		}
	}
	for _, in := range inputs {
		for name, info := range outputs {
			if in.info != nil && info.Mode().IsRegular() && os.SameFile(in.info, info) {
				return fmt.Errorf("scan: %s would be written and is among what is read, as %s", name, in.path)
			}
		}
	}
	if s.DLQ != "" && filepath.Clean(s.DLQ) == filepath.Clean(s.Suppressed) {
		return fmt.Errorf("scan: --dlq and --suppressed are the same file, %s", s.DLQ)
	}
	if show.IsTerminal(stdout) {
		stdout = clearing{stdout, s.bar}
	}
	s.alerts = &lines{name: "standard output", w: bufio.NewWriterSize(stdout, 64<<10)}
	s.dead.counts = map[schemas.Reason]int64{}
	if s.DLQ != "" {
		if s.dead.to, err = createLines(s.DLQ); err != nil {
			return fmt.Errorf("scan: --dlq: %w", err)
		}
	}
	if s.Suppressed != "" {
		if s.suppressed, err = createLines(s.Suppressed); err != nil {
			return fmt.Errorf("scan: --suppressed: %w", errors.Join(err, s.dead.to.close()))
		}
	}
	return nil
}

// emit takes the documents of the pipeline.
func (s *scan) emit(out stage.Output) {
	switch {
	case out.To == stage.Alerts:
		s.alerts.add(out.Value)
	case s.suppressed != nil:
		s.suppressed.add(out.Value)
	}
}

func (s *scan) flush() error {
	return errors.Join(s.alerts.flush(), s.suppressed.flush(), s.dead.to.flush())
}

// close ends outputs and state, whatever has become of the run.
func (s *scan) close() error {
	err := errors.Join(s.alerts.close(), s.suppressed.close(), s.dead.to.close())
	if s.memory != nil {
		err = errors.Join(err, s.memory.close())
	}
	return err
}

// clearing takes the progress bar away before it writes to the same terminal.
type clearing struct {
	w   io.Writer
	bar *show.Bar
}

func (c clearing) Write(b []byte) (int, error) {
	c.bar.Clear()
	return c.w.Write(b)
}

// keptValue is how much of a dead letter is written, as of the worker's: the rest is where it was read.
const keptValue = 512 << 10

// deadLetters counts what could not be read, and writes it to the file of --dlq.
type deadLetters struct {
	to     *lines // nil: only counted
	counts map[schemas.Reason]int64
}

// deadLetter is a line of that file. The value is in one of two keys: UTF-8 as it is, anything else as base64.
type deadLetter struct {
	Reason      schemas.Reason `json:"reason"`
	Detail      string         `json:"detail"`
	File        string         `json:"file"`
	Line        int64          `json:"line"`   // from 1
	Offset      int64          `json:"offset"` // which value of the file it is or is in, from 0
	Index       int32          `json:"index"`  // which record of that value, from 0; -1: all of it
	Value       *string        `json:"value,omitempty"`
	ValueBase64 []byte         `json:"value_base64,omitempty"`
	Truncated   int            `json:"truncated,omitempty"` // bytes of the value, of which not all are here
}

// letter is a dead letter as it is kept.
type letter struct {
	reason schemas.Reason
	line   []byte // nil: it is only counted
}

func (d *deadLetters) add(m *schemas.Message, l schemas.DeadLetter) { d.put(d.letter(m, l)) }

func (d *deadLetters) put(l letter) {
	d.counts[l.reason]++
	if d.to != nil {
		d.to.add(l.line)
	}
}

// letter makes a line of a dead letter, which may be written later. Any goroutine may call it.
func (d *deadLetters) letter(m *schemas.Message, l schemas.DeadLetter) letter {
	if d.to == nil {
		return letter{reason: l.Reason}
	}
	out := deadLetter{Reason: l.Reason, Detail: l.Detail, File: m.File, Line: l.Line, Offset: m.Offset, Index: l.Index}
	value := l.Value
	if len(value) > keptValue {
		out.Truncated = len(value)
		value = value[:keptValue]
		for i := 0; i < utf8.UTFMax && !utf8.RuneStart(l.Value[len(value)]); i++ {
			value = value[:len(value)-1]
		}
	}
	if utf8.Valid(value) {
		text := string(value)
		out.Value = &text
	} else {
		out.ValueBase64 = value
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(out) // it always encodes
	return letter{l.Reason, b.Bytes()}
}
