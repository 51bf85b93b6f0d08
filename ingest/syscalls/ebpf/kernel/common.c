/*
 * What both parts of the kernel program share. Kernel structures are never named here: OFF_* are their members' places,
 * read from BTF, and are put in front of this text together with the other numbers.
 *
 * An event goes from a hook (hooks.c) through stages (stages.c), tail calls that add records to the scratch space of the
 * processor, and ends in submit(). Numbers shared with Python: header.py, record.py, policy.py, driver.py.
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
       TAG_EXEC, TAG_FORK, TAG_NAME };
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

/* 1: changed or added in a container, 2: untouched from its image, 0: not on an overlay */
static __always_inline u32 layer_of(u64 inode, u32 magic)
{
#ifdef OFF_OVL_UPPER
    if (magic == 0x794c7630) return rd64(inode - OFF_OVL_INODE + OFF_OVL_UPPER) ? 1 : 2;
#endif
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

static __always_inline u64 memory(u64 mm, u32 what)
{
    s64 n = rd64(mm + what);
    return n < 0 ? 0 : n;
}
