package schemas

// The smallest networks that are routed on the Internet: one user's addresses are often in one of them, a site's with IPv6
// nearly always.
const (
	networkBits4 = 24
	networkBits6 = 48
)

// deriveNetwork fills source.network, if a rule uses it, from the address as source.ip has it.
func (d *Decoder) deriveNetwork(e *Event, ip []byte) {
	if !d.layout.wants[fSourceNetwork] {
		return
	}
	addr, _ := ParseIP(ip, true) // canonical already, mapped or not
	bits := networkBits4
	if addr.Is6() {
		bits = networkBits6
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return // not reached: no address here has a zone
	}
	start := len(d.text)
	d.text = network.AppendTo(d.text)
	e.add(Slot(fSourceNetwork), Value{Text: d.text[start:len(d.text):len(d.text)]})
}
