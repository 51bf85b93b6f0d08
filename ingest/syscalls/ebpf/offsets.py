"""Which members of kernel structures the program reads, and where they are in the running kernel."""

from ingest.syscalls.ebpf.btf import Btf, BtfError

_MEMBERS = """
TASK_STATUS task_struct.thread_info.status
TASK_PID task_struct.pid
TASK_TGID task_struct.tgid
TASK_PARENT task_struct.real_parent
TASK_LEADER task_struct.group_leader
TASK_START task_struct.start_boottime task_struct.real_start_time
TASK_CRED task_struct.cred
TASK_LOGINUID task_struct.loginuid
TASK_SESSIONID task_struct.sessionid
TASK_FS task_struct.fs
TASK_FILES task_struct.files
TASK_MM task_struct.mm
TASK_SIGNAL task_struct.signal
TASK_THREAD_PID task_struct.thread_pid
TASK_EXIT_CODE task_struct.exit_code
TASK_MAJ_FLT task_struct.maj_flt
TASK_MIN_FLT task_struct.min_flt
TASK_CGROUPS task_struct.cgroups
CRED_UID cred.uid
CRED_GID cred.gid
CRED_EUID cred.euid
CRED_EGID cred.egid
CRED_FSUID cred.fsuid
CRED_FSGID cred.fsgid
CRED_GROUPS cred.group_info
CRED_INHERITABLE cred.cap_inheritable
CRED_PERMITTED cred.cap_permitted
CRED_EFFECTIVE cred.cap_effective
GROUPS_N group_info.ngroups
GROUPS_GID group_info.gid
PID_LEVEL pid.level
PID_NUMBERS pid.numbers
UPID_NR upid.nr
UPID_NS upid.ns
PIDNS_INUM pid_namespace.ns.inum
PIDNS_REAPER pid_namespace.child_reaper
SIGNAL_PIDS signal_struct.pids
SIGNAL_TTY signal_struct.tty
SIGNAL_RLIM signal_struct.rlim
SIGNAL_LIVE signal_struct.live
TTY_DRIVER tty_struct.driver
TTY_INDEX tty_struct.index
TTY_DRIVER_MAJOR tty_driver.major
TTY_DRIVER_MINOR tty_driver.minor_start
FS_PWD fs_struct.pwd
PATH_MNT path.mnt
PATH_DENTRY path.dentry
FILES_FDT files_struct.fdt
FDTABLE_MAX fdtable.max_fds
FDTABLE_FD fdtable.fd
FILE_PATH file.f_path
FILE_INODE file.f_inode
FILE_FLAGS file.f_flags
FILE_MODE file.f_mode
FILE_PRIVATE file.private_data
DENTRY_PARENT dentry.d_parent
DENTRY_HASH_LEN dentry.d_name.hash_len dentry.d_name.hash
DENTRY_NAME dentry.d_name.name
DENTRY_PPREV dentry.d_hash.pprev
VFSMOUNT_ROOT vfsmount.mnt_root
MOUNT_MNT mount.mnt
MOUNT_PARENT mount.mnt_parent
MOUNT_POINT mount.mnt_mountpoint
INODE_MODE inode.i_mode
INODE_UID inode.i_uid
INODE_GID inode.i_gid
INODE_INO inode.i_ino
INODE_SB inode.i_sb
INODE_RDEV inode.i_rdev
INODE_FLAGS inode.i_flags
INODE_CTIME inode.i_ctime_sec inode.__i_ctime.tv_sec inode.i_ctime.tv_sec
INODE_CTIME_NS inode.i_ctime_nsec inode.__i_ctime.tv_nsec inode.i_ctime.tv_nsec
INODE_MTIME inode.i_mtime_sec inode.i_mtime.tv_sec inode.__i_mtime.tv_sec
INODE_MTIME_NS inode.i_mtime_nsec inode.i_mtime.tv_nsec inode.__i_mtime.tv_nsec
SB_DEV super_block.s_dev
SB_MAGIC super_block.s_magic
SB_FLAGS super_block.s_flags
MM_EXE mm_struct.exe_file
MM_ARG_START mm_struct.arg_start
MM_ARG_END mm_struct.arg_end
MM_ENV_START mm_struct.env_start
MM_ENV_END mm_struct.env_end
MM_TOTAL_VM mm_struct.total_vm
SOCKET_SK socket.sk
SK_FAMILY sock.__sk_common.skc_family
SK_STATE sock.__sk_common.skc_state
SK_NUM sock.__sk_common.skc_num
SK_DPORT sock.__sk_common.skc_dport
SK_DADDR sock.__sk_common.skc_daddr
SK_RCV_SADDR sock.__sk_common.skc_rcv_saddr
SK_V6_DADDR sock.__sk_common.skc_v6_daddr
SK_V6_RCV_SADDR sock.__sk_common.skc_v6_rcv_saddr
SK_TYPE sock.sk_type
SK_PROTOCOL sock.sk_protocol
SK_BACKLOG sock.sk_ack_backlog
SK_BACKLOG_MAX sock.sk_max_ack_backlog
UNIX_ADDR unix_sock.addr
UNIX_PEER unix_sock.peer
UNIX_ADDRESS_LEN unix_address.len
UNIX_ADDRESS_NAME unix_address.name
CSS_SET_SUBSYS css_set.subsys
CSS_CGROUP cgroup_subsys_state.cgroup
CGROUP_KN cgroup.kn
KERNFS_PARENT kernfs_node.__parent kernfs_node.parent
KERNFS_NAME kernfs_node.name
BPRM_FILENAME linux_binprm.filename
"""
"""A name of ours, then the member; where kernels differ, what to try next."""

