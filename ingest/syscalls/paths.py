"""Paths as calls give them, made absolute by text alone, the way ``fd.name`` and ``fs.path.*`` show them."""

from ingest.syscalls.call import Call

AT_FDCWD = -100
UNKNOWN_DIRECTORY = "<UNKNOWN>"
"""What stands for the directory of a descriptor that nobody knows."""


def absolute(base: str, path: str) -> str:
    """Return a path without ``.``, ``..`` and doubled slashes; a relative one continues ``base``."""
    if not path.startswith("/"):
        path = f"{base}/{path}" if path else base
    if "//" not in path and "/." not in path and not path.endswith("/"):
        return path
    return _normal(path)


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    start = "/" if path.startswith("/") else ""
    return start + "/".join(parts)


def working_directory(call: Call) -> str:
    """Return the directory that relative paths of a call start from."""
    if call.extra is not None and "proc.cwd" in call.extra:
        return str(call.extra["proc.cwd"])
    return call.thread.cwd if call.thread is not None else UNKNOWN_DIRECTORY


def directory(call: Call, num: int | None, name: str = "dirfd") -> str:
    """
    Return the directory that a descriptor of a call stands for.

    Args:
        call: The call.
        num: The descriptor, or AT_FDCWD.
        name: Of the parameter; drivers that resolved it tell the path under it.
    """
    if num == AT_FDCWD:
        return working_directory(call)
    if call.extra is not None and name in call.extra:
        return str(call.extra[name])
    thread = call.thread
    found = thread.descriptors.get(num) if thread is not None and num is not None else None
    return found.name if found is not None and found.name else UNKNOWN_DIRECTORY


def resolved(call: Call, path: str, num: int | None = AT_FDCWD, name: str = "dirfd") -> str:
    """Return the absolute form of a path that a call gave, relative to the directory of a descriptor."""
    if path.startswith("/"):
        return absolute("", path)
    return absolute(directory(call, num, name), path)
