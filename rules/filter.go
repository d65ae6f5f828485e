package rules

import (
	"slices"
	"strings"

	"firstseen/rules/kql"
	"firstseen/schemas"
)

// filter returns what records of the dataset must have for any of its rules to match: an alternative for each rule. It is
// nil where a rule asks for nothing that a record shows.
func filter(d schemas.Dataset, rules []*Rule) *schemas.Filter {
	f := &schemas.Filter{}
	for _, r := range rules {
		if r.query == nil {
			return nil
		}
		var a schemas.Alternative
		a.Field, a.Values = indexable(r)
		a.Clauses = kql.Required(r.query, func(field string) ([]string, bool) { return spelling(d, canonicalName(field)) })
		if a.Field == 0 && len(a.Clauses) == 0 {
			return nil
		}
		f.Alternatives = append(f.Alternatives, a)
	}
	return f
}

const issuer = "aws.cloudtrail.user_identity.session_context.session_issuer."

// copied are the fields whose values stand in a record as they are, JSON escapes aside. What is derived is not there,
// as event.outcome is not; nor are numbers and times, which have several spellings, and keys, which are URL-encoded.
var copied = map[schemas.Dataset][]string{
	schemas.CloudTrail: {
		"event.id", "event.provider", "event.action", "cloud.region", "cloud.account.id", "source.address", "user.id",
		"user.name", "user_agent.original", "tls.version", "tls.cipher", "tls.client.server_name",
		"aws.cloudtrail.event_type", "aws.cloudtrail.event_category", "aws.cloudtrail.error_code",
		"aws.cloudtrail.error_message", "aws.cloudtrail.recipient_account_id", "aws.cloudtrail.vpc_endpoint_id",
		"aws.cloudtrail.user_identity.type", "aws.cloudtrail.user_identity.arn",
		"aws.cloudtrail.user_identity.access_key_id", "aws.cloudtrail.user_identity.invoked_by", issuer + "type",
		issuer + "principal_id", issuer + "arn", issuer + "account_id", issuer + "user_name",
		"aws.cloudtrail.resources.arn", "aws.cloudtrail.resources.type", "aws.cloudtrail.resources.account_id",
	},
	schemas.S3Access: {
		"event.action", "client.user.id", "aws.s3access.bucket_owner", "aws.s3access.bucket", "aws.s3access.requester",
		"aws.s3access.request_id", "aws.s3access.operation",
	},
}

// spelling is kql.Spelling for records of the dataset. Of the members of flattened objects each level has its key in the
// record, and values are copied.
func spelling(d schemas.Dataset, field string) (keys []string, verbatim bool) {
	if name, ok := strings.CutPrefix(field, "aws.cloudtrail.flattened."); ok && d == schemas.CloudTrail {
		_, member, _ := strings.Cut(name, ".")
		return strings.Split(member, "."), true
	}
	return nil, slices.Contains(copied[d], field)
}
