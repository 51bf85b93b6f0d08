"""
What kind of action an API name is, for any of the thousands of names that AWS has.

The names that matter most are listed; any other is told by its verb, the first word of the name.
"""

import re
from functools import lru_cache

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")

_VERSION = re.compile(r"(20[0-9]{6}|20[0-9]{2}_[0-9]{2}_[0-9]{2})(v[0-9]+)?$")  # of the API, as Lambda's names have it

_NAMES = {
    "login": "ConsoleLogin",
    "assume": (
        "AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot GetFederationToken GetSessionToken"
        " SwitchRole ExitRole RenewRole"
    ),
    "execute": (
        "SendCommand ExecuteCommand ExecuteStatement BatchExecuteStatement StartAutomationExecution StartQueryExecution"
        " StartExecution StartSyncExecution StartBuild RunTask RunJobFlow StartJobRun Invoke"
    ),
    "connect": "StartSession ResumeSession SendSSHPublicKey SendSerialConsoleSSHPublicKey OpenTunnel",
    "grant": (
        "AttachUserPolicy AttachRolePolicy AttachGroupPolicy PutUserPolicy PutRolePolicy PutGroupPolicy AddUserToGroup"
        " AddRoleToInstanceProfile CreatePolicyVersion SetDefaultPolicyVersion UpdateAssumeRolePolicy CreateAccessKey"
        " CreateLoginProfile CreateServiceSpecificCredential PutBucketPolicy PutBucketAcl PutObjectAcl PutKeyPolicy"
        " CreateGrant AddPermission AddLayerVersionPermission PutResourcePolicy ModifySnapshotAttribute"
        " ModifyImageAttribute ModifyDBSnapshotAttribute ModifyDBClusterSnapshotAttribute SetRepositoryPolicy"
        " PutFileSystemPolicy PutRegistryPolicy AttachPolicy CreateAccountAssignment"
        " DeleteRolePermissionsBoundary DeleteUserPermissionsBoundary AssociateAccessPolicy CreateAccessEntry"
        " ShareDirectory CreateResourceShare AssociateResourceShare"
    ),
}
_VERBS = {
    "read": (
        "Get Head Describe Read Query Check Lookup Search Select Scan Preview Estimate Test Validate Simulate Filter"
        " Download View Decrypt Encrypt Sign Generate Detect Discover Retrieve Resolve Receive Poll Compare Analyze"
        " Export Predict"
    ),
    "list": "List",
    "create": (
        "Create Run Register Import Copy Allocate Upload Request Publish Provision Restore Clone Build Purchase"
        " Launch Initiate Schedule Subscribe"
    ),
    "delete": "Delete Terminate Remove Deregister Purge Release Abort Destroy Unsubscribe Withdraw Close Leave",
    "update": (
        "Start Stop Put Update Add Attach Detach Associate Disassociate Modify Set Enable Disable Accept Cancel Change"
        " Deactivate Activate Reboot Replace Reset Revoke Rotate Tag Untag Apply Assign Unassign Reject Move Suspend"
        " Resume Promote Upgrade Transfer Complete Write Invite Merge Renew Refresh Switch End Failover Patch Edit"
        " Increase Decrease Confirm Approve Unlock Lock Pause Retry Rebuild Swap Split Advertise Archive Unarchive"
        " Verify"
    ),
    "execute": "Execute Invoke Send",
    "grant": "Authorize Grant Share",
    "assume": "Assume",
    "connect": "Connect",
}

_BY_NAME = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_BY_VERB = {verb: kind for kind, verbs in _VERBS.items() for verb in verbs.split()}

_CHANGING = frozenset({"create", "update", "delete", "execute", "grant"})


@lru_cache(4096)
def kind_of(name: str) -> str:
    """Return read, list, create, update, delete, execute, connect, login, assume, grant or other."""
    return _BY_NAME.get(_VERSION.sub("", name)) or _BY_VERB.get(_verb(name), "other")


@lru_cache(4096)
def changes(name: str) -> bool:
    """Whether the verb of a name says that something is changed; of a verb not known, it is taken that not."""
    return _BY_VERB.get(_verb(name)) in _CHANGING


def _verb(name: str) -> str:
    words = _WORDS.findall(name)
    if words[:1] == ["Batch"]:
        words = words[1:]
    return words[0] if words else ""
