package schemas

import "strings"

// Field is the permanent number of a known field. It is written into evidence, so a number is never given to another
// field. Zero is no field.
type Field uint16

// Type says how KQL compares the values of a field.
type Type uint8

// The types of fields. Keyword compares text, IP also understands networks, Date and Long also ranges.
const (
	Keyword Type = iota
	IP
	Date
	Long
	Boolean
)

func (t Type) String() string {
	return [...]string{"keyword", "ip", "date", "long", "boolean"}[t]
}

// Fields that the code fills by name; the table below has all of them.
const (
	fTimestamp      Field = 1
	fEventID        Field = 2
	fProvider       Field = 3
	fAction         Field = 4
	fOutcome        Field = 5
	fCode           Field = 6
	fKind           Field = 7
	fModule         Field = 8
	fDataset        Field = 9
	fStreamDataset  Field = 10
	fCloudProvider  Field = 11
	fSourceAddress  Field = 14
	fSourceIP       Field = 15
	fClientAddress  Field = 16
	fClientIP       Field = 17
	fClientUser     Field = 18
	fUserName       Field = 20
	fUserAgent      Field = 21
	fTLSVersion     Field = 22
	fTLSCipher      Field = 23
	fReferrer       Field = 25
	fStatus         Field = 26
	fBodyBytes      Field = 27
	fErrorCode      Field = 46
	fErrorMessage   Field = 47
	fUserType       Field = 52
	fIssuerName     Field = 63
	fMFAUsed        Field = 65
	fRequestText    Field = 70
	fResponseText   Field = 71
	fAdditionalText Field = 72
	fServiceText    Field = 73
	s3Base          Field = 100 // + column of the access log, from 1
	fS3Owner              = s3Base + 1
	fS3Bucket             = s3Base + 2
	fS3Time               = s3Base + 3
	fS3RemoteIP           = s3Base + 4
	fS3Requester          = s3Base + 5
	fS3RequestID          = s3Base + 6
	fS3Operation          = s3Base + 7
	fS3Key                = s3Base + 8
	fS3RequestURI         = s3Base + 9
	fS3Status             = s3Base + 10
	fS3ErrorCode          = s3Base + 11
	fS3BytesSent          = s3Base + 12
	fS3Referrer           = s3Base + 16
	fS3UserAgent          = s3Base + 17
	fS3Cipher             = s3Base + 21
	fS3TLSVersion         = s3Base + 24
	fS3Last               = s3Base + 27
	fSourceNetwork        = fS3Last + 1
	fSourceASNumber       = fS3Last + 2
	fSourceASOrg          = fS3Last + 3
	fieldEnd              = fSourceASOrg + 1
)

type fieldInfo struct {
	name  string
	typ   Type
	path  string // where CloudTrail has it; dots are levels
	show  bool   // an alert shows it: part of the evidence
	alias string // Panther's name for it
}

