package schemas

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

	"firstseen/schemas/jsonscan"
)

// FileReader cuts a file into messages for a Decoder: one for each top-level JSON value, whatever lines it has, and one
// for each line of text. It holds one value at a time; of a value over Bounds.MessageBytes only so much that the
// decoder sees that it is over. The file may be gzip.
type FileReader struct {
	name   string
	limit  int // bytes of a value that are kept: one more than the bound
	r      io.Reader
	file   *bufio.Reader
	gzip   *gzip.Reader
	buf    []byte
	at     int    // begin of what has not been given out
	ended  bool   // r has no more
	broken Reason // why it has no more, if the file is damaged
	line   int64  // of buf[at]
	taken  int    // bytes given out with the last message, to be dropped
	begun  bool
}

// NewFileReader returns a reader of r, which is called name in the messages. Zero bounds are the default ones.
func NewFileReader(r io.Reader, name string, bounds Bounds) *FileReader {
	f := &FileReader{limit: bounds.orDefault().MessageBytes + 1}
	f.Reset(r, name)
	return f
}

// Reset makes the reader one of another file, and uses its memory again.
func (f *FileReader) Reset(r io.Reader, name string) {
	*f = FileReader{name: name, limit: f.limit, r: r, file: f.file, gzip: f.gzip, buf: f.buf[:0], line: 1}
	if cap(f.buf) > keptBuffer {
		f.buf = nil
	}
}

// keptBuffer is how much memory for values is kept for the next file, in bytes.
const keptBuffer = 16 << 20

// Next returns the next message, without a Kafka timestamp, and io.EOF at the end; any other error is that of the
// underlying reader. A file that breaks off, or is damaged gzip, ends in a message that says so in Broken. The value
// is valid until the next call.
func (f *FileReader) Next() (Message, error) {
	if !f.begun {
		if err := f.begin(); err != nil {
			return Message{}, err
		}
	}
	f.drop(f.taken)
	f.taken = 0
	for {
		space := jsonscan.Space(f.buf, f.at) - f.at
		f.drop(space)
		if f.at < len(f.buf) {
			break
		}
		if f.ended {
			if f.broken != "" {
				reason := f.broken
				f.broken = ""
				return f.message(nil, reason), nil
			}
			return Message{}, io.EOF
		}
		if err := f.fill(); err != nil {
			return Message{}, err
		}
	}
	if c := f.buf[f.at]; c == '{' || c == '[' {
		return f.value()
	}
	return f.text()
}

// begin looks whether the file is gzip, and leaves a byte order mark out.
func (f *FileReader) begin() error {
	f.begun = true
	if f.file == nil {
		f.file = bufio.NewReaderSize(f.r, 64<<10)
	} else {
		f.file.Reset(f.r)
	}
	f.r = f.file
	magic, err := f.file.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	if len(magic) > 1 && magic[0] == 0x1f && magic[1] == 0x8b {
		if f.gzip == nil {
			f.gzip = new(gzip.Reader)
		}
		err := f.gzip.Reset(f.file)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return f.end(err)
		}
		f.r = f.gzip
	}
	for len(f.buf) < 3 && !f.ended {
		if err := f.fill(); err != nil {
			return err
		}
	}
	f.at = len(f.buf) - len(bytes.TrimPrefix(f.buf, []byte("\xef\xbb\xbf")))
	return nil
}

func (f *FileReader) message(value []byte, broken Reason) Message {
	return Message{Value: value, Timestamp: -1, File: f.name, Line: f.line, Broken: broken}
}

// value returns the JSON value that begins here.
func (f *FileReader) value() (Message, error) {
	if end := objectLine(f.buf, f.at, !f.ended); end > 0 && end-f.at < f.limit {
		return f.give(end - f.at), nil
	}
	switch end, err := f.last(); {
	case err != nil:
		return Message{}, err
	case end > 0:
		return f.give(end), nil
	}
	s := jsonscan.At(0)
	for {
		end, fault := s.Next(f.buf[f.at:])
		switch {
		case fault != jsonscan.Truncated && end < f.limit:
			return f.give(max(end, 1)), nil
		case len(f.buf)-f.at >= f.limit:
			return f.tooLarge(func() (int, bool) {
				if fault == jsonscan.Truncated {
					end, fault = s.Next(f.buf[f.at:])
				}
				n := end
				if fault == jsonscan.Truncated {
					n = s.Read()
					s.Drop(n)
				}
				return n, fault != jsonscan.Truncated
			})
		case f.ended:
			return f.give(len(f.buf) - f.at), nil
		}
		if err := f.fill(); err != nil {
			return Message{}, err
		}
	}
}

