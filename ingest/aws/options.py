"""What every source that reads from AWS can be told about the way there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """
    How AWS is reached; "" leaves the choice to the SDK (environment, shared files, instance or task role).

    Attributes:
        profile: Profile of the shared files.
        region: Region; when not given that of the queue's URL or ARN, if there is one.
        config: Path of the shared config file.
        credentials: Path of the shared credentials file.
        endpoint_url: Used for every service instead of AWS's own.
        assume_role_arn: Role to take before any call.
        external_id: What the role's trust policy wants to hear, if anything.
        attempts: Tries per request in the SDK, the first included.
    """

    profile: str = ""
    region: str = ""
    config: str = ""
    credentials: str = ""
    endpoint_url: str = ""
    assume_role_arn: str = ""
    external_id: str = ""
    attempts: int = 5
