"""
Numbers of events and of system calls in capture files.

Numbers are only ever added, and an event only gets parameters at its end; an event that changed otherwise has a new
number, and the old ones are kept for old files. Source: Falco libs, driver/ppm_events_public.h and event_table.c.
"""

from functools import cache
from typing import NamedTuple

from ingest.syscalls.layouts import layout

_EVENTS = """
syscall | ID nativeID | ID nativeID
open | name flags mode | =
close | fd | =
read | fd size | =
write | fd size | =
brk | size | res
execve | | res exe args tid pid ptid cwd fdlimit
clone | | res exe args tid pid ptid cwd fdlimit flags uid gid
procexit | | -
socket | domain type proto | =
bind | fd | =
connect | fd addr | =
listen | fd backlog | =
accept | | fd tuple queuepct
send | fd size | =
sendto | fd size tuple | =
recv | fd size | =
recvfrom | fd size | =
shutdown | fd how | =
getsockname | | =
getpeername | | =
socketpair | domain type proto | =
setsockopt | | =
getsockopt | | =
sendmsg | fd size tuple | =
sendmmsg | | =
recvmsg | fd | =
recvmmsg | | =
accept4 | flags | fd tuple queuepct
creat | name mode | =
pipe | | =
eventfd | initval flags | =
futex | addr op val | =
stat | | =
lstat | | =
fstat | fd | =
stat64 | | =
lstat64 | | =
fstat64 | fd | =
epoll_wait | maxevents | =
poll | fds timeout | =
select | | =
select | | res
lseek | fd offset whence | =
llseek | fd offset whence | =
ioctl | fd request | res
getcwd | | =
chdir | | =
fchdir | fd | =
mkdir | path mode | res
rmdir | path | res
openat | dirfd name flags mode | fd
link | oldpath newpath | res
linkat | olddir oldpath newdir newpath | res
unlink | path | res
unlinkat | dirfd name | res
pread | fd size pos | =
pwrite | fd size pos | =
readv | fd | =
writev | fd size | =
preadv | fd pos | =
pwritev | fd size pos | =
dup | fd | res
signalfd | fd mask flags | =
kill | pid sig | =
tkill | tid sig | =
tgkill | pid tid sig | =
nanosleep | interval | =
timerfd_create | clockid flags | =
inotify_init | flags | =
getrlimit | resource | =
setrlimit | resource | =
prlimit | pid resource | =
switch | next | -
drop | = | =
fcntl | fd cmd | =
switch | = | -
execve | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap
clone | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap flags uid gid
brk | addr | =
mmap | addr length prot flags fd offset | =
mmap2 | addr length prot flags fd pgoffset | =
munmap | addr length | =
splice | fd_in fd_out size flags | =
ptrace | request pid | =
ioctl | fd request argument | =
execve | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap env
rename | | =
renameat | | =
symlink | | =
symlinkat | | =
fork | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap flags uid gid
vfork | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap flags uid gid
procexit | = | -
sendfile | out_fd in_fd offset size | =
quotactl | cmd type id quota_fmt | =
setresuid | ruid euid suid | =
setresgid | rgid egid sgid | =
- sysdigevent
setuid | uid | =
setgid | gid | =
getuid | | =
geteuid | | =
getgid | | =
getegid | | =
getresuid | | =
getresgid | | =
execve | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap comm env
clone | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap comm flags uid gid
fork | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap comm flags uid gid
vfork | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap comm flags uid gid
clone | | =
fork | | =
vfork | | =
container | id type name image | -
execve | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap comm cgroups env
signaldeliver | = | -
procinfo | = | -
getdents | fd | =
getdents64 | fd | =
setns | fd nstype | =
flock | fd operation | =
cpu_hotplug | = | -
accept | | =
accept4 | flags | fd tuple queuepct queuelen queuemax
semop | semid | =
semctl | semid semnum cmd val | =
ppoll | fds timeout sigmask | =
mount | flags | =
umount | flags | res name
- k8s
semget | key nsems semflg | =
access | mode | =
chroot | | =
- tracer
- mesos
container | json | -
setsid | | =
mkdir | mode | =
rmdir | | =
notification | = | -
execve | | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap comm cgroups env tty
unshare | flags | =
infra | = | -
execve | filename | res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size vm_rss vm_swap comm cgroups env
  tty
page_fault | = | -
execve | filename | =
setpgid | pid pgid | =
bpf | cmd | res_or_fd
seccomp | op | =
unlink | | =
unlinkat | | =
mkdirat | | =
openat | dirfd name flags mode | =
link | | =
linkat | | =
fchmodat | | =
chmod | | =
fchmod | | =
renameat2 | | =
userfaultfd | | =
pluginevent | = | -
container | = | -
openat2 | dirfd name flags mode resolve | =
mprotect | addr length prot | =
execveat | dirfd pathname flags | =
copy_file_range | fdin offin len | =
clone3 | | =
open_by_handle_at | | =
io_uring_setup | | =
io_uring_enter | | =
io_uring_register | | =
mlock | | =
munlock | | =
mlockall | | =
munlockall | | =
capset | | =
useradded | = | -
userdeleted | = | -
groupadded | = | -
groupdeleted | = | -
dup2 | fd | =
dup3 | fd | =
dup | fd | =
bpf | cmd | =
mlock2 | | =
fsconfig | | =
epoll_create | size | =
epoll_create1 | flags | =
chown | | =
lchown | | =
fchown | | =
fchownat | | =
umount | | =
accept4 | flags | =
umount2 | flags | =
pipe2 | | =
inotify_init1 | | =
eventfd2 | initval | =
signalfd4 | fd mask | =
prctl | | =
asyncevent | = | -
memfd_create | | =
pidfd_getfd | | =
pidfd_open | | =
init_module | | =
finit_module | | =
mknod | | =
mknodat | | =
newfstatat | | =
process_vm_readv | | =
process_vm_writev | | =
delete_module | | =
setreuid | | =
setregid | | =
"""
# Two numbers each, from 0 on. NAME | PARAMETERS OF THE ENTRY | PARAMETERS OF THE EXIT. Events that are no system calls
# stand as entries. "=": those of today's layout, or as many of them as there were then; "- NAME": not read any more.
# Numbers from 430 on exist, but which event has which is told nowhere that we may read.

