package gen

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"
)

// The operations of the lines; no rule looks at them.
var operations = []string{"REST.GET.OBJECT", "REST.GET.OBJECT", "REST.PUT.OBJECT", "REST.HEAD.OBJECT", "REST.GET.BUCKET", "REST.DELETE.OBJECT"}

func (c *chunk) s3Line(r *Record, i int, t int64) {
	rnd := c.rnd
	bucket := "bucket-" + strconv.FormatUint(c.buckets.Uint64(), 10)
	var addr string
	match := true
	switch p := rnd.Float64(); {
	case p < c.Inside:
		v := rnd.Uint32()
		addr, match = netip.AddrFrom4([4]byte{10, byte(v >> 16), byte(v >> 8), byte(v)}).String(), false
	case p < c.Inside+0.01:
		addr, match = "-", false
	default:
		addr = c.address(c.addrs.Uint64())
	}
	if match && c.HotBucket > 0 && rnd.Float64() < c.HotBucket {
		bucket = "bucket-0"
	}
	h := mix(c.Seed ^ c.Nonce<<20)
	id := hex.EncodeToString([]byte{byte(h), byte(h >> 8), byte(i >> 40), byte(i >> 32), byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
	region := pick(rnd, regions)

	start := len(c.buf)
	c.str(`79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be `, bucket, ` [`)
	c.buf = time.Unix(t, 0).UTC().AppendFormat(c.buf, "02/Jan/2006:15:04:05 -0700")
	c.str(`] `, addr, ` arn:aws:iam::111122223333:user/app-`, pick(rnd, words), ` `, id, ` `, pick(rnd, operations), ` `)
	from := len(c.buf)
	c.path(20)
	key := string(c.buf[from:])
	c.str(` "GET /`, key, ` HTTP/1.1" 200 - `)
	c.buf = strconv.AppendInt(c.buf, rnd.Int64N(1<<20), 10)
	c.str(` - `)
	c.buf = strconv.AppendInt(c.buf, rnd.Int64N(900), 10)
	c.str(` 12 "-" "`, pick(rnd, agents[4:]), `" - `)
	c.base64(24)
	c.str(` SigV4 TLS_AES_128_GCM_SHA256 AuthHeader `, bucket, `.s3.`, region, `.amazonaws.com TLSv1.3 - -`)

	*r = Record{Value: c.buf[start:len(c.buf):len(c.buf)], Time: t, ID: id, Partition: c.partition(bucket)}
	if match {
		r.Rule, r.Key = Allowlist, bucket
	}
}
