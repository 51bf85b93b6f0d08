"""Finding trail files in a bucket: the folders of accounts and regions, and the keys in them in order of time."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.base import SourceError
from ingest.cloudtrail.interval import Interval
from ingest.cloudtrail.messages import ObjectRef

_EARLY = timedelta(hours=1)
"""How far before the interval folders are listed, because a file's folder and name may differ a little."""
_SEARCH_DEPTH = 3
_SEARCH_WIDTH = 200
_ORGANISATION = re.compile(r"o-[a-z0-9]{10,32}")
_ACCOUNT = re.compile(r"\d{12}")
_KIND = re.compile(r"CloudTrail(-(?!Digest$)[A-Za-z]+)?")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-\d")
_KEY = re.compile(
    r"(?:^|/)AWSLogs/(?:o-[a-z0-9]{10,32}/)?(?P<account>\d{12})/CloudTrail[^/]*/(?P<region>[^/]+)/"
    r"(?P<day>\d{4}/\d\d/\d\d)/(?:[^/]*_(?P<stamp>\d{8}T\d{4}Z)_)?"
)
_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True)
class Root:
    """A prefix to list; ``dated`` when day folders follow, so that the order of keys is the order of time."""

    prefix: str
    dated: bool = False


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What a key tells of its file; ``time`` is that in its name, or the start of its folder's day."""

    account: str
    region: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files are wanted; empty sets mean all."""

    interval: Interval
    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    def takes(self, key: str, modified: datetime) -> bool:
        """Whether a file is wanted; one whose key tells nothing is judged by the time it was stored."""
        facts = key_facts(key)
        if facts is None:
            return not self.accounts and not self.regions and modified in self.interval
        if self.accounts and facts.account not in self.accounts:
            return False
        return (not self.regions or facts.region in self.regions) and facts.time in self.interval


def parse_location(text: str) -> tuple[str, str]:
    """Split ``s3://bucket[/prefix]``; raises SourceError when it is none."""
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", text, re.DOTALL)
    if not found:
        raise SourceError(f"{text}: expected s3://bucket or s3://bucket/prefix")
    return found[1], found[2] or ""


def key_facts(key: str) -> KeyFacts | None:
    """Read account, region and time from a key; None when it is not laid out as CloudTrail does."""
    found = _KEY.search(key)
    if not found:
        return None
    try:
        if found["stamp"]:
            time = datetime.strptime(found["stamp"], "%Y%m%dT%H%MZ")
        else:
            time = datetime.strptime(found["day"], "%Y/%m/%d")
    except ValueError:
        return None
    return KeyFacts(found["account"], found["region"], time.replace(tzinfo=UTC))


class Bucket:
    """
    Lists one bucket.

    Args:
        client: Gives the S3 client.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name

    async def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below a prefix; raises the SDK's errors."""
        found: list[str] = []
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix, Delimiter="/")
        async for page in pages:
            found += [entry["Prefix"][len(prefix) :].rstrip("/") for entry in page.get("CommonPrefixes", [])]
        return found

    async def objects(self, prefix: str, after: str = "") -> AsyncIterator[dict[str, Any]]:
        """Yield the objects below a prefix whose keys come after ``after``; raises the SDK's errors."""
        extra = {"StartAfter": after} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix, **extra)
        async for page in pages:
            for entry in page.get("Contents", []):
                yield entry

    async def roots(self, prefix: str, selection: Selection) -> list[Root]:
        """
        Resolve a prefix of any level to what has to be listed.

        Without ``AWSLogs`` in the prefix, the folders below it are searched for it; if there is none, or if the
        prefix ends in the middle of a name or below a region, the prefix itself is listed.
        """
        folder = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        names = folder.split("/")[:-1]
        if "AWSLogs" in names:
            below = names[len(names) - names[::-1].index("AWSLogs") :]
            fits = _steps(below, selection) is not None
            return await self._below(folder, below, selection) if fits else [Root(prefix)]
        roots: list[Root] = []
        for found in await self._search(folder):
            roots += await self._below(found, [], selection)
        return roots or [Root(prefix)]

    async def _search(self, folder: str) -> list[str]:
        """Return the ``AWSLogs`` folders a few levels below a folder; none when there are too many to search."""
        level, found = [folder], list[str]()
        for _ in range(_SEARCH_DEPTH):
            if len(level) > _SEARCH_WIDTH:
                return []
            inner: list[str] = []
            for parent in level:
                inner += [f"{parent}{name}/" for name in await self.folders(parent)]
            found += [path for path in inner if path.endswith("AWSLogs/")]
            level = [path for path in inner if not path.endswith("AWSLogs/")]
        return found

    async def _below(self, folder: str, names: list[str], selection: Selection) -> list[Root]:
        """Walk from ``AWSLogs/`` and the names after it down to regions; [] when the names are of another layout."""
        steps = _steps(names, selection)
        if steps is None:
            return []
        if not steps:
            return [Root(folder, dated=True)]
        roots: list[Root] = []
        for name in await self.folders(folder):
            if steps[0](name):
                roots += await self._below(f"{folder}{name}/", [*names, name], selection)
        return roots


def _steps(names: list[str], selection: Selection) -> list[Callable[[str], bool]] | None:
    """Return the tests of the folder names that are still to come after those given; None when these do not fit."""
    rest = names[1:] if names and _ORGANISATION.fullmatch(names[0]) else names
    tests = _tests(selection)
    if len(rest) > len(tests) or not all(test(name) for test, name in zip(tests, rest, strict=False)):
        return None
    if not names:
        return [lambda name: bool(_ORGANISATION.fullmatch(name)) or tests[0](name), *tests[1:]]
    return tests[len(rest) :]


def _tests(selection: Selection) -> list[Callable[[str], bool]]:
    def account(name: str) -> bool:
        return bool(_ACCOUNT.fullmatch(name)) and (not selection.accounts or name in selection.accounts)

    def kind(name: str) -> bool:
        return bool(_KIND.fullmatch(name))

    def region(name: str) -> bool:
        return bool(_REGION.fullmatch(name)) and (not selection.regions or name in selection.regions)

    return [account, kind, region]


def day_folder(root: Root, time: datetime | None) -> str:
    """Return the key before all files of a time's day in a dated root; "" for the beginning."""
    return f"{root.prefix}{time:%Y/%m/%d}/" if root.dated and time else ""


async def wanted_objects(
    bucket: Bucket, root: Root, selection: Selection, since: datetime | None
) -> AsyncGenerator[tuple[ObjectRef, str], None]:
    """
    Yield the wanted files of a root in order of key, each with "" or ``archived`` when its storage cannot be read.

    Days before ``since`` are not listed, whatever the interval says. Raises the SDK's errors.
    """
    start = selection.interval.start
    first = max((time for time in (start and start - _EARLY, since) if time), default=None)
    end = selection.interval.end
    last = day_folder(root, end + timedelta(days=1)) if end else ""
    async for entry in bucket.objects(root.prefix, day_folder(root, first)):
        key = entry["Key"]
        if last and key >= last:
            return
        if selection.takes(key, entry["LastModified"]):
            ref = ObjectRef(bucket.name, key, size=entry["Size"], etag=entry.get("ETag", ""))
            yield ref, "archived" if entry.get("StorageClass") in _ARCHIVED else ""
