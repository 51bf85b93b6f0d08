/*
 * Hooks: what decides whether an event is told of, and begins to tell. GENERATION (1 or 2) says which set of rules the
 * predicates were made from; FAST, that calls are seen at tracepoints of their own.
 */

/*
 * What predicates see of an event. What is not looked at is not found out (NEEDS_*, set by the words in the text of the
 * predicates). Of events that are no calls (births, new programs, ends) marks, ret, arg, open_flags, mode, path_len are
 * 0 (but arg of births is the call's); the thread is the one that made the event, of new programs as it is afterwards.
 */
struct view {
    u32 nr;         /* of the 64-bit call, or a number of ours (numbers.py) */
    u32 marks;      /* MARK_COMPAT */
    s64 ret;        /* what the call returned: -errno when it failed */
    u64 arg[6];     /* its arguments; of 32-bit calls not sign-extended */
    u32 tgid, tid;  /* numbers in the first pid namespace */
    u32 uid;        /* effective */
    u32 path_len;   /* bytes of path, without the NUL; 0 when unknown: a predicate must not say no then */
    u64 open_flags; /* of opens, in the kernel's numbering; 0 else */
    u64 mode;       /* of opens that make files */
    char comm[16];  /* name of the thread, filled up with NULs */
    const char *path; /* of late predicates: the first path argument as the caller gave it, in 4096 readable bytes */
};

//PREDICATES//

/*
 * While one set of rules takes over from another, both programs run, the older one first. An event is taken by the one
 * whose generation the policy names at that moment; should that change between the two, the younger one must know that
 * the event is taken.
 */
static __always_inline int taken(u64 task)
{
    int zero = 0;
    struct take *last = takes.lookup(&zero);
    if (!last) return 0;
    if (last->task == task && last->by != GENERATION) {
        last->task = 0;
        return 1;
    }
    last->task = task;
    last->by = GENERATION;
    return 0;
}

static __always_inline int other_generation(u32 flags)
{
    if (flags & GENERATION) return 0;
    if (flags & 3) {
        int zero = 0;
        struct take *last = takes.lookup(&zero);
        if (last) last->task = 0;
    }
    return 1;
}

static __always_inline void begin(struct scratch *s, u64 task, u8 kind, u32 nr, s64 ret, u32 policy)
{
    s->pos = 0;
    s->jobs = 0;
    s->job_done = 0;
    s->asked = 0;
    s->walking = 0;
    s->walks = 0;
    s->path_done = 0;
    s->policy = policy;
    *(u64 *)s->kind = 0;
    s->task = task;
    s->h.kind = kind;
    s->h.nr = nr;
    s->h.ret = ret;
    s->h.marks = 0;
}

static __always_inline int own_process(u32 tgid)
{
    return own.lookup(&tgid) != 0;
}

static __always_inline int limited(u32 tgid, u64 now)
{
    int zero = 0, one = 1;
    u64 *rate = settings.lookup(&zero), *burst = settings.lookup(&one);
    if (!rate || !*rate || !burst) return 0;
    struct bucket *b = buckets.lookup(&tgid), fresh = {};
    if (!b) {
        fresh.tokens = *burst - 1;
        fresh.last = now;
        buckets.update(&tgid, &fresh);
        return 0;
    }
    u64 more = (now - b->last) * *rate / 1000000000;
    if (more) {
        b->last = now;
        b->tokens = b->tokens + more > *burst ? *burst : b->tokens + more;
    }
    if (!b->tokens) {
        count(COUNT_LIMITED);
        return 1;
    }
    b->tokens--;
    return 0;
}

/* ---- system calls ---- */

static __always_inline void arguments(struct view *v, void *regs, u64 nr, u32 compat)
{
    if (compat) {
        v->arg[0] = (u32)LOAD(u64, regs, 40);
        v->arg[1] = (u32)LOAD(u64, regs, 88);
        v->arg[2] = (u32)LOAD(u64, regs, 96);
        v->arg[3] = (u32)LOAD(u64, regs, 104);
        v->arg[4] = (u32)LOAD(u64, regs, 112);
        v->arg[5] = (u32)LOAD(u64, regs, 32);
        if (nr != 102) return;
        u32 inner[6] = {}; /* of socketcall: they are in memory */
        bpf_probe_read_user(inner, 24, (void *)v->arg[1]);
        for (int i = 0; i < 6; i++) v->arg[i] = inner[i];
        return;
    }
    v->arg[0] = LOAD(u64, regs, 112);
    v->arg[1] = LOAD(u64, regs, 104);
    v->arg[2] = LOAD(u64, regs, 96);
    v->arg[3] = LOAD(u64, regs, 56);
    v->arg[4] = LOAD(u64, regs, 72);
    v->arg[5] = LOAD(u64, regs, 64);
}

