package gen

import (
	"math"
	"strconv"
	"time"
)

// An apiCall is what the fields of a CloudTrail record say.
type apiCall struct {
	source, name, kind, account, errorCode string
	service                                string // the caller, if it is a service of AWS
	candidate                              bool   // the new-terms rule looks at it
}

// drawCall draws a candidate, something that misses one condition of the rule, another S3 data event or something else.
func (c *chunk) drawCall(i int) apiCall {
	rnd := c.rnd
	a := apiCall{source: "s3.amazonaws.com", kind: "AssumedRole", account: "111122223333"}
	switch p := rnd.Float64(); {
	case i < c.Terms || p < c.Candidates:
		a.candidate = true
		a.name, a.kind, a.account = pick(rnd, candidateNames), "AWSAccount", "anonymous"
		if rnd.IntN(5) == 0 {
			a.kind = "Unknown"
		}
		if rnd.IntN(3) == 0 {
			a.account = "ANONYMOUS_PRINCIPAL"
		}
	case p < c.Candidates*1.3:
		a.name, a.kind, a.account = pick(rnd, candidateNames), "AWSAccount", "anonymous"
		switch rnd.IntN(5) {
		case 0, 1:
			a.errorCode = "AccessDenied"
		case 2:
			a.name = "HeadObject"
		case 3:
			a.account = "444455556666"
		case 4:
			a.source = "s3-outposts.amazonaws.com"
		}
	case p < c.Candidates*1.3+c.S3Data:
		a.name = pick(rnd, dataNames)
		if rnd.IntN(4) == 0 {
			a.kind = "IAMUser"
		}
		if rnd.IntN(30) == 0 {
			a.errorCode = "NoSuchKey"
		}
	default:
		o := pick(rnd, otherSources)
		a.source, a.name = o[0]+".amazonaws.com", o[1]
		if rnd.Float64() < c.Services/(1-c.Candidates*1.3-c.S3Data) {
			a.service, a.kind = pick(rnd, services), "AWSService"
		} else if rnd.IntN(50) == 0 {
			a.errorCode = "Client.UnauthorizedOperation"
		}
	}
	return a
}

// caller draws the source address of a call.
func (c *chunk) caller(a *apiCall, i int) string {
	if a.service != "" {
		return a.service
	}
	n := c.addrs.Uint64()
	switch {
	case a.candidate && c.Nonce != 0:
		n = uint64(i)
	case i < c.Terms:
		n = uint64(c.Pool + i) // nobody else's
	case a.candidate && c.Scanner > 0 && c.rnd.Float64() < c.Scanner:
		n = 0
	}
	return c.address(n)
}

func (c *chunk) cloudTrail(r *Record, i int, t int64) {
	rnd, call := c.rnd, c.drawCall(i)
	addr := c.caller(&call, i)
	size := int(1640 * math.Exp(0.181*rnd.NormFloat64()))
	start := len(c.buf)
	c.str(`{"eventVersion":"1.11","userIdentity":{"type":"`, call.kind, `",`)
	switch call.kind {
	case "AWSAccount", "Unknown":
		c.str(`"principalId":"","accountId":"`, call.account, `"`)
	case "AWSService":
		c.str(`"invokedBy":"`, call.service, `"`)
	default:
		c.str(`"principalId":"AROAEXAMPLE`)
		c.hex(16)
		c.str(`:session","arn":"arn:aws:sts::`, call.account, `:assumed-role/app-`, pick(rnd, words), `/session","accountId":"`, call.account,
			`","accessKeyId":"ASIA`)
		c.hex(16)
		c.str(`","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE","arn":"arn:aws:iam::`, call.account,
			`:role/app","accountId":"`, call.account, `","userName":"app"},"attributes":{"creationDate":"2026-01-04T23:11:02Z","mfaAuthenticated":"false"}}`)
	}
	region := pick(rnd, regions)
	c.str(`},"eventTime":"`)
	c.buf = time.Unix(t, 0).UTC().AppendFormat(c.buf, time.RFC3339)
	c.str(`","eventSource":"`, call.source, `","eventName":"`, call.name, `","awsRegion":"`, region, `","sourceIPAddress":"`, addr,
		`","userAgent":"`, pick(rnd, agents), `",`)
	if call.errorCode != "" {
		c.str(`"errorCode":"`, call.errorCode, `","errorMessage":"The request was denied: \"`, call.name, `\" on the resource",`)
	}
	bucket := "bucket-" + strconv.Itoa(rnd.IntN(c.Buckets))
	c.str(`"requestParameters":{"bucketName":"`, bucket, `","Host":"`, bucket, `.s3.`, region, `.amazonaws.com","key":"`)
	if fill := size - (len(c.buf) - start) - 865; fill > 8 {
		c.path(fill)
	}
	c.str(`"},"responseElements":null,"additionalEventData":{"SignatureVersion":"SigV4","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"`)
	c.base64(76)
	c.str(`","bytesTransferredOut":`)
	c.buf = strconv.AppendInt(c.buf, rnd.Int64N(1<<20), 10)
	id := c.uuid(1, uint64(i))
	c.str(`},"requestID":"`)
	c.hex(16)
	c.str(`","eventID":"`, id, `","readOnly":true,"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::`, bucket, `/`)
	c.path(24)
	c.str(`"},{"accountId":"111122223333","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::`, bucket,
		`"}],"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"111122223333`,
		`","eventCategory":"Data","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"`, bucket,
		`.s3.`, region, `.amazonaws.com"}}`)

	*r = Record{Value: c.buf[start:len(c.buf):len(c.buf)], Time: t, ID: id}
	if call.service != "" {
		r.Partition = int32(i % c.Partitions) // never a candidate, so its order does not matter
	} else {
		r.Partition = c.partition(addr)
	}
	if call.candidate {
		r.Rule, r.Key = NewTerms, addr
	}
}
