"""Fields of the files and sockets of a host event: ``fd.*``, ``fdlist.*``, ``fs.path.*``."""

from engine.fields import Arg, Field, Match, Type

BOOL = Type.BOOL
INT = Type.INT
IPADDR = Type.IPADDR
IPNET = Type.IPNET
PORT = Type.PORT
STRING = Type.STRING

FD_FIELDS = (
    Field("fd.num", INT, "Descriptor number used by the event."),
    Field("fd.type", STRING, "Kind of descriptor as a word (file, directory, ipv4, ipv6, unix, pipe, event, ...)."),
    Field("fd.typechar", STRING, "Kind of descriptor as one character (f, d, 4, 6, u, p, e, ...)."),
    Field(
        "fd.name",
        STRING,
        "Full name: absolute path for files, address tuple for sockets, kind-specific text otherwise.",
    ),
    Field("fd.directory", STRING, "Parent directory of the file, or the directory itself for a directory descriptor."),
    Field("fd.filename", STRING, "Last component of the file path."),
    Field(
        "fd.ip",
        IPADDR,
        "Matches either endpoint address of the socket.",
        match=Match.ENDPOINT,
        no_rhs=True,
        no_transformer=True,
        filter_only=True,
    ),
    Field("fd.cip", IPADDR, "Address of the client endpoint."),
    Field("fd.sip", IPADDR, "Address of the server endpoint."),
    Field("fd.lip", IPADDR, "Address of the endpoint that belongs to this machine or container."),
    Field("fd.rip", IPADDR, "Address of the remote endpoint."),
    Field(
        "fd.port",
        PORT,
        "Matches either endpoint port of the socket.",
        match=Match.ENDPOINT,
        no_rhs=True,
        no_transformer=True,
        filter_only=True,
    ),
    Field("fd.cport", PORT, "Client-side port."),
    Field("fd.sport", PORT, "Server-side port."),
    Field("fd.lport", PORT, "Local port."),
    Field("fd.rport", PORT, "Remote port."),
    Field("fd.l4proto", STRING, "Transport protocol: tcp, udp, icmp or raw."),
    Field("fd.sockfamily", STRING, "ip for IPv4/IPv6 sockets, unix for local sockets."),
    Field("fd.is_server", BOOL, "True when this process is the serving side of the socket."),
    Field("fd.uid", STRING, "Thread id and descriptor number concatenated into one identifier."),
    Field("fd.containername", STRING, "Container id, colon, descriptor name."),
    Field("fd.containerdirectory", STRING, "Container id, colon, directory of the file."),
    Field(
        "fd.proto",
        PORT,
        "Matches either endpoint port given as number or service name.",
        match=Match.ENDPOINT,
        no_rhs=True,
        no_transformer=True,
        filter_only=True,
    ),
    Field("fd.cproto", STRING, "Client port rendered as a service name when resolution is on."),
    Field("fd.sproto", STRING, "Server port rendered as a service name when resolution is on."),
    Field("fd.lproto", STRING, "Local port rendered as a service name when resolution is on."),
    Field("fd.rproto", STRING, "Remote port rendered as a service name when resolution is on."),
    Field(
        "fd.net",
        IPNET,
        "Matches either endpoint address against a CIDR network.",
        match=Match.ENDPOINT,
        no_rhs=True,
        no_transformer=True,
        filter_only=True,
    ),
    Field(
        "fd.cnet",
        IPNET,
        "Matches the client address against a CIDR network.",
        no_rhs=True,
        no_transformer=True,
        filter_only=True,
    ),
    Field(
        "fd.snet",
        IPNET,
        "Matches the server address against a CIDR network.",
        no_rhs=True,
        no_transformer=True,
        filter_only=True,
    ),
    Field(
        "fd.lnet",
        IPNET,
        "Matches the local address against a CIDR network.",
        no_rhs=True,
        no_transformer=True,
        filter_only=True,
    ),
    Field(
        "fd.rnet",
        IPNET,
        "Matches the remote address against a CIDR network.",
        no_rhs=True,
        no_transformer=True,
        filter_only=True,
    ),
    Field("fd.connected", BOOL, "True once the socket is known to be connected."),
    Field(
        "fd.name_changed", BOOL, "True when this very event changed the descriptor's name (for example a new UDP peer)."
    ),
    Field(
        "fd.cip.name",
        STRING,
        "Domain name whose forward lookup yields the client address.",
        no_rhs=True,
        no_transformer=True,
    ),
    Field(
        "fd.sip.name",
        STRING,
        "Domain name whose forward lookup yields the server address.",
        no_rhs=True,
        no_transformer=True,
    ),
    Field(
        "fd.lip.name",
        STRING,
        "Domain name whose forward lookup yields the local address.",
        no_rhs=True,
        no_transformer=True,
    ),
    Field(
        "fd.rip.name",
        STRING,
        "Domain name whose forward lookup yields the remote address.",
        no_rhs=True,
        no_transformer=True,
    ),
    Field("fd.dev", INT, "Device number holding the file, printed in hex.", text="hex"),
    Field("fd.dev.major", INT, "Major part of the device number holding the file."),
    Field("fd.dev.minor", INT, "Minor part of the device number holding the file."),
    Field("fd.ino", INT, "Inode number of the file."),
    Field("fd.nameraw", STRING, "File path exactly as passed to the syscall, only doubled slashes collapsed."),
    Field(
        "fd.types",
        STRING,
        "Distinct kinds of all open descriptors of the process, or of the descriptor given as index.",
        is_list=True,
        arg=Arg.INDEX,
        no_rhs=True,
    ),
    Field("fd.is_upper_layer", BOOL, "True when the file sits in the writable overlayfs layer."),
    Field("fd.is_lower_layer", BOOL, "True when the file sits in the read-only overlayfs layer."),
    Field(
        "fd.realpath", STRING, "Path of the file as the kernel resolved it, links followed; live events only.", own=True
    ),
    Field("fdlist.nums", STRING, "Comma-separated descriptor numbers watched by poll or ppoll."),
    Field("fdlist.names", STRING, "Comma-separated names of the descriptors watched by poll or ppoll."),
    Field("fdlist.cips", STRING, "Comma-separated client addresses of the polled sockets."),
    Field("fdlist.sips", STRING, "Comma-separated server addresses of the polled sockets."),
    Field("fdlist.cports", STRING, "Comma-separated client ports of the polled sockets."),
    Field("fdlist.sports", STRING, "Comma-separated server ports of the polled sockets."),
)

PATH_FIELDS = (
    Field("fs.path.name", STRING, "Resolved path acted on by a successful single-path filesystem syscall."),
    Field("fs.path.nameraw", STRING, "Same path exactly as given to the syscall."),
    Field("fs.path.source", STRING, "Resolved source path of a successful rename, link, symlink or mount."),
    Field("fs.path.sourceraw", STRING, "Source path exactly as given to the syscall."),
    Field("fs.path.target", STRING, "Resolved target path of a successful rename, link, symlink or mount."),
    Field("fs.path.targetraw", STRING, "Target path exactly as given to the syscall."),
)
