package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// proxy stands between the workers and the brokers. A worker begins each connection with the line "CONNECT broker
// instance"; then the proxy passes Kafka's frames on, as well as the weather between the two lets it.
type proxy struct {
	l net.Listener

	mu    sync.Mutex
	sky   map[string]weather // by instance
	tolls map[string]toll    // by instance
	conns map[*conn]bool
}

// toll is what the weather has done to an instance: answers that were swallowed, frames that were delayed, connections
// that were cut or refused.
type toll struct{ cuts, delayed, severed int }

// weather is what happens on the way between an instance and a broker.
type weather struct {
	broker string        // host:port that it concerns; empty: all
	delay  time.Duration // of every frame, up to
	sever  bool          // connections are closed, new ones refused
	hold   bool          // frames stay where they are, as when packets are lost
	cuts   int           // answers to EndTxn that are still to be swallowed, with their connection
	early  bool          // the connection is closed when the request has been sent, not when the answer has come
}

// conn is a connection through the proxy.
type conn struct {
	instance, broker string
	worker, kafka    net.Conn

	mu   sync.Mutex
	ends map[int32]bool // correlation ids of EndTxn requests
}

const endTxn = 26 // Kafka's number for the request

func newProxy() (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l, sky: map[string]weather{}, tolls: map[string]toll{}, conns: map[*conn]bool{}}
	go p.accept()
	return p, nil
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) close() error {
	err := p.l.Close()
	p.each(func(c *conn) { c.close() })
	return err
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return // closed
		}
		go p.serve(c)
	}
}

// serve passes one connection on until either side ends it.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	from := bufio.NewReaderSize(client, 64<<10)
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	line, err := from.ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) != 3 || words[0] != "CONNECT" {
		return
	}
	_ = client.SetReadDeadline(time.Time{})
	c := &conn{broker: words[1], instance: words[2], worker: client, ends: map[int32]bool{}}
	if w := p.on(c); w.sever {
		p.took(c, toll{severed: 1})
		return
	}
	if c.kafka, err = net.DialTimeout("tcp", c.broker, 5*time.Second); err != nil {
		return
	}
	if _, err := client.Write([]byte{'+'}); err != nil {
		c.kafka.Close()
		return
	}
	p.mu.Lock()
	p.conns[c] = true
	p.mu.Unlock()
	defer func() {
		c.close()
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		defer c.close()
		_ = p.pass(c, c.worker, bufio.NewReaderSize(c.kafka, 64<<10), p.answer)
	}()
	if errors.Is(p.pass(c, c.kafka, from, p.request), errCut) {
		c.worker.Close()
		time.Sleep(200 * time.Millisecond) // the broker still reads what was sent
	}
	c.close()
	<-answers
}

// close ends both sides.
func (c *conn) close() {
	c.worker.Close()
	c.kafka.Close()
}

// on is the weather that a connection meets now.
func (p *proxy) on(c *conn) weather {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.sky[c.instance]; w.broker == "" || w.broker == c.broker {
		return w
	}
	return weather{}
}

// set changes the weather of an instance. Connections that it severs end now.
func (p *proxy) set(instance string, w weather) {
	p.mu.Lock()
	p.sky[instance] = w
	p.mu.Unlock()
	if w.sever {
		p.each(func(c *conn) {
			if c.instance == instance && (w.broker == "" || w.broker == c.broker) {
				p.took(c, toll{severed: 1})
				c.close()
			}
		})
	}
}

// clear ends all bad weather.
func (p *proxy) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sky = map[string]weather{}
}

func (p *proxy) each(fn func(*conn)) {
	p.mu.Lock()
	var all []*conn
	for c := range p.conns {
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		fn(c)
	}
}

// left is how many answers to an instance are still to be swallowed.
func (p *proxy) left(instance string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sky[instance].cuts
}

// cut takes one of the answers to be swallowed, if there are any.
func (p *proxy) cut(c *conn, early bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.sky[c.instance]
	if w.cuts == 0 || w.early != early {
		return false
	}
	w.cuts--
	p.sky[c.instance] = w
	t := p.tolls[c.instance]
	t.cuts++
	p.tolls[c.instance] = t
	return true
}

var errCut = errors.New("cut")

// pass copies frames until one side ends. look sees the head of each; it may end the connection before or after it.
func (p *proxy) pass(c *conn, to io.Writer, from *bufio.Reader, look func(c *conn, head []byte) (before, after error)) error {
	for {
		head, err := from.Peek(4)
		if err != nil {
			return err
		}
		size := int64(binary.BigEndian.Uint32(head)) + 4
		if head, err = from.Peek(int(min(size, 12))); err != nil {
			return err
		}
		before, after := look(c, head)
		if before != nil {
			return before
		}
		w := p.on(c)
		if w.delay > 0 {
			p.took(c, toll{delayed: 1})
			time.Sleep(w.delay)
		}
		for held := time.Now(); w.hold && time.Since(held) < 5*time.Minute; w = p.on(c) {
			time.Sleep(20 * time.Millisecond)
		}
		if _, err := io.CopyN(to, from, size); err != nil {
			return err
		}
		if after != nil {
			return after
		}
	}
}

// request notes EndTxn requests.
func (p *proxy) request(c *conn, head []byte) (before, after error) {
	if len(head) < 12 || binary.BigEndian.Uint16(head[4:]) != endTxn {
		return nil, nil
	}
	if p.cut(c, true) {
		return nil, errCut
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[int32(binary.BigEndian.Uint32(head[8:]))] = true
	return nil, nil
}

// answer swallows the answer to an EndTxn request when that is asked for: the broker has decided, the worker does not know.
func (p *proxy) answer(c *conn, head []byte) (before, after error) {
	if len(head) < 8 {
		return nil, nil
	}
	id := int32(binary.BigEndian.Uint32(head[4:]))
	c.mu.Lock()
	is := c.ends[id]
	delete(c.ends, id)
	c.mu.Unlock()
	if is && p.cut(c, false) {
		return errCut, nil
	}
	return nil, nil
}

// awaitCuts waits until all answers that were asked for have been swallowed.
func (p *proxy) awaitCuts(ctx context.Context, instance string, limit time.Duration) bool {
	return await(ctx, limit, func() bool { return p.left(instance) == 0 })
}

// took adds to the toll of a connection's instance.
func (p *proxy) took(c *conn, more toll) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tolls[c.instance]
	p.tolls[c.instance] = toll{t.cuts + more.cuts, t.delayed + more.delayed, t.severed + more.severed}
}

// toll is what an instance has met so far.
func (p *proxy) toll(instance string) toll {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tolls[instance]
}
