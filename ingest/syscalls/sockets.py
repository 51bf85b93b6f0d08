"""What calls on sockets tell of their descriptors: ends, names, who serves whom (spec: fields 5.7 and 6.3)."""

from dataclasses import replace
from socket import AF_INET, AF_INET6, inet_ntop

from ingest.syscalls.call import Address, Call, Descriptor, Ends, Thread
from ingest.syscalls.threads import ThreadTable

AF_UNIX = 1
AF_NETLINK = 16
IN_PROGRESS = -115
TYPECHARS = {AF_UNIX: "u", AF_INET: "4", AF_INET6: "6", AF_NETLINK: "n"}
_PROTOCOLS = {1: "icmp", 58: "icmp", 6: "tcp", 17: "udp", 255: "raw"}
_KINDS = {1: "tcp", 2: "udp", 3: "raw"}
_MAPPED = b"\0" * 10 + b"\xff\xff"
_CLOSE_ON_EXEC = 0o2000000
O_CLOEXEC = 4096
SO_ERROR = 4
SOL_SOCKET = 1


def show_ip(ip: bytes) -> str:
    """Return a packed address as text."""
    return inet_ntop(AF_INET if len(ip) == 4 else AF_INET6, ip)


def show_address(address: Address) -> str:
    """Return one end of a socket as ``fd.name`` shows a bound one."""
    if address.ip:
        return f"{show_ip(address.ip)}:{address.port}"
    return address.path if address.family == AF_UNIX else f"family {address.family}"


def show_ends(ends: Ends, l4: str = "") -> str:
    """Return a connection as ``fd.name`` shows it."""
    if ends.family == AF_UNIX:
        path = ends.destination.path
        return f"{ends.source_id:x}->{ends.destination_id:x}{' ' if path else ''}{path}"
    source, destination = ends.source, ends.destination
    if not (source.ip and destination.ip):
        return ""
    if l4 in ("icmp", "raw"):
        return f"{show_ip(source.ip)}->{show_ip(destination.ip)}"
    return f"{show_ip(source.ip)}:{source.port}->{show_ip(destination.ip)}:{destination.port}"


def _plain(address: Address) -> Address:
    """Return an IPv4 address that is written as an IPv6 one as what it is."""
    if len(address.ip) == 16 and address.ip.startswith(_MAPPED):
        return Address(AF_INET, address.ip[12:], address.port)
    return address


def _plain_ends(ends: Ends) -> Ends:
    source, destination = _plain(ends.source), _plain(ends.destination)
    if source is ends.source and destination is ends.destination:
        return ends
    return Ends(destination.family, source, destination)


def swapped(ends: Ends) -> Ends:
    """Return a connection seen from the other side."""
    return Ends(ends.family, ends.destination, ends.source, ends.destination_id, ends.source_id)


def _with_local(table: ThreadTable, ends: Ends) -> Ends:
    """Put the host's address in where the socket is bound to none."""
    if any(ends.source.ip) or not ends.destination.ip:
        return ends
    found = table.interfaces.source_for(ends.destination.ip)
    return replace(ends, source=replace(ends.source, ip=found)) if found else ends


