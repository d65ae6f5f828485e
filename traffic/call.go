package traffic

import "time"

const account = "111122223333"

// call is one CloudTrail record before it is written.
type call struct {
	at            time.Time
	source        string // s3.amazonaws.com
	name          string
	address       string
	identity      string // AWSAccount, Unknown, AWSService, IAMUser, AssumedRole
	account       string // of AWSAccount and Unknown
	failure       string // errorCode
	bucket, key   string // empty: no parameter
	region, agent string
	matches       bool
}

// reads are the names of calls that change nothing.
var reads = map[string]bool{"GetObject": true, "HeadObject": true, "ListObjects": true, "GetBucketAcl": true, "GetBucketLocation": true, "PreflightRequest": true,
	"DescribeInstances": true, "DescribeNetworkInterfaces": true, "GetRole": true, "GetSecretValue": true, "GetParameter": true, "DescribeVpcs": true, "Decrypt": true, "ListTagsForResource": true}

// write gives the call its ids and its bytes.
func (g *Generator) write(c call) Record {
	g.ids++
	id, t := uuid(g.o.Seed, g.ids), &g.buf
	t.put(`{"eventVersion":"1.11","userIdentity":{"type":"`, c.identity, `",`)
	switch c.identity {
	case "AWSAccount", "Unknown":
		t.put(`"principalId":"","accountId":"`, c.account, `"`)
	case "AWSService":
		t.put(`"invokedBy":"`, c.address, `"`)
	case "IAMUser":
		t.put(`"principalId":"AIDA`)
		t.from(capitals, 17)
		t.put(`","arn":"arn:aws:iam::`, account, `:user/ci","accountId":"`, account, `","accessKeyId":"AKIA`)
		t.from(capitals, 16)
		t.put(`","userName":"ci"`)
	default:
		t.put(`"principalId":"AROA`)
		t.from(capitals, 17)
		t.put(`:worker","arn":"arn:aws:sts::`, account, `:assumed-role/app/worker","accountId":"`, account, `","accessKeyId":"ASIA`)
		t.from(capitals, 16)
		t.put(`","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA`)
		t.from(capitals, 17)
		t.put(`","arn":"arn:aws:iam::`, account, `:role/app","accountId":"`, account, `","userName":"app"},"attributes":{"creationDate":"`,
			c.at.Add(-time.Hour).Format(time.RFC3339), `","mfaAuthenticated":"false"},"webIdFederationData":{}},"inScopeOf":{"issuerType":"AWS::Lambda::Function","credentialsIssuedTo":"arn:aws:lambda:`,
			c.region, `:`, account, `:function:`, pick(g.rnd, folders), `-worker"}`)
	}
	t.put(`},"eventTime":"`, c.at.Format(time.RFC3339), `","eventSource":"`, c.source, `","eventName":"`, c.name, `","awsRegion":"`, c.region,
		`","sourceIPAddress":"`, c.address, `","userAgent":"`, c.agent, `",`)
	if c.failure != "" {
		t.put(`"errorCode":"`, c.failure, `","errorMessage":"User is not authorized to perform: \"`, c.name, `\" on the resource",`)
	}
	host := c.source
	if c.bucket != "" {
		host = c.bucket + ".s3." + c.region + ".amazonaws.com"
		t.put(`"requestParameters":{"bucketName":"`, c.bucket, `","Host":"`, host, `"`)
		if c.name == "ListObjects" {
			t.put(`,"list-type":"2","encoding-type":"url"`)
		} else {
			t.put(`,"key":"`, c.key, `"`)
		}
		t.put(`},`)
	} else {
		g.parameters(c)
	}
	g.tail(c, id, host)
	return Record{Kind: CloudTrail, Value: t.take(), Time: c.at, EventID: id, Route: c.address, Rule: rule(c.matches, NewTermsRule), Key: rule(c.matches, c.address)}
}

// parameters writes those of a request that is not about a bucket.
func (g *Generator) parameters(c call) {
	t := &g.buf
	t.put(`"requestParameters":{`)
	switch c.source {
	case "ec2.amazonaws.com":
		t.put(`"maxResults":100,"filterSet":{"items":[{"name":"vpc-id","valueSet":{"items":[`)
		n := 4 + g.rnd.IntN(16)
		if g.rnd.IntN(50) == 0 {
			n *= 8
		}
		for i := range n {
			if i > 0 {
				t.put(`,`)
			}
			t.put(`{"value":"vpc-0`)
			t.hex(16)
			t.put(`"}`)
		}
		t.put(`]}}]}`)
	case "kms.amazonaws.com":
		t.put(`"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::`, g.bucket(), `/`, g.key(), `"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT","keyId":"arn:aws:kms:`,
			c.region, `:`, account, `:key/8f4e1d2c-0b6a-4c7e-9d3f-5a1b2c3d4e5f"`)
	case "sts.amazonaws.com":
		t.put(`"roleArn":"arn:aws:iam::`, account, `:role/app","roleSessionName":"worker","durationSeconds":3600`)
	case "logs.amazonaws.com":
		t.put(`"logGroupName":"/aws/lambda/`, pick(g.rnd, folders), `-worker","logStreamName":"`, c.at.Format("2006/01/02"), `/[$LATEST]`)
		t.hex(32)
		t.put(`"`)
	default:
		t.put(`"name":"/app/prod/`, g.key(), `","withDecryption":true`)
	}
	t.put(`},`)
}

// tail writes what follows the request's parameters.
func (g *Generator) tail(c call, id, host string) {
	t := &g.buf
	s3 := c.bucket != ""
	t.put(`"responseElements":null,`)
	if s3 {
		t.put(`"additionalEventData":{`)
		if c.identity == "AssumedRole" || c.identity == "IAMUser" {
			t.put(`"SignatureVersion":"SigV4","AuthenticationMethod":"AuthHeader",`)
		}
		t.put(`"CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"x-amz-id-2":"`)
		t.from(base64, 75)
		t.put(`=","bytesTransferredOut":`)
		t.int(g.rnd.Int64N(1 << 20))
		t.put(`},`)
	}
	t.put(`"requestID":"`, requestID(g.o.Seed+1, g.ids), `","eventID":"`, id, `","readOnly":`, boolean(reads[c.name]), `,`)
	if s3 {
		t.put(`"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::`, c.bucket, `/`, c.key, `"},{"accountId":"`, account,
			`","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::`, c.bucket, `"}],"eventType":"AwsApiCall","managementEvent":false,"eventCategory":"Data",`)
	} else {
		if c.source == "kms.amazonaws.com" {
			t.put(`"resources":[{"accountId":"`, account, `","type":"AWS::KMS::Key","ARN":"arn:aws:kms:`, c.region, `:`, account, `:key/8f4e1d2c-0b6a-4c7e-9d3f-5a1b2c3d4e5f"}],`)
		}
		t.put(`"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management",`)
	}
	t.put(`"recipientAccountId":"`, account, `"`)
	if c.identity != "AWSService" {
		t.put(`,"tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"`, host, `"}`)
	}
	t.put(`}`)
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// rule is s for a record that matches.
func rule(matches bool, s string) string {
	if matches {
		return s
	}
	return ""
}