// last returns the end of the object that begins here if it is plain to see that it is all there is left, on one line, as
// in files of CloudTrail; else 0. It reads on for that, which only costs time where all that is read is there already: in
// a compressed file.
func (f *FileReader) last() (end int, err error) {
	if f.buf[f.at] != '{' || f.gzip == nil || f.r != io.Reader(f.gzip) {
		return 0, nil
	}
	var c braceCount
	for read := 0; ; {
		data := f.buf[f.at:]
		if end == 0 {
			end = c.closing(data)
			line := data[read:]
			if end > 0 {
				line = data[read:end]
			}
			if bytes.IndexByte(line, '\n') >= 0 {
				return 0, nil
			}
		}
		switch {
		case end > 0 && jsonscan.Space(data, end) < len(data), len(data) >= f.limit:
			return 0, nil
		case f.ended:
			return end, nil
		}
		read = len(data)
		if err := f.fill(); err != nil {
			return 0, err
		}
	}
}

// text returns the line that begins here.
func (f *FileReader) text() (Message, error) {
	read := 0
	for {
		n := bytes.IndexByte(f.buf[f.at+read:], '\n')
		switch {
		case n >= 0 && read+n < f.limit:
			return f.give(read + n), nil
		case len(f.buf)-f.at >= f.limit:
			return f.tooLarge(func() (int, bool) {
				if n := bytes.IndexByte(f.buf[f.at:], '\n'); n >= 0 {
					return n, true
				}
				return len(f.buf) - f.at, false
			})
		case f.ended:
			return f.give(len(f.buf) - f.at), nil
		}
		read = len(f.buf) - f.at
		if err := f.fill(); err != nil {
			return Message{}, err
		}
	}
}

// give gives the next n bytes out.
func (f *FileReader) give(n int) Message {
	broken := Reason("")
	if f.at+n == len(f.buf) && f.ended && f.broken != "" {
		broken, f.broken = f.broken, ""
	}
	f.taken = n
	return f.message(f.buf[f.at:f.at+n:f.at+n], broken)
}

// tooLarge gives so much of a value out that it is over the bound, and drops the rest. rest returns how many bytes of
// the buffer belong to it, and whether it ends there.
func (f *FileReader) tooLarge(rest func() (n int, ended bool)) (Message, error) {
	m := f.message(bytes.Clone(f.buf[f.at:f.at+f.limit]), "")
	for {
		n, ended := rest()
		f.drop(n)
		if ended || f.ended {
			return m, nil
		}
		if err := f.fill(); err != nil {
			return Message{}, err
		}
	}
}

// drop moves on by n bytes.
func (f *FileReader) drop(n int) {
	f.line += int64(bytes.Count(f.buf[f.at:f.at+n], []byte("\n")))
	f.at += n
}

// fill reads more behind what there is, in a buffer that grows up to twice the bound.
func (f *FileReader) fill() error {
	if f.at > 0 {
		f.buf = f.buf[:copy(f.buf, f.buf[f.at:])]
		f.at = 0
	}
	if len(f.buf) == cap(f.buf) {
		grown := make([]byte, len(f.buf), max(256<<10, 2*cap(f.buf)))
		copy(grown, f.buf)
		f.buf = grown
	}
	n, err := f.r.Read(f.buf[len(f.buf):cap(f.buf)])
	f.buf = f.buf[:len(f.buf)+n]
	if err != nil {
		return f.end(err)
	}
	return nil
}

// end notes why there is no more to read; an error that is not about what the file contains is the caller's.
func (f *FileReader) end(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF):
	case errors.Is(err, io.ErrUnexpectedEOF):
		f.broken = Truncated
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		f.broken = InvalidGzip
	default:
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	f.ended = true
	return nil
}
