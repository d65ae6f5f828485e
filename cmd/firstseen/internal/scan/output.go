package scan

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"firstseen/cmd/firstseen/internal/logfiles"
	"firstseen/cmd/firstseen/internal/output"
	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor/stage"
	"firstseen/schemas"
)

// openOutputs creates the files that are asked for. None of them, and not where standard output goes, may be among what
// is read: creating it would empty it, and a scan of its own alerts would not end.
func (s *scan) openOutputs(stdout io.Writer, inputs []logfiles.File) (err error) {
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
			if in.Info != nil && info.Mode().IsRegular() && os.SameFile(in.Info, info) {
				return fmt.Errorf("scan: %s would be written and is among what is read, as %s", name, in.Path)
			}
		}
	}
	if s.DLQ != "" && filepath.Clean(s.DLQ) == filepath.Clean(s.Suppressed) {
		return fmt.Errorf("scan: --dlq and --suppressed are the same file, %s", s.DLQ)
	}
	if show.IsTerminal(stdout) {
		stdout = clearing{stdout, s.bar}
	}
	s.alerts = output.NewLines("standard output", bufio.NewWriterSize(stdout, 64<<10))
	s.dead.Counts = map[schemas.Reason]int64{}
	if s.DLQ != "" {
		if s.dead.To, err = output.CreateLines(s.DLQ); err != nil {
			return fmt.Errorf("scan: --dlq: %w", err)
		}
	}
	if s.Suppressed != "" {
		if s.suppressed, err = output.CreateLines(s.Suppressed); err != nil {
			return fmt.Errorf("scan: --suppressed: %w", errors.Join(err, s.dead.To.Close()))
		}
	}
	return nil
}

// emit takes the documents of the pipeline.
func (s *scan) emit(out stage.Output) {
	switch {
	case out.To == stage.Alerts:
		s.alerts.Add(out.Value)
	case s.suppressed != nil:
		s.suppressed.Add(out.Value)
	}
}

func (s *scan) flush() error {
	return errors.Join(s.alerts.Flush(), s.suppressed.Flush(), s.dead.To.Flush())
}

// close ends outputs and state, whatever has become of the run.
func (s *scan) close() error {
	err := errors.Join(s.alerts.Close(), s.suppressed.Close(), s.dead.To.Close())
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
