package traffic

import "time"

const owner = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"

// request is one line of an access log before it is written.
type request struct {
	at        time.Time
	bucket    string
	address   string // "-": none
	requester string // "-": anonymous
	operation string // REST.GET.OBJECT
	key       string // "-": none
	status    string
	failure   string // error code, or "-"
	agent     string
	matches   bool
}

var operations = []string{"REST.GET.OBJECT", "REST.GET.OBJECT", "REST.GET.OBJECT", "REST.PUT.OBJECT", "REST.HEAD.OBJECT", "REST.GET.BUCKET", "REST.DELETE.OBJECT"}

// line makes a line of an access log: of an address outside the allowlist, of one on it, or of S3 itself.
func (g *Generator) line(at time.Time) Record {
	r := request{at: at, bucket: g.bucket(), operation: pick(g.rnd, operations), key: g.key(), status: "200", failure: "-",
		requester: "arn:aws:sts::" + account + ":assumed-role/app/worker", agent: pick(g.rnd, agents)}
	switch p := g.rnd.Float64(); {
	case p < g.o.Outside:
		r.address, r.matches = g.outside(), true
		if g.rnd.IntN(3) == 0 {
			r.requester, r.agent = "-", pick(g.rnd, browsers)
		}
		if g.rnd.IntN(200) == 0 {
			r.agent = `x" "forged`
		}
	case p < g.o.Outside+0.02:
		r.address, r.requester, r.operation, r.agent = "-", "AmazonS3", "S3.EXPIRE.OBJECT", "-"
	default:
		r.address = g.inside()
	}
	if r.operation == "REST.GET.BUCKET" {
		r.key = "-"
	} else if r.operation == "REST.DELETE.OBJECT" {
		r.status = "204"
	} else if g.rnd.IntN(25) == 0 {
		r.status, r.failure = "404", "NoSuchKey"
	}
	return g.writeLine(r)
}

// writeLine gives the request its id and its bytes: 27 fields.
func (g *Generator) writeLine(r request) Record {
	g.ids++
	id, t := requestID(g.o.Seed, g.ids), &g.buf
	t.put(owner, " ", r.bucket, " [", r.at.Format("02/Jan/2006:15:04:05 -0700"), "] ", r.address, " ", r.requester, " ", id, " ", r.operation, " ", r.key, " ")
	path := "/" + r.key
	if r.key == "-" {
		path = "/?list-type=2&prefix="
	}
	method := map[string]string{"REST.PUT.OBJECT": "PUT", "REST.HEAD.OBJECT": "HEAD", "REST.DELETE.OBJECT": "DELETE"}[r.operation]
	switch {
	case r.address == "-":
		t.put(`"-" `)
	case method == "":
		t.put(`"GET `, path, ` HTTP/1.1" `)
	default:
		t.put(`"`, method, ` `, path, ` HTTP/1.1" `)
	}
	t.put(r.status, " ", r.failure, " ")
	t.int(g.rnd.Int64N(1 << 20))
	t.put(" - ")
	t.int(g.rnd.Int64N(900))
	t.put(` 12 "-" "`, r.agent, `" - `)
	t.from(base64, 55)
	region := pick(g.rnd, regions)
	if r.requester == "-" || r.address == "-" {
		t.put("= - TLS_AES_128_GCM_SHA256 - ")
	} else {
		t.put("= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader ")
	}
	t.put(r.bucket, ".s3.", region, ".amazonaws.com TLSv1.3 - - ", region)
	key := r.key
	if key == "-" {
		key = ""
	}
	return Record{Kind: S3Access, Value: t.take(), Time: r.at, EventID: id + ":" + r.operation + ":" + key, Route: r.bucket,
		Rule: rule(r.matches, AllowlistRule), Key: rule(r.matches, r.bucket)}
}
