from ingest.syscalls.call import Call, Descriptor, Seen, Thread
from ingest.syscalls.threads import KEPT_NS, MAX_LOOK_UPS, SECOND, ThreadTable, changed
from tests.ingest.syscalls.host import CLONE_THREAD, SHELL, START, Host, field


def names(host: Host, tid: int) -> list[str]:
    return [thread.comm for thread in host.table.ancestors(host.thread(tid), host.now)]


def test_the_parent_is_the_main_thread_of_the_process_that_made_it() -> None:
    host = Host()
    host.fork(101)
    host.execve(101, "server")
    host.fork(102, parent=101, flags=CLONE_THREAD)
    host.fork(103, parent=102)
    assert names(host, 103) == ["server", "bash", "systemd"]
    assert host.thread(102).pid == 101


def test_children_of_a_process_that_ends_go_to_the_reaper() -> None:
    host = Host()
    host.fork(101)
    host.fork(102, parent=101)
    host.call("procexit", 0, reaper_tid=1, on=101)
    assert names(host, 102) == ["systemd"]


def test_a_subreaper_takes_orphans_in() -> None:
    host = Host()
    host.call("prctl", 0, 36, None, 1)
    host.fork(101)
    host.fork(102, parent=101)
    host.call("procexit", 0, on=101)
    assert host.thread(102).ptid == SHELL


def test_a_thread_that_ends_leaves_its_children_to_its_process() -> None:
    host = Host()
    host.fork(101)
    host.fork(102, parent=101, flags=CLONE_THREAD)
    host.fork(103, parent=102)
    host.call("procexit", 0, on=102)
    assert host.thread(103).ptid == 101


def test_ended_threads_are_known_for_two_seconds() -> None:
    host = Host()
    host.fork(101)
    host.call("procexit", 0, on=101)
    assert host.thread(101).exited_ns == host.now
    host.now += KEPT_NS - SECOND
    host.call("getuid", 0)
    assert host.table.get(101) is not None
    host.now += 2 * SECOND
    host.call("getuid", 0)
    assert host.table.get(101) is None


def test_a_number_used_again_at_once_is_not_forgotten_with_its_former_owner() -> None:
    host = Host()
    host.fork(101)
    host.call("procexit", 0, on=101)
    host.fork(101)
    host.now += KEPT_NS + SECOND
    host.call("getuid", 0)
    assert host.thread(101).exited_ns == 0


def test_what_an_event_holds_does_not_change_with_later_events() -> None:
    host = Host()
    host.fork(101)
    before = host.call("getuid", 0, on=101)
    host.execve(101, "curl")
    assert before.thread is not None
    assert before.thread.comm == "bash"
    assert host.thread(101).comm == "curl"


def test_ancestors_are_told_as_they_were_when_the_event_happened() -> None:
    host = Host()
    host.fork(101)
    event = host.call("getuid", 0, on=101)
    host.execve(SHELL, "python3")
    assert event.thread is not None
    assert [thread.comm for thread in host.table.ancestors(event.thread, event.time_ns)] == ["bash", "systemd"]
    assert names(host, 101) == ["python3", "systemd"]


def test_old_states_are_given_up_after_two_seconds() -> None:
    host = Host()
    host.execve(SHELL, "python3")
    host.now += KEPT_NS + 2 * SECOND
    host.call("getuid", 0)
    assert host.thread(SHELL).previous is None


def test_an_exec_ends_the_other_threads_of_its_process() -> None:
    host = Host()
    host.fork(101)
    host.fork(102, parent=101, flags=CLONE_THREAD)
    host.execve(101, "curl")
    assert host.table.get(102) is None
    assert host.table.living(101, host.now) == 1


def test_a_loop_of_parents_ends() -> None:
    table = ThreadTable()
    table.put(Thread(5, 5, ptid=6))
    table.put(Thread(6, 6, ptid=5))
    thread = table.get(5)
    assert thread is not None
    assert 0 < len(list(table.ancestors(thread, START))) <= 64


def test_the_table_is_bounded() -> None:
    table = ThreadTable(limit=10)
    for tid in range(1, 51):
        table.put(Thread(tid, tid, ptid=1))
    assert len(table) == 10
    assert table.evicted == 40
    assert table.get(50) is not None


def test_ended_threads_make_room_first() -> None:
    table = ThreadTable(limit=2)
    table.put(Thread(1, 1))
    table.exit(table.put(Thread(2, 2)), START)
    table.put(Thread(3, 3))
    assert table.get(1) is not None
    assert table.get(2) is None


