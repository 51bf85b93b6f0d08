"""
Names of host events, as ``evt.type`` answers them (spec: fields 5.1).

Parameters are listed with the type that ``evt.rawarg`` of their name has: that of the first event with one so named.
"""

from engine.fields import Type


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


SYSCALLS = _names("""
    open close read write socket bind connect listen send sendto recv recvfrom shutdown getsockname getpeername
    socketpair setsockopt getsockopt sendmsg sendmmsg recvmsg recvmmsg creat pipe eventfd futex stat lstat fstat
    stat64 lstat64 fstat64 epoll_wait poll select lseek llseek getcwd chdir fchdir pread pwrite readv writev
    preadv pwritev signalfd kill tkill tgkill nanosleep timerfd_create inotify_init getrlimit setrlimit prlimit
    fcntl brk mmap mmap2 munmap splice ptrace ioctl rename renameat symlink symlinkat sendfile quotactl
    setresuid setresgid close_range setuid setgid getuid geteuid getgid getegid getresuid getresgid clone fork
    vfork getdents getdents64 setns flock accept semop semctl ppoll mount semget access chroot setsid mkdir
    rmdir unshare execve setpgid seccomp unlink unlinkat mkdirat openat link linkat fchmodat chmod fchmod
    renameat2 userfaultfd openat2 mprotect execveat copy_file_range clone3 open_by_handle_at io_uring_setup
    io_uring_enter io_uring_register mlock munlock mlockall munlockall capset dup2 dup3 dup bpf mlock2 fsconfig
    epoll_create epoll_create1 chown lchown fchown fchownat umount accept4 umount2 pipe2 inotify_init1 eventfd2
    signalfd4 prctl memfd_create pidfd_getfd pidfd_open init_module finit_module mknod mknodat newfstatat
    process_vm_readv process_vm_writev delete_module setreuid setregid keyctl
""")
"""System calls with decoded parameters."""

UNDECODED = _names("""
    _newselect _sysctl acct add_key adjtimex alarm arch_prctl bdflush cachestat capget clock_adjtime
    clock_getres clock_gettime clock_nanosleep clock_settime create_module epoll_ctl epoll_ctl_old epoll_pwait
    epoll_pwait2 epoll_wait_old exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_init
    fanotify_mark fchmodat2 fdatasync fgetxattr file_getattr file_setattr flistxattr fremovexattr fsetxattr
    fsmount fsopen fspick fstatat64 fstatfs fstatfs64 fsync ftruncate futex_requeue futex_wait futex_waitv
    futex_wake futimesat get_kernel_syms get_mempolicy get_robust_list get_thread_area getcpu getgroups
    getitimer getpgid getpgrp getpid getpmsg getppid getpriority getrandom getrusage getsid gettid gettimeofday
    getxattr getxattrat idle inotify_add_watch inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
    io_setup io_submit ioperm iopl ioprio_get ioprio_set ipc kcmp kexec_file_load kexec_load landlock_add_rule
    landlock_create_ruleset landlock_restrict_self lgetxattr listmount listns listxattr listxattrat llistxattr
    lookup_dcookie lremovexattr lsetxattr lsm_get_self_attr lsm_list_modules lsm_set_self_attr madvise
    map_shadow_stack mbind membarrier memfd_secret migrate_pages mincore modify_ldt mount_setattr move_mount
    move_pages mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget
    msgrcv msgsnd msync multiplexer name_to_handle_at nfsservctl nice oldfstat oldlstat oldolduname oldstat
    olduname open_tree open_tree_attr pause pciconfig_iobase pciconfig_read pciconfig_write perf_event_open
    personality pidfd_send_signal pivot_root pkey_alloc pkey_free pkey_mprotect preadv2 process_madvise
    process_mrelease pselect6 pwritev2 query_module quotactl_fd readahead readdir readlink readlinkat reboot
    remap_file_pages removexattr removexattrat request_key restart_syscall riscv_flush_icache riscv_hwprobe rseq
    rseq_slice_yield rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo rtas s390_guarded_storage s390_pci_mmio_read s390_pci_mmio_write
    s390_runtime_instr s390_sthyi sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
    sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield semtimedop set_mempolicy set_mempolicy_home_node set_robust_list
    set_thread_area set_tid_address setdomainname setfsgid setfsuid setgroups sethostname setitimer setpriority
    settimeofday setxattr setxattrat sgetmask shmat shmctl shmdt shmget sigaction sigaltstack signal sigpending
    sigprocmask sigreturn sigsuspend socketcall spu_create spu_run ssetmask statfs statfs64 statmount statx
    stime subpage_prot swapcontext swapoff swapon switch_endian sync sync_file_range sync_file_range2 syncfs
    sys_debug_setcontext sysfs sysinfo syslog tee time timer_create timer_delete timer_getoverrun timer_gettime
    timer_settime timerfd timerfd_gettime timerfd_settime times truncate umask uname uprobe uretprobe uselib
    ustat utime utimensat utimes vhangup vm86 vmsplice wait4 waitid waitpid
""")
"""System calls known by name only."""