/* Finds out about the thread what the predicates look at. */
static __always_inline void complete(struct view *v, void *task)
{
#ifdef NEEDS_IDS
    u64 id = bpf_get_current_pid_tgid();
    v->tgid = id >> 32;
    v->tid = id;
#endif
#ifdef NEEDS_UID
    void *cred = LOAD(void *, task, OFF_TASK_CRED);
    v->uid = cred ? LOAD(u32, cred, OFF_CRED_EUID) : 0;
#endif
#ifdef NEEDS_COMM
    bpf_get_current_comm(v->comm, 16);
#endif
}

static __always_inline void open_flags(struct view *v, u32 flags)
{
    v->open_flags = 0;
    v->mode = 0;
    if (v->nr == 2) {
        v->open_flags = v->arg[1];
        v->mode = v->arg[2];
    } else if (v->nr == 257) {
        v->open_flags = v->arg[2];
        v->mode = v->arg[3];
    } else if (v->nr == 85) {
        v->open_flags = 01101;
        v->mode = v->arg[1];
    } else if (v->nr == 304) {
        v->open_flags = v->arg[2];
    } else if (flags & HOW) {
        u64 how[2] = {};
        bpf_probe_read_user(how, 16, (void *)v->arg[2]);
        v->open_flags = how[0];
        v->mode = how[1];
    }
}

static __always_inline int call_ended(void *ctx, u64 nr, s64 ret)
{
    u32 number = nr;
    struct policy *policy = policies.lookup(&number);
    if (!policy || !policy->flags) return 0;
    void *task = current_btf(), *regs = pt_regs_of(task);
    u32 compat = 0;
    struct view v;
    v.marks = 0;
#ifndef FAST /* calls of 32-bit programs are not seen at the calls' own tracepoints */
    compat = LOAD(u32, task, OFF_TASK_STATUS) & 2;
    if (compat && (nr == 59 || nr == 322)) compat = 0; /* a 64-bit program that became a 32-bit one */
    if (compat) {
        u32 index = nr;
        if (nr == 102) index = 480 + ((u32)LOAD(u64, regs, 40) & 31);
        u32 *to = compat_numbers.lookup(&index);
        if (!to) return 0;
        number = *to;
        policy = policies.lookup(&number);
        if (!policy) return 0;
        v.marks = MARK_COMPAT;
        ret = (s32)ret;
    }
#endif
    u32 flags = policy->flags;
    if (other_generation(flags)) return 0;
    if ((flags & ENOUGH) && ret >= 0) return 0; /* success is told by a tracepoint */
    v.nr = number;
    v.ret = ret;
    v.path = 0;
    v.path_len = 0;
#ifdef NEEDS_ARGUMENTS
    arguments(&v, regs, nr, compat);
#endif
#ifdef NEEDS_OPEN
    open_flags(&v, flags);
#endif
    complete(&v, task);
    int want = (flags & WANTED) && wanted_early(&v);
    if (!want && !(flags & STATE)) return 0;
    u32 tgid = bpf_get_current_pid_tgid() >> 32;
    if (own_process(tgid)) {
        count(COUNT_OWN);
        return 0;
    }
#ifndef NEEDS_ARGUMENTS
    arguments(&v, regs, nr, compat);
#endif
    struct scratch *s = space();
    if (!s || taken((u64)task)) return 0;
    begin(s, (u64)task, KIND_SYSCALL, number, ret, flags);
    s->h.marks = v.marks;
    u32 at = policy->path;
    if (at < 6) {
        int n = text(s, TAG_TEXT, at, v.arg[at]);
        s->path_done = at + 1;
        if (n >= 0) {
            v.path = (const char *)&s->data[4];
            v.path_len = n;
        }
    }
    if (want) want = wanted(&v);
    if (!want && !(flags & STATE)) return 0;
    if (want) s->h.marks |= MARK_WANTED;
    if (!(flags & PRIORITY) && limited(tgid, bpf_ktime_get_boot_ns())) return 0;
    __builtin_memcpy(s->h.arg, v.arg, sizeof v.arg);
    __builtin_memcpy(s->kind, policy->kind, 6);
    s->struct_size = policy->size;
    s->next = TAIL_ARGUMENTS;
    tails.call(ctx, TAIL_IDENTIFY);
    count(COUNT_TAIL);
    return 0;
}

