/*
 * What runs in the kernel. Kernel structures are never named here: OFF_* are their members' places, read from BTF;
 * GENERATION, the predicates and the maps they need are put in front of this text.
 *
 * An event goes from a hook (sys_exit, exec, fork, exit, rename) through tail calls that add records to the scratch
 * space of the processor, and ends in submit(). Numbers shared with Python: layout.py.
 */

#define MASK 0x3fff
#define ROOM 4096
#define SCRATCH_DATA (MASK + 1 + ROOM + 256)
#define WALK 4096
#define DEPTH 32
#define WALKS 20 /* with the other stages less than the 33 tail calls a kernel allows */
#define JOBS 10
#define ASKED 4
#define CWD 8
#define EXE 9
#define RET 7
#define AT_FDCWD -100
#define CGROUP_AT(i) (i == 0 ? CGROUP_0 : i == 1 ? CGROUP_1 : i == 2 ? CGROUP_2 : i == 3 ? CGROUP_3 : CGROUP_4)

enum { KIND_SYSCALL, KIND_EXEC, KIND_FORK, KIND_EXIT, KIND_RENAME };
enum { MARK_COMPAT = 1, MARK_TRUNCATED = 2, MARK_FAULT = 4, MARK_WANTED = 8, MARK_NAMESPACED = 16 };
enum { PRIORITY = 4, RET_FD = 8, STATE = 16, WANTED = 32, ARGV = 64, HOW = 128, ENOUGH = 256 };
enum { TAG_TEXT = 1, TAG_BYTES, TAG_FD, TAG_PATH, TAG_SOCKET, TAG_UNIX, TAG_UNIX_PEER, TAG_ARGV, TAG_ENV, TAG_CGROUP,
       TAG_EXEC, TAG_FORK, TAG_EXIT, TAG_NAME };
enum { NO_ARG, ARG_TEXT, ARG_PATH, ARG_FD, ARG_DIR, ARG_STRUCT, ARG_ADDRESS, ARG_BUFFER_OUT, ARG_BUFFER_IN,
       ARG_VECTOR_OUT, ARG_VECTOR_IN, ARG_MESSAGE_OUT, ARG_MESSAGE_IN, ARG_POLL, ARG_FDS, ARG_ADDRESS_OUT };
enum { COUNT_SENT_PRIORITY, COUNT_SENT_BULK, COUNT_LOST_PRIORITY, COUNT_LOST_BULK, COUNT_LIMITED, COUNT_TRUNCATED,
       COUNT_FAULTS, COUNT_OWN, COUNT_TAIL, COUNTS };
enum { TAIL_NONE, TAIL_ARGUMENTS, TAIL_WALK, TAIL_CGROUPS, TAIL_ARGV, TAIL_MEMORY, TAIL_DESCRIPTORS, TAIL_IDENTIFY, TAILS };

/* Keeps the compiler from knowing a value, so that the verifier sees the checks as they are written here. */
#define OPAQUE(x) asm volatile("" : "+r"(x))
#define FORGET() asm volatile("" ::: "memory")

#define PATH_UNREACHED 0x40
#define PATH_DELETED 0x80

struct policy {
    u32 flags;
    u8 kind[6];
    u16 size;
    u32 path;
};

struct header {
    u64 boot_ns, thread_start, start, parent_start;
    s64 ret;
    u64 arg[6];
    u64 cgroup_id;
    u32 tid, tgid, ppid, vtid, vpid, sid, uid, euid, gid, egid, login_uid, session, pidns;
    u16 nr;
    u8 kind, marks;
    u16 cpu, size;
    char comm[16];
    u32 unused;
};

struct job {
    u64 dentry, mount;
    u32 index, unused;
};

struct walker {
    u64 d, m, root, off;
    u32 whole, ended, index, unused;
};

struct scratch {
    struct header h;
    u8 data[SCRATCH_DATA];
    u8 walk[WALK + 256];
    u8 window[256];
    struct job job[JOBS + 6];
    struct walker walker;
    struct {
        u32 index, fd;
    } ask[ASKED];
    u64 task;
    u32 pos, jobs, job_done, asked, policy, next, walking, walks;
    u8 kind[8];
    u32 struct_size, path_done;
};

struct fd_info {
    u64 ino;
    u32 num, mode, dev, flags, fmode, magic, layer, rdev;
};

struct socket_info {
    u64 sk, peer;
    u32 backlog, backlog_max;
    u16 family, type, protocol, state, local_port, remote_port;
    u8 local[16], remote[16];
    u32 unused;
};