TRACEPOINTS = _names("switch procexit signaldeliver page_fault")
"""Events of the kernel that are no system calls."""

META = _names("""
    drop procinfo cpu_hotplug notification infra container useradded userdeleted groupadded groupdeleted
    asyncevent container_removed
""")
"""Events made in user space, those of the container runtime included."""

NAMES = SYSCALLS | UNDECODED | TRACEPOINTS | META | {"pluginevent"}
"""All that ``evt.type`` may answer."""

SYNONYMS = {
    "_llseek": "llseek",
    "pread64": "pread",
    "pwrite64": "pwrite",
    "ugetrlimit": "getrlimit",
    "prlimit64": "prlimit",
    "fcntl64": "fcntl",
    "sched_switch": "switch",
    "sched_process_exit": "procexit",
    "sendfile64": "sendfile",
    "setresuid32": "setresuid",
    "setresgid32": "setresgid",
    "setuid32": "setuid",
    "setgid32": "setgid",
    "getuid32": "getuid",
    "geteuid32": "geteuid",
    "getgid32": "getgid",
    "getegid32": "getegid",
    "getresuid32": "getresuid",
    "getresgid32": "getresgid",
    "signal_deliver": "signaldeliver",
    "page_fault_user": "page_fault",
    "page_fault_kernel": "page_fault",
}
"""Kernel names of calls and tracepoints that share the event of another name."""

LITERALS = NAMES | frozenset(SYNONYMS)
"""All that a rule may compare ``evt.type`` with."""

_PARAMETERS = {
    Type.STRING: """
    arg2_str comm container_id cwd desc description dir exe filename home json linkpath name newpath oldpath
    path pathname quotafilepath scope shell special target trusted_exepath uargs value_charbuf
    """,
    Type.UINT: """
    action arg argument cap_effective cap_inheritable cap_permitted clockid cmd core cpu cpu_sys cpu_usr
    cq_entries creat_flags dev domain dqb_bhardlimit dqb_bsoftlimit dqb_curspace dqb_ihardlimit dqb_isoftlimit
    dqi_flags egid entries error euid exe_ino features first flags gid how id initval ino ip last len length
    level loginuid mask min_complete mode nr_args nsops nstype offin offout offset op opcode operation option
    optlen optname peer pgft_maj pgft_min pgoffset pidns_init_start_ts plugin_id pos prot proto queuelen
    queuemax queuepct quota_fmt quota_fmt_out ratio request resolve resource rgid ruid sem_flg_0 sem_flg_1
    sem_num_0 sem_num_1 semflg sgid sig sigmask size source sq_entries sq_thread_cpu sq_thread_idle suid
    to_submit tty type uid vm_rss vm_size vm_swap whence
    """,
    Type.INT: """
    arg2_int aux backlog cur dirfd dpid fd fd1 fd2 fd_in fd_out fdin fdlimit fdout in_fd key linkdirfd max
    maxevents mountfd newcur newdir newdirfd newfd newmax next nsems oldcur olddir olddirfd oldfd oldmax out_fd
    pgid pid pid_fd ptid reaper_tid res ret sem_op_0 sem_op_1 semid semnum spid status target_fd tid timeout
    vpgid vpid vtid
    """,
    Type.BYTES: """
    addr arg2 arg3 arg4 arg5 args cgroups data env event_data fds img msgcontrol tuple val value_bytebuf
    """,
    Type.RELTIME: """
    dqb_btime dqb_itime dqi_bgrace dqi_igrace interval
    """,
    Type.ABSTIME: """
    exe_ino_ctime exe_ino_mtime
    """,
}

PARAMETERS = {name: kind for kind, names in _PARAMETERS.items() for name in names.split()}
"""Parameters of all events, name to type."""
