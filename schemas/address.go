package schemas

import (
	"bytes"
	"net/netip"
)

// ParseIP parses an address as source.ip has it: without its zone, and an IPv4-mapped IPv6 address as IPv4 unless
// strict. Leading zeros, ports, blanks and networks are no address. IPv4 does not allocate.
func ParseIP(text []byte, strict bool) (netip.Addr, bool) {
	if len(text) < 2 || len(text) > 64 {
		return netip.Addr{}, false
	}
	if bytes.IndexByte(text[:min(5, len(text))], ':') < 0 {
		return parseIPv4(text)
	}
	addr, err := netip.ParseAddr(string(text))
	if err != nil {
		return netip.Addr{}, false
	}
	if !strict {
		addr = addr.Unmap()
	}
	return addr.WithZone(""), true
}

func parseIPv4(text []byte) (netip.Addr, bool) {
	var quad [4]byte
	part, value, digits := 0, 0, 0
	for _, c := range text {
		switch {
		case c-'0' <= 9:
			if digits == 1 && value == 0 {
				return netip.Addr{}, false
			}
			value = value*10 + int(c-'0')
			if digits++; value > 255 {
				return netip.Addr{}, false
			}
		case c == '.' && digits > 0 && part < 3:
			quad[part] = byte(value)
			part, value, digits = part+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	if part != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	quad[3] = byte(value)
	return netip.AddrFrom4(quad), true
}