struct exec_info {
    u64 cap_inheritable, cap_permitted, cap_effective;
    u64 ino, ctime_s, ctime_ns, mtime_s, mtime_ns;
    u64 total_vm, rss, swap, faults_major, faults_minor, fd_limit, pidns_start;
    u32 tty, pgid, vpgid, flags;
};

struct fork_info {
    u64 thread_start, start, pidns_start, flags;
    u64 total_vm, rss, swap, faults_major, faults_minor, fd_limit;
    u32 tid, tgid, vtid, vpid, pidns, unused;
};

struct take {
    u64 task, by;
};

struct bucket {
    u64 tokens, last;
};

BPF_ARRAY(policies, struct policy, 1024);
BPF_ARRAY(compat_numbers, u32, 512);
BPF_PERCPU_ARRAY(scratches, struct scratch, 1);
BPF_PERCPU_ARRAY(takes, struct take, 1);
BPF_PERCPU_ARRAY(counts, u64, 16);
BPF_PERCPU_ARRAY(io_uring_uses, u64, 256);
BPF_ARRAY(settings, u64, 4);
BPF_HASH(own, u32, u8, 256);
BPF_TABLE("lru_hash", u32, struct bucket, buckets, 4096);
BPF_RINGBUF_OUTPUT(priority, 8);
BPF_RINGBUF_OUTPUT(bulk, 8);
BPF_PROG_ARRAY(tails, 8);

static void *(*current_btf)(void) = (void *)158;
static void *(*pt_regs_of)(void *) = (void *)175;

static __always_inline u64 rd64(u64 at) { u64 v = 0; bpf_probe_read_kernel(&v, 8, (void *)at); return v; }
static __always_inline u32 rd32(u64 at) { u32 v = 0; bpf_probe_read_kernel(&v, 4, (void *)at); return v; }
static __always_inline u16 rd16(u64 at) { u16 v = 0; bpf_probe_read_kernel(&v, 2, (void *)at); return v; }
static __always_inline u8 rd8(u64 at) { u8 v = 0; bpf_probe_read_kernel(&v, 1, (void *)at); return v; }

/* Reads through a pointer whose type the verifier knows: no call, and a fault reads 0. */
#define LOAD(type, from, at) (*(type *)((char *)(from) + (at)))

static __always_inline void count(u32 what)
{
    u64 *n = counts.lookup(&what);
    if (n) (*n)++;
}

static __always_inline struct scratch *space(void)
{
    int zero = 0;
    return scratches.lookup(&zero);
}

/* ---- views: what predicates see ---- */

struct view {
    u32 nr, marks;
    s64 ret;
    u64 arg[6];
    u32 tgid, tid, uid, path_len;
    u64 open_flags, mode;
    char comm[16];
    const char *path;
};

//PREDICATES//

/* ---- records ---- */

static __always_inline u8 *room(struct scratch *s, u8 tag, u8 index)
{
    u32 pos = s->pos;
    if (pos > MASK) {
        s->h.marks |= MARK_TRUNCATED;
        return 0;
    }
    u8 *p = &s->data[pos & MASK];
    p[0] = tag;
    p[1] = index;
    return p;
}

static __always_inline void fill(struct scratch *s, u8 *p, u32 len)
{
    *(u16 *)(p + 2) = len;
    s->pos = (s->pos & MASK) + 4 + len;
}

static __always_inline int text(struct scratch *s, u8 tag, u8 index, u64 from)
{
    u8 *p = room(s, tag, index);
    if (!p) return 0;
    int n = bpf_probe_read_user_str(p + 4, ROOM, (void *)from);
    if (n <= 0) {
        if (from) s->h.marks |= MARK_FAULT;
        return -1;
    }
    if (n == ROOM) s->h.marks |= MARK_TRUNCATED;
    fill(s, p, n - 1);
    return n - 1;
}

static __always_inline void bytes(struct scratch *s, u8 tag, u8 index, u64 from, u64 len, u64 limit)
{
    u8 *p = room(s, tag, index);
    if (!p || !from) return;
    if (len > limit) {
        len = limit;
        if (limit > SNAPLEN) s->h.marks |= MARK_TRUNCATED;
    }
    OPAQUE(len);
    u64 n = len & 0x1fff;
    if (n > ROOM) n = ROOM;
    if (bpf_probe_read_user(p + 4, n, (void *)from)) {
        s->h.marks |= MARK_FAULT;
        return;
    }
    fill(s, p, n);
}

static __always_inline void queue(struct scratch *s, u8 index, u64 mount, u64 dentry)
{
    u32 n = s->jobs;
    if (n >= JOBS) return;
    struct job *j = &s->job[n & 15];
    j->mount = mount;
    j->dentry = dentry;
    j->index = index;
    s->jobs = n + 1;
}

