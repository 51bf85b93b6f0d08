"""What a call acted on: the resource that the record names, else what the request asks for."""

from engine.event import Event, Record
from engine.jsontext import text
from ingest.cloudtrail.values import request, s3_uri, short_source
from ingest.jsonfields import text_at, value_at

_KIND_OF_KEY = {
    # In order of precedence: a key that names what is acted on stands before one that names what it belongs to.
    "userName": "iam.user", "roleName": "iam.role", "groupName": "iam.group", "instanceProfileName": "iam.profile",
    "policyArn": "iam.policy", "policyName": "iam.policy", "serialNumber": "iam.mfa", "sAMLProviderArn": "iam.saml",
    "bucketName": "s3.bucket",
    "functionName": "lambda.function", "layerName": "lambda.layer",
    "instanceId": "ec2.instance", "imageId": "ec2.image", "snapshotId": "ec2.snapshot", "volumeId": "ec2.volume",
    "groupId": "ec2.security-group", "networkInterfaceId": "ec2.network-interface", "keyName": "ec2.key-pair",
    "subnetId": "ec2.subnet", "routeTableId": "ec2.route-table", "networkAclId": "ec2.network-acl", "vpcId": "ec2.vpc",
    "keyId": "kms.key", "secretId": "secretsmanager.secret",
    "dBInstanceIdentifier": "rds.db", "dBClusterIdentifier": "rds.cluster", "dBSnapshotIdentifier": "rds.snapshot",
    "trailName": "cloudtrail.trail", "detectorId": "guardduty.detector", "configRuleName": "config.rule",
    "logGroupName": "logs.log-group", "topicArn": "sns.topic", "queueUrl": "sqs.queue", "tableName": "dynamodb.table",
    "streamName": "kinesis.stream", "repositoryName": "ecr.repository", "stackName": "cloudformation.stack",
    "clusterName": "eks.cluster", "service": "ecs.service", "task": "ecs.task", "taskDefinition": "ecs.task-definition",
    "cluster": "ecs.cluster", "documentName": "ssm.document", "target": "ssm.target",
    "hostedZoneId": "route53.hosted-zone", "domainName": "route53.domain", "distributionId": "cloudfront.distribution",
    "roleArn": "iam.role", "accountId": "organizations.account", "name": "", "arn": "", "resourceArn": "", "id": "",
}  # fmt: skip
_SETS = {
    "instancesSet": ("instanceId", "ec2.instance"),
    "imagesSet": ("imageId", "ec2.image"),
    "snapshotSet": ("snapshotId", "ec2.snapshot"),
    "volumeSet": ("volumeId", "ec2.volume"),
    "securityGroupSet": ("groupId", "ec2.security-group"),
}


def target(event: Event) -> str | None:
    """Return the ARN of the first resource, else the S3 object, else the name or id in the request."""
    arn = text_at(_resource(event.record), "ARN")
    if arn:
        return arn
    return s3_uri(event) or _asked(event.record)[0] or None


def target_kind(event: Event) -> str | None:
    """Return ``aws.<service>.<type>``: as the resource says, else by the key that names it in the request."""
    resource = _resource(event.record)
    kind = (text_at(resource, "type") or "").split("::")  # AWS::S3::Object
    if len(kind) == 3:
        return f"aws.{kind[1]}.{kind[2]}".lower()
    arn = text_at(resource, "ARN")
    if arn:
        return _kind_of_arn(arn)
    if s3_uri(event):
        return "aws.s3.object"
    named, kind_of_key = _asked(event.record)
    if not named:
        return None
    if kind_of_key:
        return f"aws.{kind_of_key}"
    return _kind_of_arn(named) if named.startswith("arn:") else _kind_of_service(event)


def _resource(record: Record) -> object:
    found = record.get("resources")
    return found[0] if isinstance(found, list) and found else None


def _kind_of_arn(arn: str) -> str | None:
    """Return the kind that ``arn:aws:service:region:account:type/id`` tells; S3 names buckets without a type."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return None
    service, rest = parts[2], parts[5]
    if service == "s3":
        return "aws.s3.object" if "/" in rest else "aws.s3.bucket"
    ends = [at for at in (rest.find("/"), rest.find(":")) if at > 0]
    return f"aws.{service}.{rest[: min(ends)]}" if ends else f"aws.{service}"


def _kind_of_service(event: Event) -> str | None:
    service = short_source(event)
    return f"aws.{service}" if service else None


def _asked(record: Record) -> tuple[str, str]:
    """Return what the request names, and its kind after ``aws.``; ("", "") when it names nothing known."""
    asked = request(record)
    for key, kind in _KIND_OF_KEY.items():
        named = asked.get(key)
        if named and isinstance(named, str):
            return named, kind
    for key, (inner, kind) in _SETS.items():
        items = value_at(asked.get(key), "items")
        named = text(value_at(items[0], inner)) if isinstance(items, list) and items else None
        if named:
            return named, kind
    return "", ""
