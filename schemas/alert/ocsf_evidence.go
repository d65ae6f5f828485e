package alert

import (
	"strconv"

	"firstseen/schemas/wire"
)

// addAnomaly says which values were new, with the history before them as the baseline.
func (a *Alert) addAnomaly(d *document, r *Rule) {
	n, t := a.NewTerms, a.eventTime()
	pattern := "UNSEEN"
	if n.PreviousSeen != wire.NoTime {
		pattern = "RARE"
	}
	var targets, anomalies, baselines []*document
	for i, field := range r.Fields[:min(len(r.Fields), len(n.Values), 8)] {
		target, now, before := newDocument(MaxBytes), newDocument(MaxBytes), newDocument(MaxBytes)
		target.text("name", field)
		target.text("type", "Field")

		before.text("value", n.Values[i])
		before.number("count", 0)
		before.number("timespan.type_id", 9)
		before.number("timespan.start_time", max(n.HistoryStart, t-n.History))
		before.number("timespan.end_time", t)
		now.text("value", n.Values[i])
		now.number("count", a.Count)

		targets = append(targets, target)
		anomalies = append(anomalies, observed(field, pattern, now))
		baselines = append(baselines, observed(field, "UNSEEN", before))
	}
	o := newDocument(MaxBytes / 4)
	o.objects("analysis_targets", targets...)
	o.objects("anomalies", anomalies...)
	o.objects("baselines", baselines...)
	d.objects("anomaly_analyses", o)
}

// observed is an anomaly or a baseline of OCSF.
func observed(field, pattern string, observation *document) *document {
	d := newDocument(MaxBytes)
	d.text("observation_parameter", field)
	d.text("observation_type", "Frequency Analysis")
	d.text("observed_pattern", pattern)
	d.objects("observations", observation)
	return d
}

// addEvidences adds the event: who called what, from where, on which bucket, and the address to look for elsewhere.
func (a *Alert) addEvidences(d *document, e *event) {
	v := newDocument(MaxBytes / 4)
	v.text("api.operation", or(e.first("event.action", "aws.s3access.operation"), "unknown"))
	v.text("api.service.name", or(e.get("event.provider"), "s3.amazonaws.com"))
	v.text("api.request.uid", e.first("aws.cloudtrail.request_id", "aws.s3access.request_id"))
	v.text("api.response.error", e.first("aws.cloudtrail.error_code", "aws.s3access.error_code"))
	v.text("api.response.error_message", e.get("aws.cloudtrail.error_message"))
	if e.anonymous() {
		v.text("actor.user.name", "anonymous")
	}
	v.text("actor.user.uid", e.first("aws.cloudtrail.user_identity.arn", "user.id", "aws.s3access.requester"))
	v.text("actor.user.name", e.get("user.name"))
	v.text("actor.user.type", e.get("aws.cloudtrail.user_identity.type"))
	v.text("actor.user.account.uid", e.get("cloud.account.id"))
	v.text("http_request.user_agent", e.get("user_agent.original"))
	v.text("http_request.referrer", e.get("http.request.referrer"))
	status := e.first("http.response.status_code", "aws.s3access.http_status")
	if code, err := strconv.ParseInt(status, 10, 32); err == nil {
		v.number("http_response.code", code)
	}
	if ip := e.first("source.ip", "client.ip"); ip != "" {
		v.text("src_endpoint.ip", ip)
		o := newDocument(MaxBytes)
		o.text("name", "evidences[].src_endpoint.ip")
		o.number("type_id", 2)
		o.text("type", "IP Address")
		o.text("value", ip)
		d.objects("observables", o)
	} else {
		v.text("src_endpoint.svc_name", e.address())
	}
	if bucket, key := e.object(); bucket != "" {
		v.number("databucket.type_id", 1)
		v.text("databucket.type", "S3")
		v.text("databucket.name", bucket)
		v.text("databucket.uid", "arn:aws:s3:::"+bucket)
		if key != "" {
			v.text("databucket.file.name", key)
			v.number("databucket.file.type_id", 1)
		}
		o := newDocument(MaxBytes)
		o.text("type", "AWS::S3::Bucket")
		o.text("name", bucket)
		o.text("uid", "arn:aws:s3:::"+bucket)
		o.number("role_id", 1)
		o.text("role", "Target")
		d.objects("resources", o)
	}
	d.objects("evidences", v)
	d.texts("metadata.profiles", []string{"cloud"})
	d.text("cloud.provider", "AWS")
	d.text("cloud.region", e.region())
	d.text("cloud.account.uid", e.get("aws.cloudtrail.recipient_account_id"))
}
