package rules

import (
	"fmt"
	"strings"
)

// services are AWS services and calls that change something in them or give something away: what rules are written
// about.
var services = []struct{ provider, calls string }{
	{"iam", "CreateUser CreateAccessKey CreateLoginProfile UpdateLoginProfile AttachUserPolicy AttachGroupPolicy PutUserPolicy PutGroupPolicy CreateRole PutRolePolicy AttachRolePolicy UpdateAssumeRolePolicy AddUserToGroup CreateGroup DeleteGroup CreatePolicyVersion SetDefaultPolicyVersion DeletePolicy DeactivateMFADevice DeleteAccountPasswordPolicy CreateSAMLProvider UpdateSAMLProvider CreateOpenIDConnectProvider CreateInstanceProfile AddRoleToInstanceProfile PutRolePermissionsBoundary DeleteUserPermissionsBoundary CreateServiceSpecificCredential"},
	{"ec2", "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress CreateSecurityGroup RevokeSecurityGroupEgress ModifyInstanceAttribute DescribeInstanceAttribute GetPasswordData CreateNetworkAcl CreateNetworkAclEntry ReplaceNetworkAclEntry DeleteNetworkAcl CreateRoute CreateRouteTable ReplaceRoute DeleteRoute DeleteFlowLogs DisableEbsEncryptionByDefault ModifySnapshotAttribute ModifyImageAttribute CreateKeyPair ImportKeyPair CreateInstanceExportTask ExportImage EnableSerialConsoleAccess CreateTrafficMirrorSession AssociateIamInstanceProfile ReplaceIamInstanceProfile RequestSpotInstances"},
	{"s3", "PutBucketAcl PutBucketPolicy DeleteBucketPolicy DeleteBucketReplication DeleteBucketEncryption DeleteBucketLifecycle PutBucketLifecycle PutBucketLogging PutBucketVersioning PutBucketReplication DeleteBucketPublicAccessBlock PutBucketOwnershipControls"},
	{"sts", "AssumeRoleWithSAML AssumeRoleWithWebIdentity GetCallerIdentity GetFederationToken GetSessionToken AssumeRoot"},
	{"kms", "DisableKey ScheduleKeyDeletion PutKeyPolicy DeleteImportedKeyMaterial CreateGrant"},
	{"cloudtrail", "CreateTrail DeleteTrail UpdateTrail StopLogging PutEventSelectors"},
	{"rds", "CreateDBSnapshot ModifyDBInstance DeleteDBInstance DeleteDBCluster DeleteGlobalCluster RestoreDBInstanceFromS3 RestoreDBInstanceFromDBSnapshot ModifyDBSnapshotAttribute StartExportTask DeleteDBSnapshot"},
	{"config", "DeleteConfigRule DeleteConfigurationRecorder DeleteDeliveryChannel StopConfigurationRecorder DeleteConformancePack DeleteRetentionConfiguration"},
	{"guardduty", "DeleteDetector UpdateDetector CreateIPSet UpdateIPSet DeleteMembers DisassociateMembers StopMonitoringMembers DeleteInvitations"},
	{"ssm", "SendCommand StartSession CreateDocument CreateAssociation GetInventory ListCommands DescribeInstancePatches"},
	{"secretsmanager", "GetSecretValue BatchGetSecretValue DeleteSecret PutResourcePolicy"},
	{"signin", "ConsoleLogin PasswordRecoveryRequested GetSigninToken"},
	{"logs", "DeleteLogGroup DeleteLogStream PutRetentionPolicy DeleteSubscriptionFilter"},
	{"monitoring", "DeleteAlarms DisableAlarmActions SetAlarmState"},
	{"bedrock", "DeleteGuardrail UpdateGuardrail PutModelInvocationLoggingConfiguration DeleteModelInvocationLoggingConfiguration CreateAgent UpdateAgent CreateAgentActionGroup UpdateAgentAlias CreateDataSource DeleteDataSource StartIngestionJob CreateModelImportJob CreateProvisionedModelThroughput PutUseCaseForModelAccess"},
	{"organizations", "LeaveOrganization CloseAccount ListAccounts ListRoots DescribeOrganization RemoveAccountFromOrganization ListPolicies"},
	{"wafv2", "DeleteWebACL DeleteRuleGroup UpdateWebACL"},
	{"route53", "AssociateVPCWithHostedZone ChangeResourceRecordSets DeleteHostedZone"},
	{"route53domains", "TransferDomainToAnotherAwsAccount DisableDomainTransferLock"},
	{"elasticfilesystem", "DeleteFileSystem DeleteMountTarget PutFileSystemPolicy"},
	{"backup", "DeleteRecoveryPoint DeleteBackupVault DeleteBackupVaultLockConfiguration"},
	{"eks", "CreateAccessEntry AssociateAccessPolicy UpdateAccessEntry DeleteAccessEntry UpdateClusterConfig"},
	{"sns", "CreateTopic Subscribe Publish SetTopicAttributes"},
	{"sqs", "PurgeQueue DeleteQueue SetQueueAttributes"},
	{"dynamodb", "Scan ExportTableToPointInTime DeleteTable DeleteBackup"},
	{"cloudformation", "CreateStack CreateStackInstances DeleteStack"},
	{"events", "DeleteRule DisableRule PutTargets RemoveTargets"},
	{"ecr", "SetRepositoryPolicy DeleteRepositoryPolicy PutImage"},
	{"lambda", "CreateFunction20150331 DeleteFunction20150331 AddPermission20150331v2 PublishLayerVersion20181031 CreateEventSourceMapping20150331"},
	{"cloudshell", "CreateEnvironment CreateSession"},
}

