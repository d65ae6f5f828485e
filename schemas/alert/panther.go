package alert

import "strings"

// AppendPanther appends the alert in the shape that Panther sends to a webhook or a queue. Source of the names:
// Notification in panther-labs/panther, alert_delivery. As there every key is always present; link is empty, there is no
// console to link to. alertContext also has the reason and the count, which Panther has no key for.
func (a *Alert) AppendPanther(dst []byte) []byte {
	r, e := a.rule(), a.event()
	d := newDocument(MaxBytes - 2)
	d.always("id", r.ID, MaxText)
	d.time("createdAt", a.created())
	d.text("severity", strings.ToUpper(r.Severity))
	d.text("type", "RULE")
	d.always("link", "", 0)
	d.always("title", a.title(), 1000)
	d.always("name", r.Name, MaxText)
	d.text("alertId", a.ID.String())
	d.always("version", r.Version, MaxText)
	d.texts("tags", r.Tags)
	context := newDocument(MaxBytes / 2)
	a.addContext(context, e)
	context.text("reason", a.Reason())
	context.number("count", a.Count)
	d.object("alertContext", context)
	d.always("description", r.Description, 4*MaxText)
	d.always("runbook", r.Runbook, 16*MaxText)
	return d.appendTo(dst)
}

// addContext adds Panther's alert context for AWS, filled from CloudTrail or from the access log. Panther's own leaves
// placeholders for the latter. Source: aws_rule_context in panther-analysis, and the bucket.
func (a *Alert) addContext(d *document, e *event) {
	put := func(name, value string) { d.always(name, value, MaxText) }
	bucket, _ := e.object()
	put("bucket", bucket)
	put("eventName", e.first("aws.s3access.operation", "event.action"))
	put("eventSource", or(e.get("event.provider"), "s3.amazonaws.com"))
	put("awsRegion", e.region())
	put("recipientAccountId", e.first("aws.cloudtrail.recipient_account_id", "aws.s3access.bucket_owner"))
	put("sourceIPAddress", e.address())
	put("userAgent", e.get("user_agent.original"))
	kind := e.get("aws.cloudtrail.user_identity.type")
	if kind == "" {
		put("userIdentity", e.first("aws.s3access.requester", "client.user.id"))
		return
	}
	d.text("userIdentity.type", kind)
	d.text("userIdentity.principalId", e.get("user.id"))
	d.text("userIdentity.arn", e.get("aws.cloudtrail.user_identity.arn"))
	d.text("userIdentity.accountId", e.get("cloud.account.id"))
	d.text("userIdentity.userName", e.get("user.name"))
}
