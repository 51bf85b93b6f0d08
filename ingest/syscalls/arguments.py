"""
Parameters of host events as text: ``evt.args``, ``evt.arg`` and the native values of ``evt.rawarg`` (spec: fields 5.4).

Each has a raw form and, where its type has names for values, a symbolic one; ``evt.arg`` gives the symbolic one if
there is any.
"""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from ingest.syscalls import flags
from ingest.syscalls.call import Address, Call, Descriptor, Ends
from ingest.syscalls.layouts import Param, layout
from ingest.syscalls.lifecycle import BIRTHS
from ingest.syscalls.paths import AT_FDCWD, resolved
from ingest.syscalls.sockets import TYPECHARS, show_address, show_ends

NO_ID = 0xFFFFFFFF
_EMPTY = {"bytebuf": "NULL", "socktuple": "NULL", "fdlist": "NULL", "dyn": "NULL"}
_FOREVER = 2**64 - 1
_SECOND = 1_000_000_000
_DOTS = bytes(code if 32 <= code < 127 else 46 for code in range(256))
_PROTOCOL_CHARS = {"tcp": "t", "udp": "u", "icmp": "i", "raw": "r"}

flag_names = lru_cache(maxsize=4096)(flags.flag_names)
enum_names = lru_cache(maxsize=4096)(flags.enum_names)


def rendered(call: Call) -> str:
    """Return all parameters as ``name=raw`` or ``name=raw(symbolic)``, joined by blanks."""
    known = layout(call.name)
    if known is None:
        return ""
    pairs = zip(known.params, call.params, strict=False)
    return " ".join(_pair(call, param, _known(call, param) if found is None else found) for param, found in pairs)


def _known(call: Call, param: Param) -> Any:
    """Return an empty parameter if it is what the thread was made of, which drivers need not tell again."""
    if call.name not in BIRTHS or call.thread is None:
        return None
    if param.name == "exe":
        return call.thread.exe
    return _packed(call.thread.args) if param.name == "args" else None


def _packed(texts: Sequence[str]) -> bytes:
    return "".join(f"{text}\0" for text in texts).encode("utf-8", "surrogateescape")


def _pair(call: Call, param: Param, found: Any) -> str:
    if found is None:
        return f"{param.name}={_EMPTY.get(param.type, '<NA>')}"
    name = symbolic(call, param, found)
    return f"{param.name}={raw(call, param, found)}({name})" if name else f"{param.name}={raw(call, param, found)}"


def argument(call: Call, which: int | str) -> str | None:
    """Return one parameter by position or name as text; None when the event has it not."""
    known = layout(call.name)
    if known is None:
        return None
    index = known.position.get(which, -1) if isinstance(which, str) else which
    if not 0 <= index < min(len(call.params), len(known.params)):
        return None
    param, found = known.params[index], call.params[index]
    if found is None:
        found = _known(call, param)
    if found is None:
        return _EMPTY.get(param.type, "<NA>")
    return symbolic(call, param, found) or raw(call, param, found)


def native(call: Call, name: str) -> Any:
    """Return the value of a parameter as rules compare it natively; None when the event has it not."""
    known = layout(call.name)
    index = known.position.get(name, -1) if known is not None else -1
    if not 0 <= index < len(call.params):
        return None
    return call.params[index]


# Raw forms


def raw(call: Call, param: Param, found: Any) -> str:
    """Return a value that is not empty in its raw form."""
    if isinstance(found, str):
        return found
    if isinstance(found, bytes):
        if param.type == "dyn":
            return _dynamic(call, param, found)
        return found.translate(_DOTS).decode("ascii")
    if isinstance(found, Address):
        return show_address(found)
    if isinstance(found, Ends):
        return show_ends(found)
    if param.type == "fdlist":
        return _polled(call, found)
    render = _RAW.get(param.type)
    return render(param, found) if render is not None else _number(param, found)


def _number(param: Param, found: Any) -> str:
    if param.format == "hex" and "flags" not in param.type and param.type != "errno":
        return f"{found & _FOREVER if found < 0 else found:X}"
    if param.format == "oct":
        return f"0{found:o}" if found else "0"
    return str(found)


def _owner(_param: Param, found: int) -> str:
    return "-1" if found == NO_ID else str(found)


def _duration(_param: Param, found: int) -> str:
    return "none" if found == _FOREVER else str(found)