def test_threads_of_a_process_share_descriptors_from_the_start() -> None:
    table = ThreadTable()
    fd = Descriptor(3, "f", "/x")
    table.fill([Thread(6, 5), Thread(5, 5, descriptors={3: fd})])
    assert table.get(6).descriptors[3] is fd  # type: ignore[union-attr]


class Procfs:
    """Answers for one thread and counts the questions."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def thread(self, tid: int) -> Thread | None:
        self.asked.append(tid)
        return Thread(tid, tid, START, comm="found") if tid == 7 else None

    def descriptor(self, pid: int, num: int) -> Descriptor | None:
        return Descriptor(num, "p") if num == 0 else None

    def thread_count(self, pid: int) -> int | None:
        return 12 if pid == 7 else None

    def descriptor_count(self, pid: int) -> int | None:
        return 34 if pid == 7 else None


def live(procfs: Procfs) -> Host:
    return Host(ThreadTable(procfs))


def test_an_unknown_thread_of_a_live_host_is_looked_up_once() -> None:
    procfs = Procfs()
    host = live(procfs)
    assert host.call("getuid", 0, on=7).thread.comm == "found"  # type: ignore[union-attr]
    host.call("getuid", 0, on=7)
    assert procfs.asked == [7]


def test_a_live_host_is_asked_for_what_no_event_tells() -> None:
    host = live(Procfs())
    call = host.call("getuid", 0, on=7)
    names = ("nthreads", "nchilds", "fdopencount", "stdin.type", "stdout.type")
    assert [field(call, f"proc.{name}") for name in names] == [12, 11, 34, "pipe", None]
    known = host.call("getuid", 0)
    assert [field(known, f"proc.{name}") for name in ("nthreads", "fdopencount")] == [1, None]


def test_a_thread_that_is_gone_is_not_looked_up_again_for_a_second() -> None:
    procfs = Procfs()
    host = live(procfs)
    for _ in range(10):
        assert host.call("getuid", 0, on=8).thread is None
    assert procfs.asked == [8]
    host.now += 2 * SECOND
    host.call("getuid", 0, on=8)
    assert procfs.asked == [8, 8]


def test_look_ups_in_a_second_are_bounded() -> None:
    procfs = Procfs()
    table = ThreadTable(procfs)
    for tid in range(1000, 1000 + 5 * MAX_LOOK_UPS):
        table.find(tid, START)
    assert len(procfs.asked) == MAX_LOOK_UPS


def seen(host: Host, tid: int, *, pid: int = 0, start: int = START, comm: str = "", uid: int = 0) -> Thread:
    host.now += 1
    call = Call("getuid", (0,), host.now, tid)
    call.seen = Seen(pid or tid, start, SHELL, uid, 0, comm=comm)
    thread = host.state.apply(call).thread
    assert thread is not None
    return thread


def test_what_the_driver_saw_wins_over_the_table() -> None:
    host = live(Procfs())
    assert seen(host, 7, uid=33, comm="renamed") == host.thread(7)
    assert (host.thread(7).uid, host.thread(7).comm) == (33, "renamed")


def test_a_thread_that_nobody_can_look_up_is_what_the_driver_saw() -> None:
    host = live(Procfs())
    assert seen(host, 9, uid=5, comm="short").comm == "short"
    assert names(host, 9) == ["bash", "systemd"]


def test_another_start_means_another_thread() -> None:
    host = live(Procfs())
    seen(host, 9, comm="first")
    assert seen(host, 9, start=START + SECOND, comm="second").start_ns == START + SECOND
    assert host.table.reused == 1


def test_a_start_in_ticks_of_procfs_is_the_same_start() -> None:
    host = live(Procfs())
    seen(host, 7, start=START + 9_000_000)
    assert host.table.reused == 0


def test_an_unknown_thread_is_as_its_main_thread_is() -> None:
    procfs = Procfs()
    host = live(procfs)
    assert seen(host, 555, pid=SHELL).exe_path == "/bin/bash"
    assert procfs.asked == []


def test_a_changed_thread_remembers_what_it_was() -> None:
    old = Thread(5, 5, comm="a")
    new = changed(old, 10, comm="b")
    assert (new.comm, new.since_ns, new.previous, old.comm) == ("b", 10, old, "a")