_CALLS = """
- restart_syscall exit read write open close creat link unlink chdir time mknod chmod stat lseek getpid mount ptrace
alarm fstat pause utime access sync kill rename mkdir rmdir dup pipe times brk acct ioctl fcntl setpgid umask chroot
ustat dup2 getppid getpgrp setsid sethostname setrlimit getrusage gettimeofday settimeofday symlink lstat readlink
uselib swapon reboot mmap munmap truncate ftruncate fchmod getpriority setpriority statfs fstatfs syslog setitimer
getitimer uname vhangup wait4 swapoff sysinfo fsync setdomainname adjtimex mprotect init_module delete_module
quotactl getpgid fchdir sysfs personality getdents select flock msync readv writev getsid fdatasync mlock munlock
mlockall munlockall sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_yield
sched_get_priority_max sched_get_priority_min sched_rr_get_interval nanosleep mremap poll prctl rt_sigaction
rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend getcwd capget capset sendfile getrlimit
lchown getuid getgid geteuid getegid setreuid setregid getgroups setgroups fchown setresuid getresuid setresgid
getresgid chown setuid setgid setfsuid setfsgid pivot_root mincore madvise gettid setxattr lsetxattr fsetxattr
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr tkill futex
sched_setaffinity sched_getaffinity set_thread_area get_thread_area io_setup io_destroy io_getevents io_submit
io_cancel exit_group epoll_create epoll_ctl epoll_wait remap_file_pages set_tid_address timer_create timer_settime
timer_gettime timer_getoverrun timer_delete clock_settime clock_gettime clock_getres clock_nanosleep tgkill utimes
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr kexec_load waitid add_key request_key keyctl
ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch openat mkdirat mknodat fchownat futimesat
unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat pselect6 ppoll unshare set_robust_list
get_robust_list splice tee vmsplice getcpu epoll_pwait utimensat signalfd timerfd_create eventfd timerfd_settime
timerfd_gettime signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo
perf_event_open fanotify_init prlimit clock_adjtime syncfs setns getdents64 socket bind connect listen accept
getsockname getpeername socketpair sendto recvfrom shutdown setsockopt getsockopt sendmsg sendmmsg recvmsg recvmmsg
accept4 semop semget semctl msgsnd msgrcv msgget msgctl shmdt shmget shmctl statfs64 fstatfs64 fstatat64 sendfile
getrlimit bdflush sigprocmask ipc socketcall stat64 lstat64 fstat64 fcntl mmap2 _newselect sgetmask ssetmask
sigpending olduname umount signal nice stime llseek waitpid pread pwrite arch_prctl shmat rt_sigreturn fallocate
newfstatat process_vm_readv process_vm_writev fork vfork setuid getuid setgid geteuid getgid setresuid setresgid
getresuid getresgid finit_module bpf seccomp sigaltstack getrandom fadvise64 renameat2 userfaultfd openat2 umount2
execve execveat copy_file_range clone clone3 open_by_handle_at io_uring_setup io_uring_enter io_uring_register
mlock2 getegid fsconfig fspick fsmount fsopen open_tree move_mount mount_setattr memfd_create memfd_secret ioperm
kexec_file_load pidfd_getfd pidfd_open pidfd_send_signal pkey_alloc pkey_mprotect pkey_free landlock_create_ruleset
quotactl_fd landlock_restrict_self landlock_add_rule epoll_pwait2 migrate_pages move_pages preadv2 pwritev2 kcmp
sched_setattr mbind epoll_ctl_old lookup_dcookie modify_ldt statx set_mempolicy io_pgetevents
set_mempolicy_home_node semtimedop get_kernel_syms readahead futex_waitv getpmsg name_to_handle_at process_mrelease
nfsservctl epoll_wait_old rseq create_module - sched_getattr faccessat2 _sysctl query_module get_mempolicy
sync_file_range process_madvise membarrier iopl close_range fanotify_mark recv send - - - - - timerfd
s390_pci_mmio_read sigaction s390_pci_mmio_write readdir s390_sthyi sigsuspend idle s390_runtime_instr sigreturn
s390_guarded_storage cachestat fchmodat2 map_shadow_stack riscv_flush_icache riscv_hwprobe futex_wake futex_requeue
futex_wait oldstat switch_endian multiplexer oldlstat spu_create sync_file_range2 oldfstat spu_run swapcontext
pciconfig_write rtas pciconfig_read sys_debug_setcontext vm86 oldolduname subpage_prot pciconfig_iobase listmount
statmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
"""
# System calls by the number that stands for them in events without parameters, from 0 on.

