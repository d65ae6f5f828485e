package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var franzGoUnknownOutcome = behaviour{
	name:     "franz-go-unknown-outcome",
	expected: "an error, as the transaction was committed, and offset 0 is not read again",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		s := w.committed(c, func([]byte) bool { return false }, kgo.RequestRetries(0))
		if _, err := s.End(w.ctx, kgo.TryCommit); err == nil {
			return "End(TryCommit) without an answer: no error", false
		}
		committed, err := s.End(w.ctx, kgo.TryAbort) // as EndTransaction's documentation says
		return w.whatFollows(c, s, committed, err)
	},
}

// committed is a session that has read offset 0 of "in", and produced. The answer to its EndTxn goes through change,
// which says whether it arrives at all.
func (w *world) committed(c *kfake.Cluster, change func(answer []byte) bool, opts ...kgo.Opt) *kgo.GroupTransactSession {
	check(c.CreateTopic("in", 1, nil))
	check(c.CreateTopic("out", 1, nil))
	w.produce(w.client(c), "in", "k=1")
	s := w.session(c, "one", append(opts, kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &answers{Conn: conn, change: change}, err
	}))...)
	check(s.Begin())
	w.poll(s)
	check(s.ProduceSync(w.ctx, &kgo.Record{Topic: "out"}).FirstErr())
	return s
}

// whatFollows says what End has said, what the brokers have committed, and what the session reads next.
func (w *world) whatFollows(c *kfake.Cluster, s *kgo.GroupTransactSession, committed bool, err error) (string, bool) {
	s.AllowRebalance()
	offsets := must(kadm.NewClient(w.client(c)).FetchOffsets(kadm.RequireStable(w.ctx), "group"))
	at, _ := offsets.Lookup("in", 0)
	w.produce(w.client(c), "in", "k=2")
	next := w.poll(s)[0].Offset
	return fmt.Sprintf("committed %v, error %v; the group is at offset %d, and offset %d is read next", committed, err, at.At, next),
		!committed && err == nil && at.At == 1 && next == 0
}

// answers are what comes back on a connection. The first answer to an EndTxn is changed, or the connection breaks before it.
type answers struct {
	net.Conn
	change func(answer []byte) bool
	done   bool
	ended  bool // an EndTxn was sent
	buf    []byte
}

func (a *answers) Write(b []byte) (int, error) {
	if len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == uint16(kmsg.EndTxn) {
		a.ended = true
	}
	return a.Conn.Write(b)
}

func (a *answers) Read(b []byte) (int, error) {
	if !a.ended {
		return a.Conn.Read(b)
	}
	if len(a.buf) == 0 {
		size := make([]byte, 4)
		if _, err := io.ReadFull(a.Conn, size); err != nil {
			return 0, err
		}
		a.buf = append(size, make([]byte, binary.BigEndian.Uint32(size))...)
		if _, err := io.ReadFull(a.Conn, a.buf[4:]); err != nil {
			return 0, err
		}
		if !a.done && !a.change(a.buf) {
			a.Conn.Close()
			return 0, errors.New("connection reset by peer")
		}
		a.done = true
	}
	n := copy(b, a.buf)
	a.buf = a.buf[n:]
	return n, nil
}