_OPTIONAL = """
OVL_INODE ovl_inode.vfs_inode
OVL_UPPER ovl_inode.__upperdentry
IO_KIOCB_OPCODE io_kiocb.opcode
"""
"""Of features a kernel may lack, or have as a module."""

SUBSYSTEMS = ("cpuset", "cpu", "cpuacct", "io", "memory")
"""Control groups whose paths are told (spec: host-agent 5)."""

_RSS = ("FILE", "ANON", "SWAP", "SHMEM")


def _first(btf: Btf, places: list[str]) -> int:
    """Return where the first of some members is that the kernel has."""
    for place in places:
        structure, _, path = place.partition(".")
        try:
            return btf.offset(structure, path)
        except BtfError as error:
            missing = error
    raise missing


def _lines(table: str) -> list[list[str]]:
    return [line.split() for line in table.split("\n") if line]


def _rss(btf: Btf) -> dict[str, int]:
    """Return where the four counters of memory in use are; an array of counters since Linux 6.2."""
    base, size = btf.offset("mm_struct", "rss_stat"), btf.element_size("mm_struct", "rss_stat")
    inner = btf.offset("percpu_counter", "count") if size else btf.offset("mm_rss_stat", "count")
    return {f"OFF_RSS_{name}": base + inner + index * (size or 8) for index, name in enumerate(_RSS)}


_WINDOWS = {
    "FILE": ("FILE_INODE", "FILE_FLAGS", "FILE_MODE", "FILE_PRIVATE", "FILE_PATH"),
    "INODE": ("INODE_SB", "INODE_MODE", "INODE_INO", "INODE_RDEV"),
    "SB": ("SB_DEV", "SB_MAGIC"),
}
"""Members that are read at one go."""

_WINDOW_MOST = 256


def _windows(found: dict[str, int]) -> dict[str, int]:
    """Return where the part of a structure begins that holds some members, and its size. Raises BtfError."""
    windows = {}
    for name, members in _WINDOWS.items():
        places = [found[f"OFF_{member}"] for member in members]
        windows[f"{name}_FROM"] = min(places)
        windows[f"{name}_SIZE"] = size = max(places) + 16 - min(places)
        if size > _WINDOW_MOST:
            raise BtfError(f"the members {', '.join(members)} are too far apart in this kernel")
    return windows


def offsets(btf: Btf) -> dict[str, int]:
    """Return what the program must know of the kernel, by name. Raises BtfError for a kernel it does not fit."""
    found = {f"OFF_{name}": _first(btf, places) for name, *places in _lines(_MEMBERS)}
    for name, *places in _lines(_OPTIONAL):
        try:
            found[f"OFF_{name}"] = _first(btf, places)
        except BtfError:
            continue
    found |= _rss(btf) | _windows(found)
    found["SIZE_UPID"] = btf.size("upid")
    if found["OFF_DENTRY_HASH_LEN"] != found["OFF_DENTRY_PARENT"] + 8:
        raise BtfError("dentry.d_name does not follow d_parent in this kernel")
    if found["OFF_UPID_NS"] != found["OFF_UPID_NR"] + 8:
        raise BtfError("upid.ns does not follow upid.nr in this kernel")
    ids = btf.enumeration("cgroup_subsys_id")
    for index, name in enumerate(SUBSYSTEMS):
        found[f"CGROUP_{index}"] = ids.get(f"{name}_cgrp_id", -1)
    return found