// fields is indexed by number. Sources: Elastic's aws.cloudtrail and aws.s3access integrations for the names, Panther's
// AWS.S3ServerAccess for the aliases.
var fields = [fieldEnd]fieldInfo{
	fTimestamp:     {name: "@timestamp", typ: Date},
	fEventID:       {name: "event.id", path: "eventID", show: true},
	fProvider:      {name: "event.provider", path: "eventSource", show: true},
	fAction:        {name: "event.action", path: "eventName", show: true},
	fOutcome:       {name: "event.outcome", show: true},
	fCode:          {name: "event.code", show: true},
	fKind:          {name: "event.kind"},
	fModule:        {name: "event.module"},
	fDataset:       {name: "event.dataset"},
	fStreamDataset: {name: "data_stream.dataset"},
	fCloudProvider: {name: "cloud.provider"},
	12:             {name: "cloud.region", path: "awsRegion", show: true},
	13:             {name: "cloud.account.id", path: "userIdentity.accountId", show: true},
	fSourceAddress: {name: "source.address", path: "sourceIPAddress", show: true},
	fSourceIP:      {name: "source.ip", typ: IP, show: true},
	fClientAddress: {name: "client.address", show: true},
	fClientIP:      {name: "client.ip", typ: IP, show: true},
	fClientUser:    {name: "client.user.id", show: true},
	19:             {name: "user.id", path: "userIdentity.principalId", show: true},
	fUserName:      {name: "user.name", path: "userIdentity.userName", show: true},
	fUserAgent:     {name: "user_agent.original", path: "userAgent", show: true},
	fTLSVersion:    {name: "tls.version", path: "tlsDetails.tlsVersion", show: true},
	fTLSCipher:     {name: "tls.cipher", path: "tlsDetails.cipherSuite", show: true},
	24:             {name: "tls.client.server_name", path: "tlsDetails.clientProvidedHostHeader", show: true},
	fReferrer:      {name: "http.request.referrer", show: true},
	fStatus:        {name: "http.response.status_code", typ: Long, show: true},
	fBodyBytes:     {name: "http.response.body.bytes", typ: Long, show: true},

	40:            {name: "aws.cloudtrail.event_version", path: "eventVersion"},
	41:            {name: "aws.cloudtrail.event_type", path: "eventType", show: true},
	42:            {name: "aws.cloudtrail.event_category", path: "eventCategory", show: true},
	43:            {name: "aws.cloudtrail.management_event", typ: Boolean, path: "managementEvent", show: true},
	44:            {name: "aws.cloudtrail.read_only", typ: Boolean, path: "readOnly", show: true},
	45:            {name: "aws.cloudtrail.api_version", path: "apiVersion"},
	fErrorCode:    {name: "aws.cloudtrail.error_code", path: "errorCode", show: true},
	fErrorMessage: {name: "aws.cloudtrail.error_message", path: "errorMessage", show: true},
	48:            {name: "aws.cloudtrail.recipient_account_id", path: "recipientAccountId", show: true},
	49:            {name: "aws.cloudtrail.request_id", path: "requestID", show: true},
	50:            {name: "aws.cloudtrail.shared_event_id", path: "sharedEventID", show: true},
	51:            {name: "aws.cloudtrail.vpc_endpoint_id", path: "vpcEndpointId", show: true},
	fUserType:     {name: "aws.cloudtrail.user_identity.type", path: "userIdentity.type", show: true},
	53:            {name: "aws.cloudtrail.user_identity.arn", path: "userIdentity.arn", show: true},
	54:            {name: "aws.cloudtrail.user_identity.access_key_id", path: "userIdentity.accessKeyId", show: true},
	55:            {name: "aws.cloudtrail.user_identity.invoked_by", path: "userIdentity.invokedBy", show: true},
	57:            {name: "aws.cloudtrail.user_identity.session_context.mfa_authenticated", path: "userIdentity.sessionContext.attributes.mfaAuthenticated"},
	58:            {name: "aws.cloudtrail.user_identity.session_context.creation_date", typ: Date, path: "userIdentity.sessionContext.attributes.creationDate"},
	59:            {name: "aws.cloudtrail.user_identity.session_context.session_issuer.type", path: "userIdentity.sessionContext.sessionIssuer.type", show: true},
	60:            {name: "aws.cloudtrail.user_identity.session_context.session_issuer.principal_id", path: "userIdentity.sessionContext.sessionIssuer.principalId", show: true},
	61:            {name: "aws.cloudtrail.user_identity.session_context.session_issuer.arn", path: "userIdentity.sessionContext.sessionIssuer.arn", show: true},
	62:            {name: "aws.cloudtrail.user_identity.session_context.session_issuer.account_id", path: "userIdentity.sessionContext.sessionIssuer.accountId", show: true},
	fIssuerName:   {name: "aws.cloudtrail.user_identity.session_context.session_issuer.user_name", path: "userIdentity.sessionContext.sessionIssuer.userName", show: true},
	64:            {name: "aws.cloudtrail.session_credential_from_console", path: "sessionCredentialFromConsole", show: true},
	fMFAUsed:      {name: "aws.cloudtrail.console_login.additional_eventdata.mfa_used", typ: Boolean, path: "additionalEventData.MFAUsed", show: true},

	fRequestText:    {name: "aws.cloudtrail.request_parameters", path: "requestParameters", show: true},
	fResponseText:   {name: "aws.cloudtrail.response_elements", path: "responseElements"},
	fAdditionalText: {name: "aws.cloudtrail.additional_eventdata", path: "additionalEventData"},
	fServiceText:    {name: "aws.cloudtrail.service_event_details", path: "serviceEventDetails"},

	80: {name: "aws.cloudtrail.resources.arn", path: "resources.ARN", show: true},
	81: {name: "aws.cloudtrail.resources.type", path: "resources.type", show: true},
	82: {name: "aws.cloudtrail.resources.account_id", path: "resources.accountId", show: true},

	fS3Owner:      {name: "aws.s3access.bucket_owner", show: true, alias: "bucketowner"},
	fS3Bucket:     {name: "aws.s3access.bucket", show: true, alias: "bucket"},
	fS3Time:       {name: "aws.s3access.time", alias: "time"},
	fS3RemoteIP:   {name: "aws.s3access.remote_ip", typ: IP, show: true, alias: "remoteip"},
	fS3Requester:  {name: "aws.s3access.requester", show: true, alias: "requester"},
	fS3RequestID:  {name: "aws.s3access.request_id", show: true, alias: "requestid"},
	fS3Operation:  {name: "aws.s3access.operation", show: true, alias: "operation"},
	fS3Key:        {name: "aws.s3access.key", show: true, alias: "key"},
	fS3RequestURI: {name: "aws.s3access.request_uri", show: true, alias: "requesturi"},
	fS3Status:     {name: "aws.s3access.http_status", typ: Long, show: true, alias: "httpstatus"},
	fS3ErrorCode:  {name: "aws.s3access.error_code", show: true, alias: "errorcode"},
	fS3BytesSent:  {name: "aws.s3access.bytes_sent", typ: Long, show: true, alias: "bytessent"},
	113:           {name: "aws.s3access.object_size", typ: Long, show: true, alias: "objectsize"},
	114:           {name: "aws.s3access.total_time", typ: Long, show: true, alias: "totaltime"},
	115:           {name: "aws.s3access.turn_around_time", typ: Long, show: true, alias: "turnaroundtime"},
	fS3Referrer:   {name: "aws.s3access.referrer", show: true, alias: "referrer"},
	fS3UserAgent:  {name: "aws.s3access.user_agent", show: true, alias: "useragent"},
	118:           {name: "aws.s3access.version_id", show: true, alias: "versionid"},
	119:           {name: "aws.s3access.host_id", show: true, alias: "hostid"},
	120:           {name: "aws.s3access.signature_version", show: true, alias: "signatureversion"},
	fS3Cipher:     {name: "aws.s3access.cipher_suite", show: true, alias: "ciphersuite"},
	122:           {name: "aws.s3access.authentication_type", show: true, alias: "authenticationtype"},
	123:           {name: "aws.s3access.host_header", show: true, alias: "hostheader"},
	fS3TLSVersion: {name: "aws.s3access.tls_version", show: true, alias: "tlsVersion"},
	125:           {name: "aws.s3access.access_point_arn", show: true, alias: "accesspointarn"},
	126:           {name: "aws.s3access.acl_required", show: true, alias: "aclrequired"},
	fS3Last:       {name: "aws.s3access.source_region", show: true, alias: "sourceregion"},

	fSourceNetwork:  {name: "source.network"},                          // the /24 or /48 around source.ip; made when a rule asks for it
	fSourceASNumber: {name: "source.as.number", typ: Long, show: true}, // looked up when a rule asks for it, as the next
	fSourceASOrg:    {name: "source.as.organization.name", show: true},
}

var byName = func() map[string]Field {
	m := map[string]Field{}
	for i, f := range fields {
		if f.name == "" {
			continue
		}
		m[f.name] = Field(i)
		if f.alias != "" {
			m[f.alias], m[strings.ToLower(f.alias)] = Field(i), Field(i)
		}
	}
	return m
}()

// Known finds a field by its ECS name or, for the S3 access log, by Panther's name.
func Known(name string) (Field, bool) {
	f, ok := byName[name]
	return f, ok
}

// Name returns the ECS name, or "" for a number that this build does not know.
func (f Field) Name() string {
	if f >= fieldEnd {
		return ""
	}
	return fields[f].name
}

// FieldType returns the type of the field with that name; unknown fields and wildcards are keywords.
func FieldType(name string) Type { return fields[byName[name]].typ }

// KnownNames lists every name that Known finds, in the order of the numbers: for suggestions and documentation.
func KnownNames() []string {
	var names []string
	for _, f := range fields {
		if f.name != "" {
			names = append(names, f.name)
		}
		if f.alias != "" {
			names = append(names, f.alias)
		}
	}
	return names
}