#ifndef FAST
int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
    return call_ended(ctx, rd64(ctx->args[0] + 120), ctx->args[1]);
}
#else
struct call_exit {
    u64 common;
    s64 nr, ret;
};

int on_call_exit(struct call_exit *ctx)
{
    return call_ended(ctx, ctx->nr, ctx->ret);
}
#endif

/* ---- processes ---- */

static __always_inline u32 admitted(struct scratch *s, struct view *v, u32 number)
{
    struct policy *policy = policies.lookup(&number);
    if (!policy) return 0;
    u32 flags = policy->flags;
    if (other_generation(flags)) return 0;
    v->nr = number;
    v->marks = 0;
    v->ret = 0;
    v->open_flags = 0;
    v->mode = 0;
    v->path = 0;
    v->path_len = 0;
    complete(v, current_btf());
    int want = (flags & WANTED) && wanted_early(v) && wanted(v);
    if (!want && !(flags & STATE)) return 0;
    if (taken(bpf_get_current_task())) return 0;
    return flags | (want ? 1u << 31 : 0);
}

static __always_inline u32 tty_of(u64 signal)
{
    u64 tty = rd64(signal + OFF_SIGNAL_TTY);
    if (!tty) return 0;
    u64 driver = rd64(tty + OFF_TTY_DRIVER);
    u32 major = rd32(driver + OFF_TTY_DRIVER_MAJOR), minor = rd32(driver + OFF_TTY_DRIVER_MINOR);
    minor += rd32(tty + OFF_TTY_INDEX);
    return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
}

static __always_inline u32 in_group(u64 cred, u32 gid)
{
    if (rd32(cred + OFF_CRED_FSGID) == gid) return 1;
    u64 info = rd64(cred + OFF_CRED_GROUPS);
    u32 n = rd32(info + OFF_GROUPS_N);
    for (u32 i = 0; i < 32; i++) {
        if (i >= n) break;
        if (rd32(info + OFF_GROUPS_GID + i * 4) == gid) return 1;
    }
    return 0;
}

