#!/usr/bin/env python
"""
Copies configuration and rules from AWS into folders, before Lanner starts.

Usage: lanner-fetch SOURCE=FOLDER...

A source is ``ssm:/path``, for all parameters below a path, or ``s3://bucket/prefix/``, for the objects directly below
a prefix. Exits with 1 when a source cannot be read or holds nothing: starting without rules would look like silence.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath


class FetchError(Exception):
    """A source cannot be used."""


def fetch(assignments: Iterable[str]) -> list[Path]:
    """
    Copy what sources hold.

    Args:
        assignments: ``SOURCE=FOLDER`` each.

    Returns:
        The files written.

    Raises:
        FetchError: A source holds nothing, or holds a name that would leave its folder.
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: It cannot be read.
    """
    written: list[Path] = []
    for assignment in assignments:
        source, _, folder = assignment.rpartition("=")
        files = [_write(Path(folder), name, content) for name, content in _read(source)]
        if not files:
            raise FetchError(f"{source}: there is nothing")
        written += files
    return written


def _read(source: str) -> Iterator[tuple[str, bytes]]:
    """Yield the names below a source and what is in them."""
    if source.startswith("ssm:/"):
        return _parameters(source.removeprefix("ssm:"))
    bucket, slash, prefix = source.removeprefix("s3://").partition("/")
    if not source.startswith("s3://") or not slash:
        raise FetchError(f"{source!r}: expected ssm:/path=FOLDER or s3://bucket/prefix/=FOLDER")
    return _objects(bucket, prefix)


def _parameters(path: str) -> Iterator[tuple[str, bytes]]:
    import boto3

    pages = boto3.client("ssm").get_paginator("get_parameters_by_path")
    for page in pages.paginate(Path=path, Recursive=True, WithDecryption=True):
        for parameter in page["Parameters"]:
            yield parameter["Name"].removeprefix(path).lstrip("/"), parameter["Value"].encode()


def _objects(bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    import boto3

    client = boto3.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
        for entry in page.get("Contents", []):
            name = entry["Key"].removeprefix(prefix)
            if name:  # the empty one is the marker of a folder
                yield name, client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()


def _write(folder: Path, name: str, content: bytes) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        raise FetchError(f"{name!r} is no name of a file below {folder}")
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def main() -> int:
    """Copy what the command line says; return the exit status."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        files = fetch(sys.argv[1:])
    except (FetchError, BotoCoreError, ClientError, OSError) as error:
        print(f"lanner-fetch: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"lanner-fetch: {file}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