// shapes are the queries of such rules by the number of calls that they take; PROVIDER and CALLS are put in. Three in
// four name one call or a few, others add conditions on who, from where, and with which parameters.
var shapes = []struct {
	calls int
	query string
}{
	{1, `and event.outcome: "success"`},
	{1, `and event.outcome: "success"`},
	{4, `and event.outcome: "success"`},
	{1, `and event.outcome: "success" and not aws.cloudtrail.user_identity.type: "AWSService" and not user_agent.original: (*terraform* or *pulumi* or *ansible*) and not aws.cloudtrail.user_identity.arn: (*terraform* or *pulumi*)`},
	{2, `and event.outcome: "success" and not source.address: ("cloudformation.amazonaws.com" or "servicecatalog.amazonaws.com")`},
	{1, `and event.outcome: "success" and aws.cloudtrail.request_parameters: (*dmin* and *llow*)`},
	{9, `and event.outcome: "success"`},
	{1, `and aws.cloudtrail.error_code: ("AccessDenied" or "Client.UnauthorizedOperation") and event.outcome: "failure"`},
	{1, `and aws.cloudtrail.flattened.request_parameters.PARAMETER: ("a-value" or "another-value") and event.outcome: ("success" or "failure")`},
	{2, `and event.outcome: "success" and source.ip: * and not user_agent.original: "AWS Internal"`},
	{1, `and aws.cloudtrail.flattened.request_parameters.PARAMETER: * and event.outcome: "success"`},
}

var parameters = []string{"serialNumber", "attribute", "ipPermissions.items.ipRanges.items.cidrIp", "groupSet.items.groupId", "x-amz-acl", "aclProtocol", "documentType", "protocol"}

// peculiar are queries whose calls no index has: by wildcard, by who calls, by the tool, by parameter.
var peculiar = []string{
	`event.provider: "lambda.amazonaws.com" and event.action: Invoke* and event.outcome: "success" and not aws.cloudtrail.user_identity.invoked_by: *`,
	`event.provider: "lambda.amazonaws.com" and event.action: (UpdateFunctionCode* or UpdateFunctionConfiguration*) and event.outcome: "success"`,
	`event.provider: "lambda.amazonaws.com" and event.action: AddLayerVersionPermission* and event.outcome: "success"`,
	`event.outcome: "success" and source.ip: * and aws.cloudtrail.user_identity.access_key_id: AKIA*`,
	`event.provider: "iam.amazonaws.com" and event.outcome: "success" and aws.cloudtrail.user_identity.type: "IAMUser" and aws.cloudtrail.user_identity.access_key_id: ASIA* and source.ip: *`,
	`event.outcome: "success" and user_agent.original: (*kali* or *Cyberduck*)`,
	`event.provider: "s3.amazonaws.com" and aws.cloudtrail.error_code: "AccessDenied" and tls.client.server_name: *`,
	`aws.cloudtrail.user_identity.type: "AssumedRole" and aws.cloudtrail.user_identity.session_context.session_issuer.arn: *role/Agent-* and not event.provider: ("bedrock.amazonaws.com" or "logs.amazonaws.com")`,
	`event.provider: "s3.amazonaws.com" and event.action: "GetObject" and event.outcome: "success" and aws.cloudtrail.flattened.request_parameters.key: (*/credentials or */id_rsa or */id_ed25519 or *.env or *.pem or *.ppk or *secret_key* or */authorized_keys) and not aws.cloudtrail.user_identity.type: "AWSService"`,
	`event.provider: "ssm.amazonaws.com" and event.action: ("GetParameter" or "GetParameters") and event.outcome: "success" and aws.cloudtrail.flattened.request_parameters.withDecryption: true`,
	`event.provider: "sts.amazonaws.com" and event.action: "AssumeRole" and event.outcome: "success" and aws.cloudtrail.user_identity.type: "AWSService" and aws.cloudtrail.user_identity.invoked_by: ("ec2.amazonaws.com" or "lambda.amazonaws.com" or "rds.amazonaws.com" or "codebuild.amazonaws.com")`,
	`event.provider: "sts.amazonaws.com" and event.action: "AssumeRole" and event.outcome: "success" and aws.cloudtrail.user_identity.type: "AssumedRole"`,
}

// manyRules are rule files with n rules on CloudTrail, shaped like those of public collections: 240 calls of 30
// services, most named by one rule or two; a few rules without a call. calls are those named, as eventSource and
// eventName.
func manyRules(n int) (files []string, calls [][2]string) {
	type call = [2]string
	for _, s := range services {
		for name := range strings.FieldsSeq(s.calls) {
			calls = append(calls, call{s.provider + ".amazonaws.com", name})
		}
	}
	at := 0
	for i := range n {
		var query string
		if i < len(peculiar) {
			query = peculiar[i]
		} else {
			shape := shapes[i%len(shapes)]
			provider := calls[at%len(calls)][0]
			var names []string
			for len(names) < shape.calls && calls[at%len(calls)][0] == provider {
				names = append(names, fmt.Sprintf("%q", calls[at%len(calls)][1]))
				at++
			}
			query = fmt.Sprintf("event.provider: %q and event.action: (%s) ", provider, strings.Join(names, " or ")) +
				strings.ReplaceAll(shape.query, "PARAMETER", parameters[i%len(parameters)])
		}
		terms := ""
		if i%3 == 0 {
			terms = "new_terms: {fields: [cloud.account.id, user.name], history: 10d}\n"
		}
		files = append(files, fmt.Sprintf("id: rule-%03d\nname: Rule %d\ndataset: aws.cloudtrail\nseverity: low\nquery: >-\n  data_stream.dataset: \"aws.cloudtrail\" and %s\n%s", i, i, query, terms))
	}
	return files, calls
}