static __always_inline void add_job(struct scratch *s, u8 index, u64 path)
{
    queue(s, index, rd64(path + OFF_PATH_MNT), rd64(path + OFF_PATH_DENTRY));
}

static __always_inline void add_cwd(struct scratch *s)
{
    add_job(s, CWD, rd64(s->task + OFF_TASK_FS) + OFF_FS_PWD);
}

/* Has a descriptor looked up once all arguments are read. */
static __always_inline void ask(struct scratch *s, u32 index, u32 fd)
{
    u32 n = s->asked;
    if (n >= ASKED) return;
    s->ask[n & 3].index = index;
    s->ask[n & 3].fd = fd;
    s->asked = n + 1;
}

static __always_inline u64 file_of(u32 fd)
{
    void *files = LOAD(void *, current_btf(), OFF_TASK_FILES);
    if (!files) return 0;
    void *fdt = LOAD(void *, files, OFF_FILES_FDT);
    if (!fdt || fd >= LOAD(u32, fdt, OFF_FDTABLE_MAX)) return 0;
    return rd64(LOAD(u64, fdt, OFF_FDTABLE_FD) + (u64)fd * 8);
}

/* 1: changed or added in a container, 2: untouched from its image, 0: not on an overlay */
static __always_inline u32 layer_of(u64 inode, u32 magic)
{
#ifdef OFF_OVL_UPPER
    if (magic == 0x794c7630) return rd64(inode - OFF_OVL_INODE + OFF_OVL_UPPER) ? 1 : 2;
#endif
    return 0;
}

static __always_inline void unix_name(struct scratch *s, u8 tag, u8 index, u64 sk)
{
    u64 address = rd64(sk + OFF_UNIX_ADDR);
    u8 *p = room(s, tag, index);
    if (!p || !address) return;
    u64 len = rd32(address + OFF_UNIX_ADDRESS_LEN);
    if (len <= 2) return;
    len -= 2;
    if (len > 108) len = 108;
    OPAQUE(len);
    len &= 0x7f;
    bpf_probe_read_kernel(p + 4, len, (void *)(address + OFF_UNIX_ADDRESS_NAME + 2));
    fill(s, p, len);
}

static __always_inline void socket_of(struct scratch *s, u8 index, u64 socket)
{
    u64 sk = rd64(socket + OFF_SOCKET_SK), peer = 0;
    u8 *p = room(s, TAG_SOCKET, index);
    if (!p || !sk) return;
    struct socket_info *i = (void *)(p + 4);
    __builtin_memset(i, 0, sizeof *i);
    u16 family = rd16(sk + OFF_SK_FAMILY);
    i->sk = sk;
    i->family = family;
    i->type = rd16(sk + OFF_SK_TYPE);
    i->protocol = rd16(sk + OFF_SK_PROTOCOL);
    i->state = rd8(sk + OFF_SK_STATE);
    i->backlog = rd32(sk + OFF_SK_BACKLOG);
    i->backlog_max = rd32(sk + OFF_SK_BACKLOG_MAX);
    if (family == 2 || family == 10) {
        i->local_port = rd16(sk + OFF_SK_NUM);
        i->remote_port = rd16(sk + OFF_SK_DPORT);
    }
    if (family == 2) {
        bpf_probe_read_kernel(i->local, 4, (void *)(sk + OFF_SK_RCV_SADDR));
        bpf_probe_read_kernel(i->remote, 4, (void *)(sk + OFF_SK_DADDR));
    } else if (family == 10) {
        bpf_probe_read_kernel(i->local, 16, (void *)(sk + OFF_SK_V6_RCV_SADDR));
        bpf_probe_read_kernel(i->remote, 16, (void *)(sk + OFF_SK_V6_DADDR));
    } else if (family == 1) {
        peer = rd64(sk + OFF_UNIX_PEER);
        i->peer = peer;
    }
    fill(s, p, sizeof *i);
    if (family == 1) {
        unix_name(s, TAG_UNIX, index, sk);
        if (peer) unix_name(s, TAG_UNIX_PEER, index, peer);
    }
}