static __always_inline u32 writable(u64 cred, u64 inode, u64 sb, u64 capabilities)
{
    u32 mode = rd16(inode + OFF_INODE_MODE), uid = rd32(inode + OFF_INODE_UID);
    if ((rd64(sb + OFF_SB_FLAGS) & 1) || (rd32(inode + OFF_INODE_FLAGS) & 8)) return 0; /* read-only, immutable */
    if (capabilities & ((1 << 1) | (1 << 3))) return 1;                                 /* DAC_OVERRIDE, FOWNER */
    if (rd32(cred + OFF_CRED_FSUID) == uid) return 1;
    if (mode & 2) return 1;
    return (mode & 020) && in_group(cred, rd32(inode + OFF_INODE_GID));
}

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    u64 task = ctx->args[0], bprm = ctx->args[2];
    u32 number = LOAD(u64, pt_regs_of(current_btf()), 120) == 322 ? 322 : 59;
    struct view v = {};
    u32 flags = admitted(s, &v, number);
    if (!flags || own_process(bpf_get_current_pid_tgid() >> 32)) return 0;
    begin(s, task, KIND_EXEC, number, 0, flags);
    if (flags >> 31) s->h.marks = MARK_WANTED;
    u8 *p = room(s, TAG_EXEC, 0);
    if (!p) return 0;
    struct exec_info *i = (void *)(p + 4);
    u64 exe = rd64(rd64(task + OFF_TASK_MM) + OFF_MM_EXE), cred = rd64(task + OFF_TASK_CRED);
    u64 inode = rd64(exe + OFF_FILE_INODE), sb = rd64(inode + OFF_INODE_SB), signal = rd64(task + OFF_TASK_SIGNAL);
    i->cap_inheritable = rd64(cred + OFF_CRED_INHERITABLE);
    i->cap_permitted = rd64(cred + OFF_CRED_PERMITTED);
    i->cap_effective = rd64(cred + OFF_CRED_EFFECTIVE);
    i->ino = rd64(inode + OFF_INODE_INO);
    i->ctime_s = rd64(inode + OFF_INODE_CTIME);
    i->ctime_ns = rd32(inode + OFF_INODE_CTIME_NS);
    i->mtime_s = rd64(inode + OFF_INODE_MTIME);
    i->mtime_ns = rd32(inode + OFF_INODE_MTIME_NS);
    i->fd_limit = rd64(signal + OFF_SIGNAL_RLIM + 7 * 16);
    i->faults_major = rd64(task + OFF_TASK_MAJ_FLT);
    i->faults_minor = rd64(task + OFF_TASK_MIN_FLT);
    u64 mm = rd64(task + OFF_TASK_MM);
    i->total_vm = rd64(mm + OFF_MM_TOTAL_VM);
    i->rss = memory(mm, OFF_RSS_FILE) + memory(mm, OFF_RSS_ANON) + memory(mm, OFF_RSS_SHMEM);
    i->swap = memory(mm, OFF_RSS_SWAP);
    i->tty = tty_of(signal);
    u32 level = level_of(task);
    u64 group = rd64(signal + OFF_SIGNAL_PIDS + 16);
    i->pgid = number_in(group, 0);
    i->vpgid = number_in(group, level);
    i->pidns_start = pidns_start(task, level);
    u32 layer = layer_of(inode, rd64(sb + OFF_SB_MAGIC)), what = 0;
    if (writable(cred, inode, sb, i->cap_effective)) what = 1;
    if (layer == 1) what |= 2;
    if (layer == 2) what |= 8;
    u64 dentry = rd64(exe + OFF_FILE_PATH + OFF_PATH_DENTRY), name = 0, start = 0;
    name = rd64(dentry + OFF_DENTRY_NAME);
    bpf_probe_read_kernel(&start, 6, (void *)name);
    if (start == 0x3a64666d656dULL && rd32(sb + OFF_SB_MAGIC) == 0x1021994 && rd64(dentry + OFF_DENTRY_PARENT) == dentry)
        what |= 4;
    i->flags = what;
    fill(s, p, sizeof *i);
    p = room(s, TAG_NAME, 0);
    if (!p) return 0;
    int n = bpf_probe_read_kernel_str(p + 4, ROOM, (void *)rd64(bprm + OFF_BPRM_FILENAME));
    if (n > 0) fill(s, p, n - 1);
    add_job(s, EXE, exe + OFF_FILE_PATH);
    add_cwd(s);
    s->next = TAIL_MEMORY;
    tails.call(ctx, TAIL_IDENTIFY);
    count(COUNT_TAIL);
    return 0;
}

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    u64 task = bpf_get_current_task(), child = ctx->args[1], mm = rd64(task + OFF_TASK_MM);
    if (!mm) return 0;
    void *regs = pt_regs_of(current_btf());
    u32 number = LOAD(u64, regs, 120), compat = rd32(task + OFF_TASK_STATUS) & 2;
    struct view v = {};
    if (compat) {
        u32 *to = compat_numbers.lookup(&number);
        number = to ? *to : 56;
    }
    if (number != 56 && number != 57 && number != 58 && number != 435) number = 56;
    arguments(&v, regs, number, compat);
    u64 clone_flags = v.arg[0];
    if (number == 435) bpf_probe_read_user(&clone_flags, 8, (void *)v.arg[0]);
    if (number == 57) clone_flags = 17;
    if (number == 58) clone_flags = 0x4111;
    u32 flags = admitted(s, &v, number);
    if (!flags || own_process(bpf_get_current_pid_tgid() >> 32)) return 0;
    if ((clone_flags & 0x10000) && !(flags >> 31)) return 0; /* a thread changes nothing that is kept */
    begin(s, task, KIND_FORK, number, 0, flags);
    if (flags >> 31) s->h.marks = MARK_WANTED;
    u8 *p = room(s, TAG_FORK, 0);
    if (!p) return 0;
    struct fork_info *i = (void *)(p + 4);
    u64 leader = rd64(child + OFF_TASK_LEADER), signal = rd64(child + OFF_TASK_SIGNAL);
    u32 level = level_of(child);
    mm = rd64(child + OFF_TASK_MM);
    i->flags = clone_flags;
    i->tid = rd32(child + OFF_TASK_PID);
    i->tgid = rd32(child + OFF_TASK_TGID);
    i->thread_start = rd64(child + OFF_TASK_START);
    i->start = rd64(leader + OFF_TASK_START);
    i->vtid = number_in(rd64(child + OFF_TASK_THREAD_PID), level);
    i->vpid = number_in(rd64(signal + OFF_SIGNAL_PIDS + 8), level);
    if (i->tid == i->tgid) i->vpid = i->vtid;
    i->pidns = rd32(namespace_of(child, level) + OFF_PIDNS_INUM);
    i->pidns_start = pidns_start(child, level);
    i->fd_limit = rd64(signal + OFF_SIGNAL_RLIM + 7 * 16);
    i->faults_major = rd64(task + OFF_TASK_MAJ_FLT);
    i->faults_minor = rd64(task + OFF_TASK_MIN_FLT);
    i->total_vm = rd64(mm + OFF_MM_TOTAL_VM);
    i->rss = memory(mm, OFF_RSS_FILE) + memory(mm, OFF_RSS_ANON) + memory(mm, OFF_RSS_SHMEM);
    i->swap = memory(mm, OFF_RSS_SWAP);
    i->unused = 0;
    fill(s, p, sizeof *i);
    add_cwd(s);
    s->next = flags >> 31 ? TAIL_CGROUPS : TAIL_WALK;
    tails.call(ctx, TAIL_IDENTIFY);
    count(COUNT_TAIL);
    return 0;
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    u64 task = ctx->args[0], signal = rd64(task + OFF_TASK_SIGNAL);
    struct view v = {};
    u32 flags = admitted(s, &v, NR_EXIT);
    if (!flags || own_process(bpf_get_current_pid_tgid() >> 32)) return 0;
    u64 id = bpf_get_current_pid_tgid();
    if ((u32)id != id >> 32 && rd32(signal + OFF_SIGNAL_LIVE)) return 0;
    begin(s, task, KIND_EXIT, NR_EXIT, 0, flags);
    if (flags >> 31) s->h.marks = MARK_WANTED;
    s->h.arg[0] = rd32(task + OFF_TASK_EXIT_CODE);
    s->h.arg[1] = rd32(signal + OFF_SIGNAL_LIVE);
    s->next = TAIL_NONE;
    tails.call(ctx, TAIL_IDENTIFY);
    count(COUNT_TAIL);
    return 0;
}