def socket(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a new socket; parameters fd, domain, type, proto."""
    num, domain, kind, protocol = call.params[:4]
    if num is None or num < 0:
        return
    l4 = ""
    if domain in (AF_INET, AF_INET6):
        l4 = _PROTOCOLS.get(protocol or 0, "") or ("" if protocol else _KINDS.get((kind or 0) & 0xF, ""))
    flags = O_CLOEXEC if (kind or 0) & _CLOSE_ON_EXEC else 0
    call.fd = thread.descriptors[num] = Descriptor(num, TYPECHARS.get(domain, "o"), flags=flags, l4=l4)


def socketpair(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note two connected sockets; parameters res, fd1, fd2, source, peer, domain."""
    res, one, other, source, peer = call.params[:5]
    if res != 0:
        return
    here = Address(AF_UNIX)
    for num, own, far in ((one, source, peer), (other, peer, source)):
        ends = Ends(AF_UNIX, here, here, own or 0, far or 0)
        call.fd = thread.descriptors[num] = Descriptor(num, "u", show_ends(ends), ends=ends, connected=True)


def bind(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note the address of a socket; parameters res, addr, fd."""
    res, address, num = call.params[:3]
    old = call.fd = thread.descriptors.get(num)
    if res != 0 or old is None or not isinstance(address, Address):
        return
    address = _plain(address)
    new = replace(old, name=show_address(address))
    if address.family == AF_UNIX or address.port:
        new.address = address
        new.listening = bool(address.port)
    new.name_changed = new.name != old.name
    call.fd = thread.descriptors[num] = new


def connect(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note the ends of a socket; parameters res, tuple, fd, addr."""
    res, ends, num = call.params[:3]
    old = call.fd = thread.descriptors.get(num)
    if res is None or (res < 0 and res != IN_PROGRESS) or not isinstance(ends, Ends):
        return
    ends = _with_local(table, _plain_ends(ends))
    old = old or Descriptor(num, l4="tcp" if ends.family != AF_UNIX else "")
    new = replace(old, ends=ends, address=None, server=False, connected=True, listening=False)
    new.typechar = TYPECHARS.get(ends.family, old.typechar)
    new.name = show_ends(ends, new.l4)
    new.name_changed = new.name != old.name
    call.fd = thread.descriptors[num] = new


def accept(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note an accepted connection; parameters fd, tuple."""
    num, ends = call.params[:2]
    if num is None or num < 0:
        return
    if not isinstance(ends, Ends):
        call.fd = thread.descriptors[num] = Descriptor(num)
        return
    ends = _plain_ends(ends)
    l4 = "" if ends.family == AF_UNIX else "tcp"
    flags = O_CLOEXEC if len(call.params) > 5 and (call.params[5] or 0) & _CLOSE_ON_EXEC else 0
    char = TYPECHARS.get(ends.family, "o")
    new = Descriptor(num, char, show_ends(ends, l4), flags=flags, l4=l4, ends=ends, server=True, connected=True)
    new.name_changed = True
    call.fd = thread.descriptors[num] = new


def getsockopt(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note that a connection which was begun came to nothing; parameters res, fd, level, optname, val."""
    if len(call.params) < 5:
        return
    res, num, level, option, value = call.params[:5]
    old = call.fd = thread.descriptors.get(num)
    failed = isinstance(value, int) and value != 0
    if old is not None and old.connected and res == 0 and (level, option) == (SOL_SOCKET, SO_ERROR) and failed:
        call.fd = thread.descriptors[num] = replace(old, connected=False)


def transfer(table: ThreadTable, call: Call, thread: Thread, num: int, ends: Ends | None, reads: bool) -> None:
    """
    Note what a datagram tells of its socket.

    Args:
        table: All threads.
        call: The call.
        thread: Who called.
        num: The descriptor.
        ends: Source and destination of the datagram; None when not told.
        reads: Whether it was received.
    """
    old = thread.descriptors.get(num)
    if old is not None and old.name_changed:
        old = thread.descriptors[num] = replace(old, name_changed=False)
    if old is None and isinstance(ends, Ends) and ends.destination.ip:
        old = Descriptor(num, TYPECHARS.get(ends.family, "o"), l4="udp", connected=True)
    call.fd = old
    if old is None or not isinstance(ends, Ends) or (old.name and old.l4 == "tcp"):
        return
    if ends.family == AF_UNIX:
        _unix_transfer(call, thread, old, ends)
        return
    ends = _plain_ends(ends)
    if not ends.source.ip or not ends.destination.ip:
        return
    ends = ends if reads else _with_local(table, ends)
    if old.ends in (ends, swapped(ends)):
        return
    server = old.server if old.server is not None else _serves(thread, ends, reads)
    ends = swapped(ends) if server != reads else ends
    new = replace(old, ends=ends, server=server, name=show_ends(ends, old.l4))
    new.typechar = TYPECHARS.get(ends.family, old.typechar)
    new.name_changed = new.name != old.name
    call.fd = thread.descriptors[num] = new


def resolved_transfer(table: ThreadTable, call: Call, ends: Ends | None, reads: bool) -> None:
    """
    Note what a datagram tells of a socket that the driver resolved, which knows no peer unless it is connected.

    Args:
        table: All threads, and the last peers of sockets.
        call: The call with its descriptor.
        ends: Source and destination of the datagram; None when not told.
        reads: Whether it was received.
    """
    fd = call.fd
    if fd is None or fd.ends is not None or fd.typechar not in "46" or not isinstance(ends, Ends):
        return
    ends = _plain_ends(ends)
    if not ends.source.ip or not ends.destination.ip:
        return
    ends = ends if reads else _with_local(table, ends)
    own, far = (ends.destination, ends.source) if reads else (ends.source, ends.destination)
    known = table.peer(fd.ino)
    server = known[1] if known is not None else _has_service(own, far, reads)
    told = Ends(ends.family, far, own) if server else Ends(ends.family, own, far)
    changed = known is None or known[0] != far
    new = replace(fd, ends=told, address=None, listening=False, server=server, name=show_ends(told, fd.l4))
    new.name_changed = changed
    call.fd = new
    if changed:
        table.set_peer(fd.ino, far, server)


EPHEMERAL = 32_768
"""The first port that kernels give to clients by themselves."""


def _has_service(own: Address, far: Address, reads: bool) -> bool:
    """Guess who is the server: who has a port of a service while the other has none, else who reads first."""
    if (own.port < EPHEMERAL) != (far.port < EPHEMERAL):
        return own.port < EPHEMERAL
    return reads


def _unix_transfer(call: Call, thread: Thread, old: Descriptor, ends: Ends) -> None:
    path = ends.destination.path or ends.source.path
    if path and path != old.name and old.ends is None:
        call.fd = thread.descriptors[old.num] = replace(old, name=path, name_changed=True)


def _serves(thread: Thread, ends: Ends, reads: bool) -> bool:
    """Guess whether a process is the server: it holds the port of the datagram's destination, or read first."""
    sockets = [fd for fd in thread.descriptors.values() if fd.typechar in "46"]
    bound = any(fd.address is not None and fd.address.port == ends.destination.port for fd in sockets)
    client = any(
        fd.ends is not None and fd.server is False and fd.ends.source.port == ends.source.port for fd in sockets
    )
    if bound != client:
        return bound
    return reads
