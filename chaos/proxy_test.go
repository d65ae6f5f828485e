package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// echoBroker answers every request with its correlation id and remembers the api keys.
func echoBroker(t *testing.T) (address string, keys chan uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	keys = make(chan uint16, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for head := make([]byte, 12); ; {
					if _, err := io.ReadFull(c, head); err != nil {
						return
					}
					keys <- binary.BigEndian.Uint16(head[4:])
					c.Write(append([]byte{0, 0, 0, 4}, head[8:12]...))
				}
			}()
		}
	}()
	return l.Addr().String(), keys
}

// ask sends a request of a kind through the proxy and returns whether the answer came.
func ask(t *testing.T, p *proxy, broker string, key uint16) bool {
	t.Helper()
	c, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "CONNECT %s w1\n", broker)
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return false
	}
	request := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, uint32(key)<<16)
	c.Write(append(request, 0, 0, 0, 7))
	answer := make([]byte, 8)
	if _, err := io.ReadFull(c, answer); err != nil {
		return false
	}
	return answer[7] == 7
}

func TestProxy(t *testing.T) {
	p, err := newProxy()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	broker, keys := echoBroker(t)
	const fetch = 1
	expect := func(what string, key uint16, answered, arrived bool) {
		t.Helper()
		if got := ask(t, p, broker, key); got != answered {
			t.Errorf("%s: answered %t", what, got)
		}
		select {
		case <-keys:
			if !arrived {
				t.Errorf("%s: it reached the broker", what)
			}
		case <-time.After(time.Second):
			if arrived {
				t.Errorf("%s: it did not reach the broker", what)
			}
		}
	}
	expect("fair weather", endTxn, true, true)
	p.set("w1", weather{cuts: 1})
	expect("another request than the one to cut", fetch, true, true)
	expect("an answer to cut", endTxn, false, true)
	expect("the next one", endTxn, true, true)
	p.set("w1", weather{cuts: 1, early: true})
	expect("cut when the request has been sent", endTxn, false, true)
	p.set("w1", weather{broker: "127.0.0.1:1", sever: true})
	expect("cut off from another broker", fetch, true, true)
	p.set("w1", weather{broker: broker, sever: true})
	expect("cut off from this broker", fetch, false, false)
	p.set("w2", weather{sever: true})
	p.set("w1", weather{})
	expect("when another worker is cut off", fetch, true, true)
	if n := p.toll("w1").cuts; n != 2 {
		t.Errorf("%d answers cut", n)
	}
}
