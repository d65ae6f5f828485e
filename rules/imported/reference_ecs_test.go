package imported

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// A second mapping of CloudTrail records to ECS, for the fields that rules use: by encoding/json and a table of its own,
// after the field reference of Elastic's integration (https://www.elastic.co/docs/reference/integrations/aws/cloudtrail).

// copied are the members that become a field as they are.
var copied = map[string]string{
	"eventID": "event.id", "eventSource": "event.provider", "eventName": "event.action", "awsRegion": "cloud.region",
	"sourceIPAddress": "source.address", "userAgent": "user_agent.original", "errorCode": "aws.cloudtrail.error_code",
	"errorMessage": "aws.cloudtrail.error_message", "recipientAccountId": "aws.cloudtrail.recipient_account_id",
	"eventType": "aws.cloudtrail.event_type", "eventCategory": "aws.cloudtrail.event_category",
	"managementEvent": "aws.cloudtrail.management_event", "readOnly": "aws.cloudtrail.read_only",
	"sessionCredentialFromConsole":                   "aws.cloudtrail.session_credential_from_console",
	"tlsDetails.clientProvidedHostHeader":            "tls.client.server_name",
	"userIdentity.type":                              "aws.cloudtrail.user_identity.type",
	"userIdentity.arn":                               "aws.cloudtrail.user_identity.arn",
	"userIdentity.accessKeyId":                       "aws.cloudtrail.user_identity.access_key_id",
	"userIdentity.invokedBy":                         "aws.cloudtrail.user_identity.invoked_by",
	"userIdentity.accountId":                         "cloud.account.id",
	"userIdentity.principalId":                       "user.id",
	"userIdentity.userName":                          "user.name",
	"userIdentity.sessionContext.sessionIssuer.arn":  "aws.cloudtrail.user_identity.session_context.session_issuer.arn",
	"userIdentity.sessionContext.sessionIssuer.type": "aws.cloudtrail.user_identity.session_context.session_issuer.type",
	"resources.ARN":                                  "aws.cloudtrail.resources.arn",
	"resources.accountId":                            "aws.cloudtrail.resources.account_id",
	"resources.type":                                 "aws.cloudtrail.resources.type",
}

// objects are the members that become a text and fields of their own.
var objects = map[string]string{
	"requestParameters": "request_parameters", "responseElements": "response_elements", "additionalEventData": "additional_eventdata",
}

// toECS makes the document of a record, whose address has that owner.
func toECS(record []byte, by owner) (document, error) {
	d := document{
		"event.dataset": {"aws.cloudtrail"}, "data_stream.dataset": {"aws.cloudtrail"}, "event.module": {"aws"},
		"event.kind": {"event"}, "cloud.provider": {"aws"},
	}
	decoder := json.NewDecoder(bytes.NewReader(record))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		return nil, err
	}
	leaves := document{}
	collect(leaves, "", all)
	for member, field := range copied {
		if v := leaves[member]; len(v) > 0 {
			d[field] = v
		}
	}
	d["event.outcome"] = []any{"success"}
	if leaves["errorCode"] != nil || leaves["errorMessage"] != nil {
		d["event.outcome"] = []any{"failure"}
	}
	if fmt.Sprint(all["eventName"]) == "ConsoleLogin" {
		if v := leaves["responseElements.ConsoleLogin"]; len(v) > 0 {
			d["event.outcome"] = []any{strings.ToLower(fmt.Sprint(v[0]))}
		}
		if v := leaves["additionalEventData.MFAUsed"]; len(v) > 0 {
			d["aws.cloudtrail.console_login.additional_eventdata.mfa_used"] = []any{v[0] == "Yes"}
		}
	}
	if v := d["source.address"]; len(v) > 0 {
		if _, err := netip.ParseAddr(fmt.Sprint(v[0])); err == nil {
			d["source.ip"] = v
			if by.number != "" {
				d["source.as.number"] = []any{json.Number(by.number)}
			}
			if by.organization != "" {
				d["source.as.organization.name"] = []any{by.organization}
			}
		}
	}
	role := leaves["userIdentity.sessionContext.sessionIssuer.userName"]
	if kind := leaves["userIdentity.type"]; len(role) > 0 && (len(kind) > 0 && kind[0] == "AssumedRole" || d["user.name"] == nil) {
		d["user.name"] = role
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(record, &raw); err != nil {
		return nil, err
	}
	for member, name := range objects {
		for leaf, values := range leaves {
			if rest, ok := strings.CutPrefix(leaf, member+"."); ok {
				d["aws.cloudtrail.flattened."+name+"."+rest] = values
			}
		}
		if raw[member] != nil {
			decoder := json.NewDecoder(bytes.NewReader(raw[member]))
			decoder.UseNumber()
			if text, ok := asText(decoder); ok {
				d["aws.cloudtrail."+name] = []any{text}
			}
		}
	}
	return d, nil
}

// collect lists the scalars below a value by their path; arrays are no level. Empty texts and nulls are none.
func collect(into document, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			collect(into, strings.TrimPrefix(path+"."+key, "."), member)
		}
	case []any:
		for _, item := range v {
			collect(into, path, item)
		}
	case nil:
	default:
		if v != "" {
			into[path] = append(into[path], v)
		}
	}
}

// asText writes a value as Java writes maps and lists: {a=b, c=[1, 2]}. The order is the record's.
func asText(decoder *json.Decoder) (string, bool) {
	token, err := decoder.Token()
	if err != nil {
		return "", false
	}
	var parts []string
	switch token {
	case json.Delim('{'):
		for decoder.More() {
			key, _ := decoder.Token()
			if text, ok := asText(decoder); ok {
				parts = append(parts, fmt.Sprint(key, "=", text))
			}
		}
		_, _ = decoder.Token()
		return "{" + strings.Join(parts, ", ") + "}", true
	case json.Delim('['):
		for decoder.More() {
			if text, ok := asText(decoder); ok {
				parts = append(parts, text)
			}
		}
		_, _ = decoder.Token()
		return "[" + strings.Join(parts, ", ") + "]", true
	case nil, "":
		return "", false
	}
	return fmt.Sprint(token), true
}
