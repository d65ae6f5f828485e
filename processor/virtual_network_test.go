//go:build synctests

package processor

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A network is how one worker process reaches the brokers. Every request and every answer passes through it on its own,
// takes some time, and can be held up, lost or taken as the moment at which something else happens.
type network struct {
	brokers *kfake.VirtualNetwork
	passing func(message) fate // is asked about each message

	mu    sync.Mutex
	rng   *rand.Rand
	slow  time.Duration // the most that a message takes
	cut   bool
	thaw  chan struct{} // nil: not frozen
	links map[*link]bool
}

// message is a request on its way to a broker, or the answer to one.
type message struct {
	key    kmsg.Key
	answer bool
}

func (m message) String() string {
	if m.answer {
		return "answer to " + m.key.Name()
	}
	return m.key.Name()
}

// fate is what becomes of a message.
type fate struct {
	lost  bool          // with its connection
	delay time.Duration // it is held up for this long
}

var errCut = errors.New("the process is dead")

func newNetwork(brokers *kfake.VirtualNetwork, seed uint64, passing func(message) fate) *network {
	return &network{brokers: brokers, passing: passing, rng: rand.New(rand.NewPCG(seed, 7)), slow: 10 * time.Millisecond, links: map[*link]bool{}}
}

// dial is the kgo.Dialer of the process.
func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // kgo's own limit is for its own dialer
	defer cancel()
	if err := n.wait(ctx.Done()); err != nil {
		return nil, err
	}
	broker, err := n.brokers.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	mine, client := net.Pipe()
	l := &link{network: n, client: mine, broker: broker, asked: map[int32]kmsg.Key{}}
	n.mu.Lock()
	cut := n.cut
	n.links[l] = true
	n.mu.Unlock()
	if cut {
		l.close()
		return nil, errCut
	}
	go l.pump(broker, mine, true)
	go l.pump(mine, broker, false)
	return client, nil
}

// wait waits while the process is frozen. That of a dead one waits for nothing but done: whatever it still tries is not to
// cost the others any time.
func (n *network) wait(done <-chan struct{}) error {
	for {
		n.mu.Lock()
		cut, thaw := n.cut, n.thaw
		n.mu.Unlock()
		switch {
		case cut:
			<-done
			return errCut
		case thaw == nil:
			return nil
		}
		select {
		case <-thaw:
		case <-done:
			return context.Canceled
		}
	}
}

// die cuts the process off for ever. What it has sent may still arrive.
func (n *network) die() {
	n.mu.Lock()
	n.cut = true
	n.mu.Unlock()
	n.melt()
	n.reset()
}

// reset closes the process's end of every connection.
func (n *network) reset() {
	n.mu.Lock()
	links := make([]*link, 0, len(n.links))
	for l := range n.links {
		links = append(links, l)
	}
	n.mu.Unlock()
	for _, l := range links {
		l.client.Close()
	}
}

// freeze holds up everything until melt.
func (n *network) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.thaw == nil {
		n.thaw = make(chan struct{})
	}
}

func (n *network) melt() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.thaw != nil {
		close(n.thaw)
		n.thaw = nil
	}
}

func (n *network) frozen() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.thaw
}

// latency is how long the next message takes.
func (n *network) latency() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Duration(n.rng.Int64N(int64(n.slow)))
}

// chance is true for this share of the calls.
func (n *network) chance(share float64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.Float64() < share
}

// link is a connection.
type link struct {
	network        *network
	client, broker net.Conn
	mu             sync.Mutex
	asked          map[int32]kmsg.Key // by correlation id
}

func (l *link) close() {
	l.client.Close()
	l.broker.Close()
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	delete(l.network.links, l)
}

// pump passes messages on until the connection is closed. What is on its way then still arrives.
func (l *link) pump(to, from net.Conn, requests bool) {
	defer l.close()
	for {
		m, b, err := l.next(from, requests)
		if err != nil {
			return
		}
		f := l.network.passing(m)
		time.Sleep(l.network.latency() + f.delay)
		if f.lost {
			return
		}
		if thaw := l.network.frozen(); thaw != nil {
			<-thaw
		}
		if _, err := to.Write(b); err != nil {
			return
		}
	}
}

// next reads one message: four bytes that say how long the rest is; of a request the key, the version and the correlation
// id, of an answer the correlation id.
func (l *link) next(from net.Conn, request bool) (m message, b []byte, err error) {
	b = make([]byte, 4, 512)
	if _, err = io.ReadFull(from, b); err != nil {
		return m, nil, err
	}
	b = append(b, make([]byte, binary.BigEndian.Uint32(b))...)
	if _, err = io.ReadFull(from, b[4:]); err != nil {
		return m, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if request {
		m.key = kmsg.Key(binary.BigEndian.Uint16(b[4:]))
		l.asked[int32(binary.BigEndian.Uint32(b[8:]))] = m.key
	} else {
		id := int32(binary.BigEndian.Uint32(b[4:]))
		m = message{l.asked[id], true}
		delete(l.asked, id)
	}
	return m, b, nil
}