int on_rename(struct bpf_raw_tracepoint_args *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    u64 task = ctx->args[0], nr = LOAD(u64, pt_regs_of(current_btf()), 120);
    if (nr == 59 || nr == 322 || !rd64(task + OFF_TASK_MM)) return 0;
    struct view v = {};
    u32 flags = admitted(s, &v, NR_RENAME);
    if (!flags || own_process(bpf_get_current_pid_tgid() >> 32)) return 0;
    begin(s, task, KIND_RENAME, NR_RENAME, 0, flags);
    s->h.arg[0] = rd32(task + OFF_TASK_PID);
    u8 *p = room(s, TAG_NAME, 0);
    if (!p) return 0;
    int n = bpf_probe_read_kernel_str(p + 4, 16, (void *)ctx->args[1]);
    if (n > 0) fill(s, p, n - 1);
    s->next = TAIL_NONE;
    tails.call(ctx, TAIL_IDENTIFY);
    count(COUNT_TAIL);
    return 0;
}

int on_io_uring(struct bpf_raw_tracepoint_args *ctx)
{
#ifdef OFF_IO_KIOCB_OPCODE
    u32 opcode = rd8(ctx->args[0] + OFF_IO_KIOCB_OPCODE);
    u64 *n = io_uring_uses.lookup(&opcode);
    if (n) (*n)++;
#endif
    return 0;
}
