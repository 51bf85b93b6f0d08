/* Stages of an event: who it was, arguments, descriptors, memory, control groups, paths. They do not depend on rules. */

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
        p->len = next < 16 ? next * 8 : 128;
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
