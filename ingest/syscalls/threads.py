"""
The threads of a host: who runs, who made whom, who ended a moment ago.

Entries are replaced, never changed, so that a call keeps what was true when it happened. Old states and ended threads
stay for two seconds of event time, since events are evaluated a little later than they are taken in.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from operator import attrgetter
from typing import Any, Protocol

from ingest.syscalls.call import Address, Call, Descriptor, Seen, Thread
from ingest.syscalls.containers import Containers, identify
from ingest.syscalls.domains import Domains
from ingest.syscalls.interfaces import Interfaces
from ingest.syscalls.users import Accounts

MAX_THREADS = 262_144
"""Threads in the table; beyond that the one known longest makes room."""

KEPT_NS = 2_000_000_000
"""Nanoseconds of event time that ended threads and old states are kept."""

MAX_STATES = 8_192
"""Old states that are kept, however fast threads change."""

MAX_PEERS = 8192
"""Sockets without a connection whose last peer is remembered."""

MAX_ANCESTORS = 64
"""Generations that are looked at; a longer chain is a mistake of the table."""

MAX_LOOK_UPS = 200
"""Look-ups of unknown threads in a second of event time."""

DELETED = " (deleted)"
"""What the kernel appends to the path of a program whose file is gone."""

SECOND = 1_000_000_000
SAME_START_NS = 20_000_000
"""Nanoseconds by which two starts of one thread may differ, since /proc counts in ticks of 10 ms."""

_values: Callable[[Thread], tuple[Any, ...]] = attrgetter(*(row.name for row in fields(Thread)))


class LiveHost(Protocol):
    """What can be asked of the host that events come from; None for what is not there any more."""

    def thread(self, tid: int) -> Thread | None:
        """Return a thread."""

    def descriptor(self, pid: int, num: int) -> Descriptor | None:
        """Return an open descriptor of a process."""

    def thread_count(self, pid: int) -> int | None:
        """Count the threads of a process."""

    def descriptor_count(self, pid: int) -> int | None:
        """Count the open descriptors of a process."""


def changed(thread: Thread, time_ns: int, **facts: Any) -> Thread:
    """Return a thread as it is from a time on, with some facts replaced."""
    new = Thread(*_values(thread))
    for name, value in facts.items():
        setattr(new, name, value)
    new.since_ns = time_ns
    new.previous = thread
    return new


def same_start(one_ns: int, other_ns: int) -> bool:
    """Tell whether two starts may be of one thread; an unknown one (0) may be any."""
    return not one_ns or not other_ns or abs(one_ns - other_ns) <= SAME_START_NS


class ThreadTable:
    """
    Threads by id, and what else of the host the fields of an event need.

    Attributes:
        accounts: Users and groups.
        containers: What is known of containers.
        interfaces: Addresses of the host.
        domains: Names of addresses.
        evicted: Threads that made room for others.
        reused: Thread ids found to belong to another thread than the table knew.
    """

    def __init__(self, live: LiveHost | None = None, limit: int = MAX_THREADS) -> None:
        """
        Make an empty table.

        Args:
            live: Answers for what no event told; None for captures. Descriptors are then not kept but looked up.
            limit: Threads it may hold.
        """
        self.accounts = Accounts()
        self.containers = Containers()
        self.interfaces = Interfaces()
        self.domains = Domains()
        self.evicted = 0
        self.reused = 0
        self._live = live
        self._limit = limit
        self._threads: dict[int, Thread] = {}
        self._others: dict[int, set[int]] = {}
        self._children: dict[int, set[int]] = {}
        self._ended: deque[Thread] = deque()
        self._old: deque[Thread] = deque()
        self._unknown: dict[int, int] = {}
        self._budget = MAX_LOOK_UPS
        self._next_purge = 0
        self._peers: dict[int, tuple[Address, bool]] = {}

    def __len__(self) -> int:
        return len(self._threads)

    @property
    def is_live(self) -> bool:
        """Whether unknown threads can be looked up."""
        return self._live is not None

    # Reading

    def get(self, tid: int) -> Thread | None:
        """Return the thread of this id as it is now, without looking it up."""
        return self._threads.get(tid)

    def at(self, tid: int, time_ns: int) -> Thread | None:
        """Return the thread of this id as it was, as far back as is known."""
        thread = self._threads.get(tid)
        while thread is not None and thread.since_ns > time_ns and thread.previous is not None:
            thread = thread.previous
        return thread

    def find(self, tid: int, time_ns: int) -> Thread | None:
        """Return the thread as it was; one that is not in the table is looked up on the live host, within bounds."""
        thread = self.at(tid, time_ns)
        if thread is None and self._live is not None and tid > 0:
            thread = self._found(tid, time_ns)
        return thread

    def main(self, thread: Thread, time_ns: int) -> Thread | None:
        """Return the main thread of a thread's process."""
        return thread if thread.tid == thread.pid else self.find(thread.pid, time_ns)

    def parent(self, thread: Thread, time_ns: int) -> Thread | None:
        """Return the main thread of the process that is the parent of a thread's process."""
        main = self.main(thread, time_ns)
        if main is None or main.ptid <= 0:
            return None
        maker = self.find(main.ptid, time_ns)
        if maker is None or maker.pid == thread.pid:
            return None
        return self.main(maker, time_ns) or maker

    def ancestors(self, thread: Thread, time_ns: int) -> Iterator[Thread]:
        """Yield the parent, its parent and so on."""
        here: Thread | None = thread
        for _ in range(MAX_ANCESTORS):
            here = self.parent(here, time_ns) if here is not None else None
            if here is None:
                return
            yield here

    def living(self, pid: int, time_ns: int) -> int:
        """Count the living threads of a process that are known, the main thread included."""
        if pid < 0:
            return 0
        tids = [pid, *self._others.get(pid, ())]
        found = [thread for tid in tids if (thread := self.at(tid, time_ns)) is not None]
        return sum(not thread.exited_ns for thread in found)

    def thread_count(self, thread: Thread, time_ns: int) -> int:
        """Count the threads of a thread's process; on a live host those are counted that no event told of, too."""
        known = self.living(thread.pid, time_ns)
        return known if self._live is None or thread.exited_ns else self._live.thread_count(thread.pid) or known

    def descriptor_count(self, thread: Thread) -> int | None:
        """Count the open descriptors of a thread's process; None when nobody knows."""
        if self._live is None:
            return len(thread.descriptors)
        return None if thread.exited_ns else self._live.descriptor_count(thread.pid)

    def descriptor(self, thread: Thread, num: int) -> Descriptor | None:
        """Return an open descriptor of a thread's process; on a live host it is looked up."""
        found = thread.descriptors.get(num)
        if found is None and self._live is not None and num >= 0 and not thread.exited_ns:
            found = self._live.descriptor(thread.pid, num)
        return found

    def peer(self, ino: int) -> tuple[Address, bool] | None:
        """Return whom a socket that is not connected exchanged a datagram with last, and whether it is the server."""
        return self._peers.get(ino)

    # Changing

    def set_peer(self, ino: int, peer: Address, server: bool) -> None:
        """Note whom a socket that is not connected exchanged a datagram with; the ones noted long ago are forgotten."""
        self._peers.pop(ino, None)
        self._peers[ino] = (peer, server)
        if len(self._peers) > MAX_PEERS:
            del self._peers[next(iter(self._peers))]

    def fill(self, threads: Iterable[Thread]) -> None:
        """Take in the threads of a host as they are before the first event; those of a process share descriptors."""
        found = list(threads)
        mains = {thread.tid: thread for thread in found if thread.tid == thread.pid}
        for thread in found:
            main = mains.get(thread.pid, thread)
            thread.descriptors = main.descriptors
            thread.exe_path = thread.exe_path.removesuffix(DELETED)
            if thread.container_id is None:
                thread.container_id = identify(thread.cgroups).id
            self.put(thread)

    def put(self, thread: Thread) -> Thread:
        """Take a thread in, in place of the one of this id."""
        tid = thread.tid
        old = self._threads.get(tid)
        if old is None:
            self._make_room()
        if thread.previous is None and old is not thread:
            thread.previous = old
        if thread.previous is not None:
            self._remember(thread)
        self._threads[tid] = thread
        if thread.container_id is None and thread.cgroups:
            thread.container_id = identify(thread.cgroups).id
        self._index(thread, old)
        if thread.container_id and (old is None or old.container_id != thread.container_id):
            self.containers.want(identify(thread.cgroups), thread.pid)
        return thread

    def change(self, thread: Thread, time_ns: int, **facts: Any) -> Thread:
        """Replace a thread by itself with some facts changed and return it."""
        return self.put(changed(thread, time_ns, **facts))

    def of_call(self, call: Call) -> Thread | None:
        """Return the thread that a call ran on; what the driver saw of it is put into the table."""
        tid, seen = call.tid, call.seen
        thread = self._threads.get(tid)
        if thread is None:
            thread = self._unknown_thread(call)
        elif thread.since_ns > call.time_ns:
            return self.at(tid, call.time_ns)
        return thread if seen is None or tid <= 0 else self._take_over(thread, call, seen)

    def exit(self, thread: Thread, time_ns: int, reaper: int = 0) -> Thread:
        """
        Note the end of a thread; its children go to the reaper.

        Args:
            thread: The thread.
            time_ns: When it ended.
            reaper: Thread id of the new parent of its children, 0 when the driver does not know.
        """
        ended = self.change(thread, time_ns, exited_ns=time_ns)
        self._ended.append(ended)
        if self.living(thread.pid, time_ns):
            self._hand_over(thread.tid, thread.pid, time_ns)
        else:
            reaper = reaper if reaper > 0 else self._reaper(thread, time_ns)
            for tid in (thread.tid, thread.pid):
                self._hand_over(tid, reaper, time_ns)
        return ended

    def drop_others(self, thread: Thread) -> None:
        """Forget the other threads of a process, as an exec ends them."""
        for tid in [thread.pid, *self._others.get(thread.pid, ())]:
            if tid != thread.tid:
                self._remove(tid)

    def advance(self, time_ns: int) -> None:
        """Forget what is long over; call it with the time of every event."""
        if time_ns < self._next_purge:
            return
        self._next_purge = time_ns + SECOND
        self._budget = MAX_LOOK_UPS
        limit = time_ns - KEPT_NS
        while self._ended and self._ended[0].exited_ns < limit:
            ended = self._ended.popleft()
            if self._threads.get(ended.tid) is ended:
                self._remove(ended.tid)
        while self._old and self._old[0].since_ns < limit:
            self._old.popleft().previous = None
        self._unknown = {tid: until for tid, until in self._unknown.items() if until > time_ns}

    # Helpers

    def _unknown_thread(self, call: Call) -> Thread | None:
        """Return a thread that is not in the table: as its main thread is, or looked up."""
        if call.tid <= 0:
            return None
        main = self._threads.get(call.seen.pid) if call.seen is not None and call.seen.pid != call.tid else None
        if call.seen is None or main is None or main.exited_ns:
            return self._found(call.tid, call.time_ns)
        new = changed(main, call.time_ns, tid=call.tid, start_ns=call.seen.start_ns, vtid=call.seen.vtid)
        new.previous = None
        return self.put(new)

    def _take_over(self, thread: Thread | None, call: Call, seen: Seen) -> Thread:
        """Return the thread with what the driver saw; another one of this number is replaced."""
        if thread is not None and not same_start(thread.start_ns, seen.start_ns):
            self.reused += 1
            thread = self._found(call.tid, call.time_ns)
            if thread is not None and not same_start(thread.start_ns, seen.start_ns):
                thread = None
        if thread is None:
            return self.put(_from_seen(call, seen))
        if (
            thread.uid == seen.uid
            and thread.gid == seen.gid
            and thread.ptid == seen.ptid
            and thread.login_uid == seen.login_uid
            and (not seen.comm or thread.comm == seen.comm)
        ):
            return thread
        facts = {"start_ns": seen.start_ns, "uid": seen.uid, "gid": seen.gid, "ptid": seen.ptid}
        comm = seen.comm or thread.comm
        return self.change(thread, call.time_ns, login_uid=seen.login_uid, comm=comm, **facts)

    def _found(self, tid: int, time_ns: int) -> Thread | None:
        if self._live is None or self._unknown.get(tid, 0) > time_ns or self._budget <= 0:
            return None
        self._budget -= 1
        thread = self._live.thread(tid)
        if thread is None:
            self._unknown[tid] = time_ns + SECOND
            return None
        return self.put(thread)

    def _remember(self, thread: Thread) -> None:
        self._old.append(thread)
        if len(self._old) > MAX_STATES:
            self._old.popleft().previous = None

    def _index(self, thread: Thread, old: Thread | None) -> None:
        if thread.tid != thread.pid:
            self._others.setdefault(thread.pid, set()).add(thread.tid)
            return
        if old is not None and old.ptid == thread.ptid:
            return
        if old is not None:
            self._forget_child(old)
        if thread.ptid > 0:
            self._children.setdefault(thread.ptid, set()).add(thread.tid)

    def _forget_child(self, thread: Thread) -> None:
        found = self._children.get(thread.ptid)
        if found is not None:
            found.discard(thread.tid)
            if not found:
                del self._children[thread.ptid]

    def _make_room(self) -> None:
        while len(self._threads) >= self._limit:
            tid = self._ended.popleft().tid if self._ended else next(iter(self._threads))
            self._remove(tid)
            self.evicted += 1

    def _remove(self, tid: int) -> None:
        thread = self._threads.pop(tid, None)
        if thread is None:
            return
        self._forget_child(thread)
        others = self._others.get(thread.pid)
        if others is not None:
            others.discard(tid)
            if not others:
                del self._others[thread.pid]

    def _hand_over(self, tid: int, reaper: int, time_ns: int) -> None:
        for child in [self._threads[tid] for tid in self._children.get(tid, ()) if tid in self._threads]:
            if child.ptid != reaper:
                self.change(child, time_ns, ptid=reaper)

    def _reaper(self, thread: Thread, time_ns: int) -> int:
        for ancestor in self.ancestors(thread, time_ns):
            if ancestor.subreaper or ancestor.vpid == 1:
                return ancestor.pid
        return 1


def _from_seen(call: Call, seen: Seen) -> Thread:
    return Thread(
        call.tid,
        seen.pid,
        start_ns=seen.start_ns,
        ptid=seen.ptid,
        comm=seen.comm,
        uid=seen.uid,
        gid=seen.gid,
        login_uid=seen.login_uid,
        vtid=seen.vtid,
        vpid=seen.vpid,
        sid=seen.sid,
        since_ns=call.time_ns,
    )
