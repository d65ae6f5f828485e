package gen

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
)

// address maps a pool index to a unique public address.
func (c *chunk) address(i uint64) string {
	h := mix(i ^ c.Seed<<32)
	if float64(h%10000) < c.IPv6*10000 {
		var a [16]byte
		a[0], a[1], a[2], a[3] = 0x26, 0x00, 0x1f, 0x18
		for k := 0; k < 8; k++ {
			a[15-k] = byte(i >> (8 * k))
		}
		for k := 0; k < 4; k++ {
			a[4+k] = byte(c.Nonce >> (8 * k))
		}
		return netip.AddrFrom16(a).String()
	}
	v := uint32(i*2654435761+c.Nonce*40503) & 0x7fffffff
	first := byte(v>>24) + 64 // 64..191
	if first == 127 {
		first = 203
	}
	return netip.AddrFrom4([4]byte{first, byte(v >> 16), byte(v >> 8), byte(v)}).String()
}

var (
	candidateNames = []string{"GetObject", "GetObject", "GetObject", "GetObject", "ListObjects", "ListBucket", "PutObject", "DeleteObject"}
	dataNames      = []string{"GetObject", "GetObject", "GetObject", "HeadObject", "PutObject", "PutObject", "DeleteObject", "ListObjects", "GetBucketLocation", "UploadPart"}
	otherSources   = [][2]string{{"ec2", "DescribeInstances"}, {"ec2", "DescribeNetworkInterfaces"}, {"sts", "AssumeRole"}, {"kms", "Decrypt"},
		{"kms", "GenerateDataKey"}, {"iam", "GetRole"}, {"lambda", "Invoke"}, {"dynamodb", "GetItem"}, {"logs", "CreateLogStream"},
		{"monitoring", "PutMetricAlarm"}, {"sqs", "ReceiveMessage"}, {"secretsmanager", "GetSecretValue"}, {"ssm", "GetParameters"}}
	services = []string{"cloudtrail.amazonaws.com", "config.amazonaws.com", "autoscaling.amazonaws.com", "lambda.amazonaws.com",
		"ec2.amazonaws.com", "AWS Internal"}
	regions = []string{"us-east-1", "us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"}
	agents  = []string{"aws-sdk-go-v2/1.36.3 ua/2.1 os/linux lang/go#1.24.1 md/GOOS#linux md/GOARCH#amd64 api/s3#1.79.0",
		"[aws-cli/2.24.10 md/awscrt#0.23.8 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.12.9 cfg/retry-mode#standard]",
		"Boto3/1.37.9 md/Botocore#1.37.9 ua/2.0 os/linux#5.10.234 md/arch#aarch64 lang/python#3.11.2 Botocore/1.37.9",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
		"curl/8.7.1", "APN/1.0 HashiCorp/1.0 Terraform/1.11.1 aws-sdk-go-v2/1.36.1"}
	words = []string{"data", "raw", "events", "year=2026", "month=01", "part-00017", "exports", "daily", "customers", "invoices", "images",
		"thumb", "logs", "archive", "snapshot", "model", "train", "tmp", "backup", "reports", "parquet", "json", "web", "static"}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func (c *chunk) str(s ...string) {
	for _, v := range s {
		c.buf = append(c.buf, v...)
	}
}

func (c *chunk) hex(n int) {
	var b [32]byte
	for i := 0; i < n/2; i += 8 {
		v := c.rnd.Uint64()
		for k := 0; k < 8; k++ {
			b[i+k] = byte(v >> (8 * k))
		}
	}
	c.buf = hex.AppendEncode(c.buf, b[:n/2])
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func (c *chunk) base64(n int) {
	var v uint64
	for i := 0; i < n; i++ {
		if i%10 == 0 {
			v = c.rnd.Uint64()
		}
		c.buf = append(c.buf, base64Digits[v&63])
		v >>= 6
	}
}

func (c *chunk) path(n int) {
	for end := len(c.buf) + n; len(c.buf) < end; {
		if c.rnd.IntN(3) == 0 {
			c.hex(16)
		} else {
			c.str(pick(c.rnd, words))
		}
		c.buf = append(c.buf, '/')
	}
	c.buf[len(c.buf)-1] = 'x'
}

// uuid derives a unique, reproducible id from the stream and the index.
func (c *chunk) uuid(stream, i uint64) string {
	var b [16]byte
	hi := mix(c.Seed<<8 ^ stream ^ c.Nonce<<20)
	lo := mix(i + 1)
	for k := 0; k < 8; k++ {
		b[k], b[8+k] = byte(hi>>(8*k)), byte(lo>>(8*k))
	}
	var d [36]byte
	hex.Encode(d[0:8], b[0:4])
	hex.Encode(d[9:13], b[4:6])
	hex.Encode(d[14:18], b[6:8])
	hex.Encode(d[19:23], b[8:10])
	hex.Encode(d[24:36], b[10:16])
	d[8], d[13], d[18], d[23] = '-', '-', '-', '-'
	return string(d[:])
}