static __always_inline void descriptor(struct scratch *s, u8 index, u32 fd)
{
    u64 file = file_of(fd);
    if (!file) return;
    u8 *p = room(s, TAG_FD, index);
    if (!p) return;
    u8 *w = s->window;
    struct fd_info *i = (void *)(p + 4);
    bpf_probe_read_kernel(w, FILE_SIZE, (void *)(file + FILE_FROM));
    u64 inode = LOAD(u64, w, OFF_FILE_INODE - FILE_FROM);
    i->num = fd;
    i->flags = LOAD(u32, w, OFF_FILE_FLAGS - FILE_FROM);
    i->fmode = LOAD(u32, w, OFF_FILE_MODE - FILE_FROM);
    u64 mount = LOAD(u64, w, OFF_FILE_PATH + OFF_PATH_MNT - FILE_FROM);
    u64 dentry = LOAD(u64, w, OFF_FILE_PATH + OFF_PATH_DENTRY - FILE_FROM);
    u64 private = LOAD(u64, w, OFF_FILE_PRIVATE - FILE_FROM);
    bpf_probe_read_kernel(w, INODE_SIZE, (void *)(inode + INODE_FROM));
    u64 sb = LOAD(u64, w, OFF_INODE_SB - INODE_FROM);
    u32 mode = LOAD(u16, w, OFF_INODE_MODE - INODE_FROM);
    i->ino = LOAD(u64, w, OFF_INODE_INO - INODE_FROM);
    i->rdev = LOAD(u32, w, OFF_INODE_RDEV - INODE_FROM);
    i->mode = mode;
    bpf_probe_read_kernel(w, SB_SIZE, (void *)(sb + SB_FROM));
    u32 magic = LOAD(u64, w, OFF_SB_MAGIC - SB_FROM);
    i->dev = LOAD(u32, w, OFF_SB_DEV - SB_FROM);
    i->magic = magic;
    i->layer = layer_of(inode, magic);
    fill(s, p, sizeof *i);
    if ((mode & 0xf000) == 0xc000) socket_of(s, index, private);
    else queue(s, index, mount, dentry);
}

/* ---- the end of every event ---- */

static __always_inline int submit(struct scratch *s)
{
    u32 first = s->policy & PRIORITY;
    u64 size = s->pos, wake = 1; /* BPF_RB_NO_WAKEUP */
    OPAQUE(size);
    if (size > SCRATCH_DATA) return 0;
    s->h.size = size;
    if (s->h.marks & MARK_TRUNCATED) count(COUNT_TRUNCATED);
    if (s->h.marks & MARK_FAULT) count(COUNT_FAULTS);
    if (first) {
        wake = s->h.marks & MARK_WANTED ? 2 : 1; /* BPF_RB_FORCE_WAKEUP */
        if (priority.ringbuf_output(&s->h, sizeof s->h + size, wake)) count(COUNT_LOST_PRIORITY);
        else count(COUNT_SENT_PRIORITY);
        return 0;
    }
    u32 which = COUNT_SENT_BULK;
    u64 *sent = counts.lookup(&which);
    if (sent && (*sent & (WATERMARK - 1)) == WATERMARK - 1) wake = 2;
    if (bulk.ringbuf_output(&s->h, sizeof s->h + size, wake)) {
        count(COUNT_LOST_BULK);
    } else if (sent) {
        (*sent)++;
    }
    return 0;
}

/* Goes up by one directory or mount; says so when that was the last. */
static __always_inline void step(struct scratch *s, struct walker *w)
{
    u64 d = w->d;
    if (d == w->root) {
        u64 m = w->m, above = rd64(m + OFF_MOUNT_PARENT);
        if (above == m) {
            w->whole = w->ended = 1;
            return;
        }
        w->d = rd64(m + OFF_MOUNT_POINT);
        w->m = above;
        w->root = rd64(above + OFF_MOUNT_MNT + OFF_VFSMOUNT_ROOT);
        return;
    }
    struct {
        u64 parent, hash_len, name;
    } e = {};
    bpf_probe_read_kernel(&e, sizeof e, (void *)(d + OFF_DENTRY_PARENT));
    u64 off = w->off, len = (e.hash_len >> 32) & 0xff;
    if (off > WALK || off < len + 1) {
        w->ended = 1;
        return;
    }
    off -= len;
    bpf_probe_read_kernel(&s->walk[off & (WALK - 1)], len, (void *)e.name);
    if (e.parent == d) { /* what is in no directory: a pipe, a memfd */
        w->whole = w->ended = 1;
        w->index &= ~PATH_DELETED;
        w->off = off;
        return;
    }
    off -= 1;
    s->walk[off & (WALK - 1)] = '/';
    w->off = off;
    w->d = e.parent;
}