def _date(_param: Param, found: int) -> str:
    local = time.localtime(found // _SECOND)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{found % _SECOND:09d} {time.strftime('%z', local)}"


def _signals(_param: Param, found: int) -> str:
    return " ".join(name for number, name in flags.SIGNALS.items() if found >> (number - 1) & 1)


def _polled(call: Call, found: Sequence[tuple[int, int]]) -> str:
    """Return pairs of descriptor and events, with the character of its type between them."""
    known = [(num, events, _known_descriptor(call, num)) for num, events in found]
    return " ".join(f"{num}:{fd.typechar if fd is not None else 'o'}{events:x}" for num, events, fd in known)


_DYNAMIC = {
    "sockopt_dynamic_param": ("bytebuf", "errno", "uint32", "uint64", "reltime"),
    "ptrace_dynamic_param": ("uint64", "sigtype"),
}
# Types that a value of no fixed type may have; its first byte says which.


def _dynamic(call: Call, param: Param, found: bytes) -> str:
    kinds = _DYNAMIC.get(param.table, ())
    kind = kinds[found[0]] if found and found[0] < len(kinds) else "bytebuf"
    if kind == "bytebuf":
        return found[1:].translate(_DOTS).decode("ascii")
    number = int.from_bytes(found[1:9], "little", signed=kind == "errno")
    inner = Param(param.name, kind, param.format)
    name = symbolic(call, inner, number)
    return f"{raw(call, inner, number)}({name})" if name else raw(call, inner, number)


_RAW: dict[str, Callable[[Param, Any], str]] = {
    "uid": _owner,
    "gid": _owner,
    "reltime": _duration,
    "abstime": _date,
    "sigset": _signals,
    "flags8": lambda _param, found: str(found),
    "flags16": lambda _param, found: str(found),
    "flags32": lambda _param, found: str(found),
}


# Symbolic forms


def symbolic(call: Call, param: Param, found: Any) -> str:
    """Return a value that is not empty in its symbolic form, "" when it has none."""
    render = _SYMBOLIC.get(param.type)
    return render(call, param, found) if render is not None else ""


def _error(_call: Call, _param: Param, found: int) -> str:
    return flags.error_name(found) if found < 0 else ""


def _descriptor(call: Call, param: Param, found: int) -> str:
    if found < 0:
        return "AT_FDCWD" if found == AT_FDCWD else flags.error_name(found)
    known = _known_descriptor(call, found)
    return described(known) if known is not None else ""


def _known_descriptor(call: Call, num: int) -> Descriptor | None:
    if call.fd is not None and call.fd.num == num:
        return call.fd
    if call.thread is None or call.table is None:
        return None
    found: Descriptor | None = call.table.descriptor(call.thread, num)
    return found


def described(fd: Descriptor) -> str:
    """Return a descriptor as parameters show it, ``<4t>10.0.0.1:4000->1.2.3.4:443``."""
    has_role = fd.typechar in TYPECHARS.values() and (fd.ends is not None or fd.address is not None)
    return f"<{fd.typechar}{_PROTOCOL_CHARS.get(fd.l4, '') if has_role else ''}>{fd.name}"


def _process(call: Call, _param: Param, found: int) -> str:
    thread = call.table.at(found, call.time_ns) if call.table is not None else None
    return thread.comm if thread is not None else ""


def _user(call: Call, _param: Param, found: int) -> str:
    if found in (NO_ID, -1):
        return "<NONE>"
    thread = call.thread
    if call.table is None or thread is None:
        return "<NA>"
    user = call.table.accounts.user(thread.container_id or "", found, thread.pid)
    return user.name if user is not None else "<NA>"


def _group(call: Call, _param: Param, found: int) -> str:
    if found in (NO_ID, -1):
        return "<NONE>"
    thread = call.thread
    if call.table is None or thread is None:
        return "<NA>"
    return call.table.accounts.group(thread.container_id or "", found, thread.pid) or "<NA>"


def _flags(_call: Call, param: Param, found: int) -> str:
    return flag_names(param.table, found) if param.table else ""


def _enum(_call: Call, param: Param, found: int) -> str:
    return enum_names(param.table, found) if param.table else ""


def _signal(_call: Call, _param: Param, found: int) -> str:
    return flags.SIGNALS.get(found, "")


def _seconds(_call: Call, _param: Param, found: int) -> str:
    return "" if found == _FOREVER else f"{found / _SECOND:g}s"


def _path(call: Call, _param: Param, found: str) -> str:
    return "" if found.startswith("/") or not found else resolved(call, found)


def _relative_path(call: Call, param: Param, found: str) -> str:
    if found.startswith("/") or not found:
        return ""
    num = call.params[param.dirfd]
    known = layout(call.name)
    return resolved(call, found, num, known.params[param.dirfd].name) if known is not None else ""


_SYMBOLIC: dict[str, Callable[[Call, Param, Any], str]] = {
    "errno": _error,
    "fd": _descriptor,
    "pid": _process,
    "uid": _user,
    "gid": _group,
    **dict.fromkeys(("flags8", "flags16", "flags32", "mode"), _flags),
    **dict.fromkeys(("enumflags8", "enumflags16", "enumflags32"), _enum),
    "sigtype": _signal,
    "reltime": _seconds,
    "fspath": _path,
    "fsrelpath": _relative_path,
}
