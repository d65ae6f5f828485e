package scan

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"

	"firstseen/cmd/firstseen/internal/logfiles"
	"firstseen/cmd/firstseen/internal/output"
	"firstseen/processor/stage"
	"firstseen/schemas"
)

// found is what came of a value of a file.
type found struct {
	outputs []stage.Output // candidates and findings
	dead    []output.Letter
}

// piece is what came of a part of a file.
type piece struct {
	values  []found // of which something came, in their order
	stats   schemas.Stats
	matches int64
	read    int   // bytes of the file
	size    int   // bytes of the values
	err     error // ends the scan
}

// A piece goes on when it has so many bytes, or so many of the file have been read.
const (
	pieceSize = 256 << 10
	pieceRead = 1 << 20
)

// reader reads files, one after the other: the part of a scan that files have to themselves.
type reader struct {
	*scan
	ingest *stage.Ingest
	file   *schemas.FileReader
	found  found // of the value in hand
	piece  piece
}

func (s *scan) newReader() *reader {
	r := &reader{scan: s, file: schemas.NewFileReader(nil, "", schemas.Bounds{})}
	r.ingest = stage.NewIngest(s.set, stage.IngestConfig{
		Decoder: schemas.Config{Strict: s.Strict},
		Dead: func(m *schemas.Message, l schemas.DeadLetter) {
			r.found.dead = append(r.found.dead, s.dead.Letter(m, l))
		},
	})
	r.ingest.SetHistoryStart(s.history)
	return r
}

// read reads a file. next is called after every value, and takes the piece when it likes. pause is that of pausing.
func (r *reader) read(ctx context.Context, in logfiles.File, stdin io.Reader, pause func(got int) error, next func() error) error {
	opened, err := in.Open(ctx, stdin)
	if err != nil {
		return err
	}
	defer opened.Close() // it was only read
	r.file.Reset(logfiles.Pausing(opened, pause), in.Name())
	for n := int64(0); ; n++ {
		m, err := r.file.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		m.Offset, m.Now, m.Format = n, r.now, r.scan.format
		if err := r.value(m); err != nil {
			return err
		}
		if err := next(); err != nil {
			return err
		}
	}
}

// value adds what comes of one value to the piece.
func (r *reader) value(m schemas.Message) error {
	if r.peek != nil { // then no other reader is there yet
		r.begin(m)
		r.ingest.SetHistoryStart(r.history)
	}
	before := r.ingest.Counts().Matches
	r.piece.stats.Add(r.ingest.Message(m))
	r.piece.matches += r.ingest.Counts().Matches - before
	err := r.ingest.Flush(func(out stage.Output) {
		r.found.outputs = append(r.found.outputs, out)
		r.piece.size += len(out.Key) + len(out.Value)
	})
	for _, l := range r.found.dead {
		r.piece.size += l.Size()
	}
	if len(r.found.outputs)+len(r.found.dead) > 0 {
		r.piece.values = append(r.piece.values, r.found)
		r.found = found{}
	}
	return err
}

// cut returns the piece and begins another.
func (r *reader) cut() *piece {
	p := r.piece
	r.piece = piece{}
	return &p
}

// readAll reads the inputs and takes what comes of them, in their order. Files are read in parallel, all but those up to
// the first event, whose time the others must know, and what is no file, where more may be long in coming.
func (s *scan) readAll(stdin io.Reader, inputs []logfiles.File) error {
	var alone *reader
	for len(inputs) > 0 {
		if files := regular(inputs); s.peek == nil && files > 0 {
			if err := s.readParallel(inputs[:files]); err != nil {
				return err
			}
			inputs = inputs[files:]
			continue
		}
		if alone == nil {
			alone = s.newReader()
		}
		take := func() error { return s.take(alone.cut()) }
		if err := alone.read(s.ctx, inputs[0], stdin, s.pause, take); err != nil {
			return err
		}
		inputs = inputs[1:]
	}
	return nil
}

// regular counts the files that the inputs begin with.
func regular(inputs []logfiles.File) int {
	for i, in := range inputs {
		if in.Info == nil || !in.Info.Mode().IsRegular() {
			return i
		}
	}
	return len(inputs)
}

// inTurn is a file that is read by some reader.
type inTurn struct {
	logfiles.File
	pieces chan *piece // closed at its end
}

// readParallel reads files with a reader a core. Each gives its pieces to the channel of its file; they are taken a file
// after the other, so that the result is that of one reader. Who is far ahead waits.
func (s *scan) readParallel(files []logfiles.File) error {
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	n := min(runtime.GOMAXPROCS(0), len(files))
	queue, order := make(chan inTurn, n), make(chan inTurn, 2*n)
	readers.Go(func() {
		defer close(queue)
		defer close(order)
		for _, in := range files {
			r := inTurn{in, make(chan *piece, 2)}
			for _, to := range []chan inTurn{queue, order} {
				select {
				case to <- r:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	for range n {
		readers.Go(func() {
			r := s.newReader()
			for to := range queue {
				r.readTo(ctx, to)
			}
		})
	}
	for f := range order {
		for {
			if len(f.pieces) == 0 {
				if err := s.pause(0); err != nil {
					return err
				}
			}
			var p *piece
			select {
			case p = <-f.pieces:
			case <-ctx.Done():
				return ctx.Err()
			}
			if p == nil {
				break
			}
			if err := s.take(p); err != nil {
				return err
			}
			s.bar.Add(p.read, s.alerts.N)
		}
	}
	return s.ctx.Err()
}

// readTo reads a file and sends what comes of it, the last piece with the error if there is one.
func (r *reader) readTo(ctx context.Context, to inTurn) {
	defer close(to.pieces)
	send := func() error {
		select {
		case to.pieces <- r.cut():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := r.read(ctx, to.File, nil, func(got int) error {
		r.piece.read += got
		return ctx.Err()
	}, func() error {
		if r.piece.size < pieceSize && r.piece.read < pieceRead {
			return nil
		}
		return send()
	})
	r.piece.err = err
	_ = send() // or it was cancelled, and nobody wants to know
}