static __always_inline void begin_walk(struct scratch *s, struct walker *w)
{
    struct job *j = &s->job[s->job_done & 15];
    w->d = j->dentry;
    w->m = j->mount - OFF_MOUNT_MNT;
    w->root = rd64(j->mount + OFF_VFSMOUNT_ROOT);
    w->off = WALK;
    w->whole = w->ended = 0;
    w->index = j->index;
    if (w->d != w->root && !rd64(w->d + OFF_DENTRY_PPREV)) w->index |= PATH_DELETED;
}

/* Turns the queued dentries into paths; a run does a part of one, and the next run is a tail call. */
int walk_path(void *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    if (s->job_done >= s->jobs || s->job_done >= JOBS) return submit(s);
    struct walker *w = &s->walker;
    if (!s->walking) begin_walk(s, w);
    for (int i = 0; i < DEPTH; i++) {
        FORGET(); /* what the walk knows stays in memory: the verifier then has one state for each round */
        step(s, w);
        if (w->ended) break;
    }
    FORGET();
    if (!w->ended && s->walks < WALKS) {
        s->walking = 1;
        s->walks++;
        tails.call(ctx, TAIL_WALK);
        count(COUNT_TAIL);
        return 0;
    }
    u32 index = w->index, off = w->off;
    if (!w->whole) {
        index |= PATH_UNREACHED;
        s->h.marks |= MARK_TRUNCATED;
    }
    u8 *p = room(s, TAG_PATH, index);
    if (p) {
        u32 len = (WALK - off) & (WALK - 1);
        bpf_probe_read_kernel(p + 4, len, &s->walk[off & (WALK - 1)]);
        fill(s, p, len);
    }
    s->walking = 0;
    s->job_done++;
    if (s->job_done >= s->jobs) return submit(s);
    tails.call(ctx, TAIL_WALK);
    count(COUNT_TAIL);
    return 0;
}

/* ---- headers ---- */

static __always_inline u32 number_in(u64 pid, u32 level)
{
    if (!pid || rd32(pid + OFF_PID_LEVEL) < level) return 0;
    return rd32(pid + OFF_PID_NUMBERS + level * SIZE_UPID + OFF_UPID_NR);
}

static __always_inline u32 level_of(u64 task)
{
    return rd32(rd64(task + OFF_TASK_THREAD_PID) + OFF_PID_LEVEL) & 0x1f;
}

static __always_inline u64 namespace_of(u64 task, u32 level)
{
    return rd64(rd64(task + OFF_TASK_THREAD_PID) + OFF_PID_NUMBERS + level * SIZE_UPID + OFF_UPID_NS);
}

static __always_inline u64 pidns_start(u64 task, u32 level)
{
    if (!level) return 0;
    return rd64(rd64(namespace_of(task, level) + OFF_PIDNS_REAPER) + OFF_TASK_START);
}

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

/* Numbers in the thread's own pid namespace, where that is not the first. */
static __always_inline void identify_inside(struct scratch *s, u64 task, u32 level)
{
    u64 pid = rd64(task + OFF_TASK_THREAD_PID), signal = rd64(task + OFF_TASK_SIGNAL);
    s->h.marks |= MARK_NAMESPACED;
    s->h.vtid = number_in(pid, level);
    s->h.vpid = s->h.tid == s->h.tgid ? s->h.vtid : number_in(rd64(signal + OFF_SIGNAL_PIDS + 8), level);
    s->h.sid = number_in(rd64(signal + OFF_SIGNAL_PIDS + 24), level);
    s->h.pidns = rd32(namespace_of(task, level) + OFF_PIDNS_INUM);
}