CALLS = tuple(_CALLS.split())
"""Names of calls in events without parameters; "-" for a number that means none."""

LARGE_CODES = frozenset({322, 324, 402})
"""Events whose parameters' lengths have four bytes."""

UNDECODED = 0
"""Number of the entry of a call that is known by name only; that of its exit is one more."""


class Code(NamedTuple):
    """
    What a number stands for.

    Attributes:
        name: The event, as ``evt.type`` answers today.
        entry: Whether it is the entry of a system call.
        params: Names of its parameters; None when they are those of today's layout.
    """

    name: str
    entry: bool
    params: tuple[str, ...] | None


@cache
def codes() -> tuple[Code | None, ...]:
    """Return what each number stands for; None for those that are not read."""
    lines = _EVENTS.replace("\n  ", " ").strip().split("\n")
    return tuple(code for line in lines for code in _pair(line))


def _pair(line: str) -> tuple[Code | None, Code | None]:
    if line.startswith("- "):
        return None, None
    name, entry, after = (part.strip() for part in line.split("|"))
    known = layout(name)
    call = known is None or known.kind == "syscall"
    return _code(name, call, entry), _code(name, False, after)


def _code(name: str, entry: bool, params: str) -> Code | None:
    if params == "-":
        return None
    return Code(name, entry, None if params == "=" else tuple(params.split()))


@cache
def numbers() -> dict[str, int]:
    """Return the number of today's form of each event, of calls that of the exit."""
    found: dict[str, int] = {}
    for number, code in enumerate(codes()):
        if code is not None and code.params is None:
            found.setdefault(code.name, number)
    return found


@cache
def call_numbers() -> dict[str, int]:
    """Return the numbers that stand for system calls in events without parameters."""
    return {name: number for number, name in reversed(tuple(enumerate(CALLS))) if name != "-"}
