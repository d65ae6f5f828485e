package schemas

import (
	"net/netip"
	"strconv"
)

// Owners says which autonomous system announces an address: its number and the organization that runs it, which may be
// empty. Several goroutines call it.
type Owners interface {
	Owner(addr netip.Addr) (number uint32, organization string, ok bool)
}

// deriveOwner fills source.as.*, if a rule uses one and there is somebody to ask, from the address as source.ip has it.
func (d *Decoder) deriveOwner(e *Event, ip []byte) {
	if d.cfg.Owners == nil || !d.layout.wants[fSourceASNumber] && !d.layout.wants[fSourceASOrg] {
		return
	}
	addr, _ := ParseIP(ip, false) // an IPv4-mapped address has the owner of the IPv4 address
	number, organization, ok := d.cfg.Owners.Owner(addr)
	if !ok {
		return
	}
	start := len(d.text)
	d.text = strconv.AppendUint(d.text, uint64(number), 10)
	end := len(d.text)
	d.text = append(d.text, organization...)
	e.add(Slot(fSourceASNumber), Value{Text: d.text[start:end:end], Kind: Number})
	if organization != "" {
		e.add(Slot(fSourceASOrg), Value{Text: d.text[end:len(d.text):len(d.text)]})
	}
}