static __always_inline void identify(struct scratch *s)
{
    void *task = current_btf();
    u64 id = bpf_get_current_pid_tgid();
    s->h.boot_ns = bpf_ktime_get_boot_ns();
    s->h.tgid = id >> 32;
    s->h.tid = id;
    s->h.cpu = bpf_get_smp_processor_id();
    s->h.cgroup_id = bpf_get_current_cgroup_id();
    bpf_get_current_comm(s->h.comm, 16);
    s->h.login_uid = LOAD(u32, task, OFF_TASK_LOGINUID);
    s->h.session = LOAD(u32, task, OFF_TASK_SESSIONID);
    s->h.thread_start = LOAD(u64, task, OFF_TASK_START);
    void *leader = LOAD(void *, task, OFF_TASK_LEADER), *parent = LOAD(void *, task, OFF_TASK_PARENT);
    void *cred = LOAD(void *, task, OFF_TASK_CRED), *pid = LOAD(void *, task, OFF_TASK_THREAD_PID);
    void *signal = LOAD(void *, task, OFF_TASK_SIGNAL);
    if (!leader || !parent || !cred || !pid || !signal) return;
    s->h.start = LOAD(u64, leader, OFF_TASK_START);
    s->h.ppid = LOAD(u32, parent, OFF_TASK_TGID);
    parent = LOAD(void *, parent, OFF_TASK_LEADER);
    if (parent) s->h.parent_start = LOAD(u64, parent, OFF_TASK_START);
    s->h.uid = LOAD(u32, cred, OFF_CRED_UID);
    s->h.gid = LOAD(u32, cred, OFF_CRED_GID);
    s->h.euid = LOAD(u32, cred, OFF_CRED_EUID);
    s->h.egid = LOAD(u32, cred, OFF_CRED_EGID);
    u32 level = LOAD(u32, pid, OFF_PID_LEVEL) & 0x1f;
    if (level) {
        identify_inside(s, s->task, level);
        return;
    }
    s->h.vtid = s->h.tid;
    s->h.vpid = s->h.tgid;
    s->h.pidns = FIRST_PIDNS;
    void *session = LOAD(void *, signal, OFF_SIGNAL_PIDS + 24);
    s->h.sid = session ? rd32((u64)session + OFF_PID_NUMBERS + OFF_UPID_NR) : 0;
}

