package replay

import (
	"errors"
	"os"

	"firstseen/processor/stage"
	"firstseen/state"
)

// scratch is a store in a directory of its own that is deleted at the end: for what a replay remembers when memory is
// not enough.
type scratch struct {
	dir   string
	store *state.Store
	used  int32
}

// openScratch makes a directory below dir.
func openScratch(dir string) (s *scratch, err error) {
	s = &scratch{}
	if s.dir, err = os.MkdirTemp(dir, "firstseen-replay-"); err != nil {
		return nil, err
	}
	if s.store, err = state.Open(s.dir, state.Options{}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// keep has a pipeline keep its state in the store. A nil scratch leaves it in memory.
func (s *scratch) keep(cfg *stage.PipelineConfig) error {
	if s == nil {
		return nil
	}
	terms, err := s.store.Range(state.Detect, s.used)
	if err != nil {
		return err
	}
	windows, err := s.store.Range(state.Group, s.used)
	if err != nil {
		return err
	}
	s.used++
	cfg.Terms, cfg.Windows = terms, windows
	var at state.Position
	cfg.Commit = func(t, w *stage.Overlay) error {
		to := at
		to.ChangelogNext++
		if err := errors.Join(terms.Apply(at, to, t.Writes()), windows.Apply(at, to, w.Writes())); err != nil {
			return err
		}
		at = to
		return nil
	}
	return nil
}

func (s *scratch) close() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.store.Close(), os.RemoveAll(s.dir))
}
