"""
User and group names, from the account files of the host and of containers (spec: fields 6.5).

A container's files are read through /proc/PID/root. They are the container's own, so nothing in them is trusted: only
plain files of a bounded size are read, and no link in the last step is followed.
"""

import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_FILE = 1 << 20
"""Bytes of an account file that are read."""

MAX_DATABASES = 1024
"""Containers whose accounts are remembered."""

CHECK_S = 5.0
"""Seconds between two looks at the time of change of a file."""


class User(NamedTuple):
    """A user: name, home directory and shell."""

    name: str
    home: str
    shell: str


ROOT_USER = User("root", "/root", "<NA>")
ROOT_GROUP = "root"


@dataclass(slots=True)
class Database:
    """
    The accounts of a host or container.

    Attributes:
        root: Directory whose etc/passwd and etc/group are read; "" when users are given by hand.
        users, groups: By id.
    """

    root: str = ""
    users: dict[int, User] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    _next_check: float = 0.0
    _changed: tuple[int, int] = (-1, -1)

    def refresh(self, now: float) -> None:
        """Read the files again if they have changed; ``now`` is in seconds of any steady clock."""
        if not self.root or now < self._next_check:
            return
        self._next_check = now + CHECK_S
        passwd, group = _changed_ns(f"{self.root}/etc/passwd"), _changed_ns(f"{self.root}/etc/group")
        if passwd not in (0, self._changed[0]):
            self.users = dict(_users(_lines(f"{self.root}/etc/passwd")))
        if group not in (0, self._changed[1]):
            self.groups = dict(_groups(_lines(f"{self.root}/etc/group")))
        self._changed = (passwd, group)


class Accounts:
    """Users and groups by container ("" for the host) and id."""

    def __init__(self, live: bool = False, proc: str = "/proc") -> None:
        """
        Make a database without anybody in it.

        Args:
            live: Whether files of this host and its containers are read; else users are given by ``add_user``.
            proc: Where procfs is.
        """
        self._live = live
        self._proc = proc
        self._databases: dict[str, Database] = {"": Database(host_root(proc) if live else "")}

    def add_user(self, container: str, uid: int, user: User) -> None:
        """Take a user in, as captures list them."""
        self._databases.setdefault(container, Database()).users[uid] = user

    def add_group(self, container: str, gid: int, name: str) -> None:
        """Take a group in, as captures list them."""
        self._databases.setdefault(container, Database()).groups[gid] = name

    def remove_user(self, container: str, uid: int) -> None:
        """Forget a user, as captures note it."""
        self._databases.setdefault(container, Database()).users.pop(uid, None)

    def remove_group(self, container: str, gid: int) -> None:
        """Forget a group, as captures note it."""
        self._databases.setdefault(container, Database()).groups.pop(gid, None)

    def user(self, container: str, uid: int, pid: int) -> User | None:
        """Return a user of a container; ``pid`` is a process in it."""
        found = self._of(container, pid).users.get(uid)
        return ROOT_USER if found is None and uid == 0 else found

    def group(self, container: str, gid: int, pid: int) -> str | None:
        """Return the name of a group of a container; ``pid`` is a process in it."""
        found = self._of(container, pid).groups.get(gid)
        return ROOT_GROUP if found is None and gid == 0 else found

    def _of(self, container: str, pid: int) -> Database:
        found = self._databases.get(container)
        if found is None:
            found = self._databases[container] = Database(f"{self._proc}/{pid}/root" if self._live else "")
            if len(self._databases) > MAX_DATABASES:
                del self._databases[next(key for key in self._databases if key)]
        if not self._live:
            return found
        if container and not found.users:
            found.root = f"{self._proc}/{pid}/root"
        found.refresh(time.monotonic())
        return found


def host_root(proc: str = "/proc") -> str:
    """Return the root directory of the host, which is another one than ours where the agent runs in a container."""
    first = f"{proc}/1/root"
    return first if os.path.isfile(f"{first}/etc/passwd") else "/"


def _changed_ns(path: str) -> int:
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0


def _lines(path: str) -> list[list[str]]:
    """Return the fields of each line of an account file; none when it is no plain file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return []
        text = os.read(fd, MAX_FILE).decode("utf-8", "surrogateescape")
    except OSError:
        return []
    finally:
        os.close(fd)
    return [line.split(":") for line in text.split("\n")]


def _users(lines: list[list[str]]) -> Iterable[tuple[int, User]]:
    for words in reversed(lines):
        if len(words) >= 7 and words[2].isdecimal():
            yield int(words[2]), User(words[0], words[5], words[6])


def _groups(lines: list[list[str]]) -> Iterable[tuple[int, str]]:
    for words in reversed(lines):
        if len(words) >= 3 and words[2].isdecimal():
            yield int(words[2]), words[0]