/* Says who it was; what comes after is up to the hook. */
int identify_thread(void *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    identify(s);
    if (!s->next) return submit(s);
    tails.call(ctx, s->next);
    count(COUNT_TAIL);
    return 0;
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

static __always_inline void arguments(struct view *v, void *regs, u32 compat)
{
    if (compat) {
        v->arg[0] = (u32)LOAD(u64, regs, 40);
        v->arg[1] = (u32)LOAD(u64, regs, 88);
        v->arg[2] = (u32)LOAD(u64, regs, 96);
        v->arg[3] = (u32)LOAD(u64, regs, 104);
        v->arg[4] = (u32)LOAD(u64, regs, 112);
        v->arg[5] = (u32)LOAD(u64, regs, 32);
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
    u64 id = bpf_get_current_pid_tgid();
    v->tgid = id >> 32;
    v->tid = id;
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
    void *task = current_btf();
    u32 compat = LOAD(u32, task, OFF_TASK_STATUS) & 2;
    struct view v;
    v.marks = 0;
    void *regs = pt_regs_of(task);
    if (compat) {
        if (nr == 59 || nr == 322) {
            compat = 0; /* a 64-bit program that became a 32-bit one */
        } else {
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
    }
    u32 flags = policy->flags;
    if (other_generation(flags)) return 0;
    if ((flags & ENOUGH) && ret >= 0) return 0; /* success is told by a tracepoint */
    v.nr = number;
    v.ret = ret;
    arguments(&v, regs, compat);
    if (compat && nr == 102) {
        u32 inner[6] = {};
        bpf_probe_read_user(inner, 24, (void *)v.arg[1]);
        for (int i = 0; i < 6; i++) v.arg[i] = inner[i];
    }
    complete(&v, task);
#ifdef NEEDS_OPEN
    open_flags(&v, flags);
#endif
    v.path = 0;
    v.path_len = 0;
    int want = (flags & WANTED) && wanted_early(&v);
    if (!want && !(flags & STATE)) return 0;
    if (own_process(v.tgid)) {
        count(COUNT_OWN);
        return 0;
    }
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
    if (!(flags & PRIORITY) && limited(v.tgid, bpf_ktime_get_boot_ns())) return 0;
    __builtin_memcpy(s->h.arg, v.arg, sizeof v.arg);
    __builtin_memcpy(s->kind, policy->kind, 6);
    s->struct_size = policy->size;
    s->next = TAIL_ARGUMENTS;
    tails.call(ctx, TAIL_IDENTIFY);
    count(COUNT_TAIL);
    return 0;
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
    return call_ended(ctx, rd64(ctx->args[0] + 120), ctx->args[1]);
}

struct call_exit {
    u64 common;
    s64 nr, ret;
};

int on_call_exit(struct call_exit *ctx)
{
    return call_ended(ctx, ctx->nr, ctx->ret);
}

/* A piece of the process's memory that is to be told. */
struct piece {
    u64 from, len, limit;
};

static __always_inline void vector(struct scratch *s, struct piece *p, u64 iov, u64 limit)
{
    u64 first[2] = {};
    if (s->h.marks & MARK_COMPAT) {
        u32 narrow[2] = {};
        bpf_probe_read_user(narrow, 8, (void *)iov);
        first[0] = narrow[0];
        first[1] = narrow[1];
    } else {
        bpf_probe_read_user(first, 16, (void *)iov);
    }
    p->from = first[0];
    p->len = first[1] < limit ? first[1] : limit;
}

struct message {
    u64 name;
    u32 name_len, pad;
    u64 iov, vectors, control, control_len;
};

static __always_inline void message(struct scratch *s, struct piece *p, u8 index, u64 from, u64 limit)
{
    struct message m = {};
    if (s->h.marks & MARK_COMPAT) {
        u32 narrow[6] = {};
        bpf_probe_read_user(narrow, 24, (void *)from);
        m.name = narrow[0];
        m.name_len = narrow[1];
        m.iov = narrow[2];
        m.control = narrow[4];
        m.control_len = narrow[5];
    } else if (bpf_probe_read_user(&m, sizeof m, (void *)from)) {
        s->h.marks |= MARK_FAULT;
        return;
    }
    if (m.name) bytes(s, TAG_BYTES, index | 16, m.name, m.name_len, 128);
    if (m.control) bytes(s, TAG_BYTES, index | 32, m.control, m.control_len, SNAPLEN);
    vector(s, p, m.iov, limit);
}

static __always_inline void path_argument(struct scratch *s, u32 i, u32 kind, u64 value)
{
    u8 first = '/';
    if (s->path_done == i + 1) {
        first = s->pos > 4 ? s->data[4] : 0;
    } else {
        u32 pos = s->pos & MASK;
        if (text(s, TAG_TEXT, i, value) >= 0) first = s->data[pos + 4];
    }
    if (kind == ARG_TEXT || (first == '/' && s->h.nr != NR_CHDIR)) return;
    u32 dir = s->h.arg[(i - 1) & 7];
    if (s->kind[(i - 1) & 7] == ARG_DIR && dir != (u32)AT_FDCWD) ask(s, i - 1, dir); /* kind[7] is none */
    else add_cwd(s);
}

static __always_inline void find_piece(struct scratch *s, struct piece *p, u32 i, u32 kind)
{
    u64 value = s->h.arg[i & 7], next = s->h.arg[(i + 1) & 7];
    s64 ret = s->h.ret;
    p->from = value;
    p->limit = SNAPLEN;
    if (kind == ARG_STRUCT) {
        p->len = s->struct_size;
        p->limit = 1024;
    } else if (kind == ARG_ADDRESS) {
        p->len = (u32)next;
        p->limit = 128;
    } else if (kind == ARG_BUFFER_OUT) {
        p->len = next;
    } else if (kind == ARG_POLL) {
        p->len = (next & 15) * 8;
        p->limit = 128;
    } else if (kind == ARG_VECTOR_OUT) {
        vector(s, p, value, 1 << 30);
    } else if (kind == ARG_MESSAGE_OUT) {
        message(s, p, i, value, 1 << 30);
    } else if (ret < 0) {
        p->from = 0;
    } else if (kind == ARG_FDS) {
        u32 one = 0;
        p->len = 8;
        if (!bpf_probe_read_user(&one, 4, (void *)value)) ask(s, i, one);
    } else if (kind == ARG_ADDRESS_OUT) {
        u32 len = 0;
        bpf_probe_read_user(&len, 4, (void *)next);
        p->len = len;
        p->limit = 128;
    } else if (!ret) {
        p->from = 0;
    } else if (kind == ARG_BUFFER_IN) {
        p->len = ret;
    } else if (kind == ARG_VECTOR_IN) {
        vector(s, p, value, ret);
    } else if (kind == ARG_MESSAGE_IN) {
        message(s, p, i, value, ret);
    }
}

static __always_inline void one_argument(struct scratch *s, u32 i)
{
    u32 kind = s->kind[i & 7];
    u64 value = s->h.arg[i & 7];
    if (kind == NO_ARG || kind == ARG_DIR) return;
    if (kind == ARG_TEXT || kind == ARG_PATH) {
        path_argument(s, i, kind, value);
    } else if (kind == ARG_FD) {
        ask(s, i, value);
    } else {
        struct piece p = {};
        find_piece(s, &p, i, kind);
        bytes(s, TAG_BYTES, i, p.from, p.len, p.limit);
    }
}

int read_arguments(void *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    for (u32 i = 0; i < 6; i++) {
        FORGET();
        one_argument(s, i);
    }
    if ((s->policy & RET_FD) && s->h.ret >= 0) ask(s, RET, s->h.ret);
    if (s->asked) {
        tails.call(ctx, TAIL_DESCRIPTORS);
    } else if (s->policy & ARGV) {
        tails.call(ctx, TAIL_ARGV);
    } else if (s->jobs) {
        tails.call(ctx, TAIL_WALK);
    } else {
        return submit(s);
    }
    count(COUNT_TAIL);
    return 0;
}

/* Says what the descriptors are that were asked for. */
int read_descriptors(void *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    for (u32 i = 0; i < ASKED; i++) {
        FORGET();
        if (i >= s->asked) break;
        descriptor(s, s->ask[i].index, s->ask[i].fd);
    }
    if (s->policy & ARGV) {
        tails.call(ctx, TAIL_ARGV);
    } else if (s->jobs) {
        tails.call(ctx, TAIL_WALK);
    } else {
        return submit(s);
    }
    count(COUNT_TAIL);
    return 0;
}

/* The arguments of a program that could not be started. */
int read_argv(void *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    u64 list = s->h.nr == 322 ? s->h.arg[2] : s->h.arg[1];
    u32 used = 0;
    u8 *p = room(s, TAG_ARGV, 0);
    if (p) {
        for (u32 i = 0; i < 32; i++) {
            u64 at = 0;
            if (s->h.marks & MARK_COMPAT) bpf_probe_read_user(&at, 4, (void *)(list + i * 4));
            else bpf_probe_read_user(&at, 8, (void *)(list + i * 8));
            if (!at || used > 2048) break;
            int n = bpf_probe_read_user_str(p + 4 + (used & 2047), 2048, (void *)at);
            if (n <= 0) break;
            used += n;
        }
        fill(s, p, used & 0xfff);
    }
    add_cwd(s);
    tails.call(ctx, TAIL_WALK);
    count(COUNT_TAIL);
    return 0;
}

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

static __always_inline u64 memory(u64 mm, u32 what)
{
    s64 n = rd64(mm + what);
    return n < 0 ? 0 : n;
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
    if (!flags || own_process(v.tgid)) return 0;
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

/* Arguments and environment of the new program. */
int read_memory(void *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    u64 mm = rd64(s->task + OFF_TASK_MM);
    u64 start = rd64(mm + OFF_MM_ARG_START), end = rd64(mm + OFF_MM_ARG_END);
    if (end > start) bytes(s, TAG_ARGV, 0, start, end - start, ROOM);
    start = rd64(mm + OFF_MM_ENV_START);
    end = rd64(mm + OFF_MM_ENV_END);
    if (end > start) bytes(s, TAG_ENV, 0, start, end - start, ROOM);
    tails.call(ctx, TAIL_CGROUPS);
    count(COUNT_TAIL);
    return 0;
}

static __always_inline void cgroup_path(struct scratch *s, u8 index, u64 node)
{
    for (int i = 0; i < 8; i++) {
        u64 above = rd64(node + OFF_KERNFS_PARENT);
        if (!above) return;
        u8 *p = room(s, TAG_CGROUP, index);
        if (!p) return;
        int n = bpf_probe_read_kernel_str(p + 4, 256, (void *)rd64(node + OFF_KERNFS_NAME));
        if (n <= 0) return;
        fill(s, p, (n - 1) & 0xff);
        node = above;
    }
}

/* Names of the directories of the cgroups, innermost first; a hierarchy seen before is not told again. */
int read_cgroups(void *ctx)
{
    struct scratch *s = space();
    if (!s) return 0;
    u64 set = rd64(s->task + OFF_TASK_CGROUPS), before = 0;
#pragma unroll
    for (int i = 0; i < 5; i++) {
        if (CGROUP_AT(i) < 0) continue;
        u64 node = rd64(rd64(rd64(set + OFF_CSS_SET_SUBSYS + CGROUP_AT(i) * 8) + OFF_CSS_CGROUP) + OFF_CGROUP_KN);
        u8 *p = room(s, TAG_CGROUP, i | (node == before ? 0x20 : 0x10));
        if (p) fill(s, p, 0);
        if (node != before) cgroup_path(s, i, node);
        before = node;
    }
    if (!s->jobs) return submit(s);
    tails.call(ctx, TAIL_WALK);
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
    arguments(&v, regs, compat);
    u64 clone_flags = v.arg[0];
    if (number == 435) bpf_probe_read_user(&clone_flags, 8, (void *)v.arg[0]);
    if (number == 57) clone_flags = 17;
    if (number == 58) clone_flags = 0x4111;
    u32 flags = admitted(s, &v, number);
    if (!flags || own_process(v.tgid)) return 0;
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
    if (!flags || own_process(v.tgid)) return 0;
    if (v.tid != v.tgid && rd32(signal + OFF_SIGNAL_LIVE)) return 0;
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
    if (!flags || own_process(v.tgid)) return 0;
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
