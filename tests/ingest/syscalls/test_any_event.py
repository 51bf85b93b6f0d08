"""Whatever a driver or a capture says: events are taken in, and every field answers in its type or is absent."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fields import Arg, Field, Match, Type
from ingest.syscalls.call import Address, Call, Descriptor, Ends
from ingest.syscalls.host_event import host_event
from ingest.syscalls.layouts import Param, layout, names
from tests.ingest.syscalls.host import SHELL, TABLE, Host

EVENTS = sorted(names("syscall") | names("tracepoint") | names("meta"))

numbers = st.one_of(
    st.integers(-5, 12), st.sampled_from([-100, -115, 100, 4096, 2**31, 2**32 - 1, 2**64 - 1, -(2**63)])
)
addresses = st.one_of(
    st.builds(Address, st.just(2), st.binary(min_size=4, max_size=4), st.integers(0, 65535)),
    st.builds(Address, st.just(10), st.binary(min_size=16, max_size=16), st.integers(0, 65535)),
    st.builds(lambda path: Address(1, path=path), st.sampled_from(["", "/run/x", "@abstract"])),
    st.just(Address(17)),
)
ends = st.builds(lambda one, other: Ends(one.family, one, other), addresses, addresses)
texts = st.one_of(st.sampled_from(["", "/", "x", "../y", "/etc//passwd", "\udcff", "a\nb"]), st.text(max_size=5))
polled = st.lists(st.tuples(st.integers(-1, 9), st.integers(0, 65535)), max_size=3).map(tuple)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("charbuf", "fspath", "fsrelpath"), texts),
    **dict.fromkeys(("bytebuf", "dyn"), st.binary(max_size=12)),
    "sockaddr": addresses,
    "socktuple": ends,
    "fdlist": polled,
}


def value(param: Param) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), BY_TYPE.get(param.type, numbers))


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, tuple[Any, ...], int]:
    name = draw(st.sampled_from(EVENTS))
    known = layout(name)
    assert known is not None
    if draw(st.integers(0, 9)) == 0:
        return name, (), SHELL
    params = tuple(draw(value(param)) for param in known.params)
    return name, params, draw(st.sampled_from([SHELL, 1, 5, 0, -1, 2**40]))


ARGUMENTS: dict[Arg, tuple[int | str | None, ...]] = {
    Arg.INDEX: (0, 1, 99),
    Arg.KEY: ("HOME", "", "cpu", "x"),
    Arg.INDEX_OR_KEY: (0, 99, "flags", "*"),
}
PYTHON = {
    **dict.fromkeys((Type.STRING,), str),
    **dict.fromkeys((Type.BYTES, Type.IPADDR, Type.IPNET), bytes),
    **dict.fromkeys((Type.INT, Type.UINT, Type.PORT, Type.ABSTIME, Type.RELTIME), int),
    Type.DOUBLE: float,
    Type.BOOL: bool,
}
ROWS = [row for row in TABLE.fields.values() if row.get is not None]


def fits(row: Field, found: Any) -> bool:
    if found is None:
        return True
    if row.is_list or (row.match is not Match.ONE and isinstance(found, tuple)):
        return len(found) > 0 and all(isinstance(one, PYTHON[row.type]) for one in found)
    return isinstance(found, PYTHON[row.type])


def answers(call: Call) -> None:
    event = host_event(call)
    for row in ROWS:
        assert row.get is not None
        if not row.arg_required:
            assert fits(row, row.get(event)), row.name
        for arg in ARGUMENTS.get(row.arg, ()):
            assert fits(row, row.get(event, arg)), (row.name, arg)


@settings(max_examples=150, deadline=None)
@given(st.lists(calls(), max_size=8), st.booleans())
def test_no_event_raises_and_every_answer_has_its_type(
    made: list[tuple[str, tuple[Any, ...], int]], same: bool
) -> None:
    host = Host()
    for name, params, tid in made:
        host.now += 1_000_000
        call = host.state.apply(Call(name, params, host.now, SHELL if same else tid))
        answers(call)


@settings(max_examples=60, deadline=None)
@given(calls(), st.builds(Descriptor, numbers, st.sampled_from(list("fd46upon")), texts, ends=st.none() | ends))
def test_any_descriptor_of_a_driver_is_taken(made: tuple[str, tuple[Any, ...], int], fd: Descriptor) -> None:
    host = Host()
    call = Call(made[0], made[1], host.now, SHELL)
    call.fd = fd
    answers(host.state.apply(call))
