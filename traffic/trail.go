package traffic

import "time"

var (
	matching = []string{"GetObject", "GetObject", "GetObject", "GetObject", "ListObjects", "ListObjects", "PutObject", "DeleteObject"}
	signedS3 = []string{"GetObject", "GetObject", "GetObject", "HeadObject", "PutObject", "PutObject", "DeleteObject", "ListObjects", "GetBucketAcl", "GetBucketLocation", "UploadPart"}
	others   = [][2]string{{"ec2", "DescribeInstances"}, {"ec2", "DescribeNetworkInterfaces"}, {"ec2", "DescribeVpcs"}, {"sts", "AssumeRole"}, {"kms", "Decrypt"}, {"kms", "Decrypt"},
		{"kms", "GenerateDataKey"}, {"iam", "GetRole"}, {"iam", "ListTagsForResource"}, {"lambda", "Invoke20150331"}, {"logs", "CreateLogStream"}, {"ssm", "GetParameter"}, {"secretsmanager", "GetSecretValue"}}
	services = []string{"cloudtrail.amazonaws.com", "config.amazonaws.com", "autoscaling.amazonaws.com", "lambda.amazonaws.com", "delivery.logs.amazonaws.com", "AWS Internal"}
)

// trail makes a CloudTrail record: an anonymous access that matches, one that misses a condition of the rule, or what
// signed-in callers and services do.
func (g *Generator) trail(at time.Time) Record {
	c := call{at: at, source: "s3.amazonaws.com", identity: "AssumedRole", bucket: g.bucket(), key: g.key(), region: pick(g.rnd, regions), agent: pick(g.rnd, agents)}
	switch p := g.rnd.Float64(); {
	case p < g.o.Anonymous:
		g.anonymous(&c)
	case p < g.o.Anonymous+0.005:
		g.anonymous(&c)
		g.miss(&c)
	case p < g.o.Anonymous+0.35:
		c.name, c.address = pick(g.rnd, signedS3), g.caller()
		if g.rnd.IntN(4) == 0 {
			c.identity = "IAMUser"
		}
		if g.rnd.IntN(30) == 0 {
			c.failure = "NoSuchKey"
		}
	default:
		o := pick(g.rnd, others)
		c.source, c.name, c.address, c.bucket, c.key = o[0]+".amazonaws.com", o[1], g.caller(), "", ""
		if g.rnd.IntN(5) == 0 {
			c.source, c.name = "sts.amazonaws.com", "AssumeRole"
			c.identity, c.address = "AWSService", pick(g.rnd, services)
			c.agent = c.address
		} else if g.rnd.IntN(50) == 0 {
			c.failure = "Client.UnauthorizedOperation"
		}
	}
	return g.write(c)
}

// caller is where a signed-in caller is: in the company or at home.
func (g *Generator) caller() string {
	if g.rnd.IntN(3) == 0 {
		return g.outside()
	}
	return g.inside()
}

func (g *Generator) anonymous(c *call) {
	c.name, c.address, c.identity, c.account, c.agent, c.matches = pick(g.rnd, matching), g.outside(), "AWSAccount", "anonymous", pick(g.rnd, browsers), true
	if g.rnd.IntN(6) == 0 {
		c.identity = "Unknown"
	}
	if g.rnd.IntN(3) == 0 {
		c.account = "ANONYMOUS_PRINCIPAL"
	}
}

// miss makes an anonymous access miss one condition.
func (g *Generator) miss(c *call) {
	c.matches = false
	switch g.rnd.IntN(6) {
	case 0, 1, 2:
		c.failure = "AccessDenied"
	case 3:
		c.name = "HeadObject"
	case 4:
		c.name = "PreflightRequest"
	case 5:
		c.account = "444455556666"
	}
}
