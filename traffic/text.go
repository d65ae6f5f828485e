package traffic

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
)

// text is what a record is written into.
type text struct {
	rnd *rand.Rand
	b   []byte
}

func (t *text) put(s ...string) {
	for _, v := range s {
		t.b = append(t.b, v...)
	}
}

func (t *text) int(n int64) { t.b = strconv.AppendInt(t.b, n, 10) }

// from appends n characters of an alphabet of 32 or 64.
func (t *text) from(alphabet string, n int) {
	var bits uint64
	for i := range n {
		if i%10 == 0 {
			bits = t.rnd.Uint64()
		}
		t.b = append(t.b, alphabet[int(bits)&(len(alphabet)-1)])
		bits >>= 6
	}
}

// hex appends n hexadecimal digits, n even.
func (t *text) hex(n int) {
	for i := 0; i < n; i += 16 {
		t.b = hex.AppendEncode(t.b, binary.BigEndian.AppendUint64(nil, t.rnd.Uint64())[:min(8, (n-i)/2)])
	}
}

const (
	capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // access keys
	base64   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)

// take returns a copy of what was written and starts anew.
func (t *text) take() []byte {
	b := append([]byte(nil), t.b...)
	t.b = t.b[:0]
	return b
}

var (
	folders = []string{"raw", "events", "year=2025", "month=01", "exports", "daily", "customers", "invoices", "images", "thumb", "archive", "models", "tmp", "reports", "static", "backup"}
	files   = []string{"part-00017.snappy.parquet", "index.html", "report.pdf", "data.csv.gz", "logo.png", "dump.sql", "events.json", "customers.xlsx", "config.yml"}
	regions = []string{"us-east-1", "us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"}
	agents  = []string{
		"[aws-cli/2.24.10 md/awscrt#0.23.8 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.12.9 cfg/retry-mode#standard]",
		"[Boto3/1.37.9 md/Botocore#1.37.9 ua/2.0 os/linux#5.10.234 md/arch#aarch64 lang/python#3.11.2 Botocore/1.37.9]",
		"aws-sdk-go-v2/1.36.3 ua/2.1 os/linux lang/go#1.24.1 md/GOOS#linux md/GOARCH#amd64 api/s3#1.79.0",
		"APN/1.0 HashiCorp/1.0 Terraform/1.11.1 (+https://www.terraform.io) aws-sdk-go-v2/1.36.1",
		"[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488 Linux/5.10.186 OpenJDK_64-Bit_Server_VM/25.372-b08]",
	}
	browsers = []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
		"Mozilla/5.0 (compatible; CensysInspect/1.1; +https://about.censys.io/)", "curl/8.7.1", "Go-http-client/1.1", "python-requests/2.32.3",
	}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// key is an object key as logs have it, URL-encoded, a few twice.
func (g *Generator) key() string {
	var parts []string
	for range 1 + g.rnd.IntN(4) {
		parts = append(parts, pick(g.rnd, folders))
	}
	name := pick(g.rnd, files)
	switch g.rnd.IntN(20) {
	case 0:
		name = "annual%20" + name
	case 1:
		name = "annual%2520" + name
	}
	return strings.Join(append(parts, name), "/")
}

func bucketName(i uint64) string {
	return [...]string{"acme-data", "acme-logs", "acme-web", "acme-backup", "acme-ml"}[i%5] + "-" + strconv.FormatUint(i, 10)
}

// uuid derives an id from the seed and a number: different numbers, different ids.
func uuid(seed, n uint64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], mix(seed<<32^n))
	binary.BigEndian.PutUint64(b[8:], mix(n+1))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// requestID is what S3 calls one: 16 characters.
func requestID(seed, n uint64) string {
	return strings.ToUpper(hex.EncodeToString(binary.BigEndian.AppendUint64(nil, mix(mix(seed)^n))))
}

// outside is the i-th address outside the allowlist: one in twenty is IPv6.
func outside(seed, i uint64) string {
	if mix(seed^i)%20 == 0 {
		a := netip.MustParseAddr("2600:1f18::").As16()
		binary.BigEndian.PutUint64(a[8:], i+1)
		return netip.AddrFrom16(a).String()
	}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(i*2654435761)) // odd, so no two numbers below 2^24 share the lower bytes by chance
	first := [...]byte{18, 34, 45, 52, 80, 91, 104, 139, 146, 159, 162, 178, 185, 193, 203, 212}
	return netip.AddrFrom4([4]byte{first[a[0]>>4], a[1], a[2], a[3]}).String()
}

// inside is an address on the allowlist.
func (g *Generator) inside() string {
	v := g.rnd.Uint32()
	return netip.AddrFrom4([4]byte{10, byte(v>>16) & 7, byte(v >> 8), byte(v)}).String()
}

// mix scatters the bits of a number; different numbers stay different.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
