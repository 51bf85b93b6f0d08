"""
Rules as C: the formulas that ``pushdown`` makes of them, as the filter of the program in the kernel.

What decides without the path stands in ``early``. Paths are looked up once an event, in a trie whose values say for
each comparison whether it holds; task names in a hash map. No text of a rule becomes part of the C text: it stands in
maps, or as a number.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from ingest.syscalls.ebpf.loader import Filter
from ingest.syscalls.ebpf.numbers import numbers_of
from ingest.syscalls.pushdown import (
    ALWAYS,
    NEVER,
    PATH_BYTES,
    READ,
    SUFFIX_BYTES,
    Every,
    Formula,
    Inverse,
    Leaf,
    Pushdown,
    Some,
    every,
    leaves,
    some,
)

_KEY = PATH_BYTES + 1
_MOST = 128
"""Comparisons of one kind that a mask has bits for; those beyond are left to the engine."""
_NUMBERS = 16
"""Numbers that one comparison may name in the C text."""
_COMM = 16
_PATHS = ("path", "path-prefix", "path-suffix")

_DECLARATIONS = """
struct f_key { u32 bits; char text[%(key)d]; };
struct f_mask { u64 word[2]; };
struct f_facts { u32 bits; char text[136]; u32 known, len; u64 tail, word[2]; };
struct f_comm { char text[16]; };
BPF_LPM_TRIE(f_paths, struct f_key, struct f_mask, %(paths)d);
BPF_HASH(f_comms, struct f_comm, struct f_mask, %(comms)d);
BPF_PERCPU_ARRAY(f_scratch, struct f_facts, 1);

#define F_ONES 0x0101010101010101ull
#define F_HIGH 0x8080808080808080ull
#define F_HAS(w, c) ((((w) ^ (F_ONES * (c))) - F_ONES) & ~((w) ^ (F_ONES * (c))) & F_HIGH)

/* Whether a name may not be in its shortest form: it holds "//", "/." or "./". May say so of one that is. */
static __always_inline u64 f_unsure(u64 word, u64 next)
{
    u64 after = word >> 8 | next << 56;
    u64 slash = F_HAS(word, '/'), dot = F_HAS(word, '.');
    return (slash & (F_HAS(after, '/') | F_HAS(after, '.'))) | (dot & F_HAS(after, '/'));
}

/* What is known of the path; a name that is not absolute, long or not in its shortest form leaves it unknown. */
static __always_inline struct f_facts *f_path_facts(struct view *v)
{
    int zero = 0;
    struct f_facts *f = f_scratch.lookup(&zero);
    if (!f) return 0;
    f->known = 0;
    f->len = v->path_len;
    if (!v->path || v->path_len < 1 || v->path_len > 127) return f;
    u64 *w = (u64 *)(f->text + 4); /* aligned, since a number of 4 bytes stands before */
    w[-1] = 0;
    for (int i = 0; i < 16; i++) w[i] = 0;
    if (bpf_probe_read_kernel_str(f->text, 128, v->path) <= 0 || f->text[0] != '/') return f;
    u64 unsure = f_unsure(*(u32 *)f->text | (u64)(u32)w[0] << 32, w[0] >> 32);
    for (int i = 0; i < 15; i++) unsure |= f_unsure(w[i], w[i + 1]);
    if (unsure) return f;
    u32 len = f->len & 127;
    u64 tail = 0;
    bpf_probe_read_kernel(&tail, 8, len < 8 ? f->text : f->text + len - 8);
    f->tail = len < 8 ? tail << 8 * (8 - len) : tail;
    f->bits = 8 * %(key)d;
    f->word[0] = f->word[1] = 0;
    struct f_mask *m = f_paths.lookup((struct f_key *)f);
    if (m) {
        f->word[0] = m->word[0];
        f->word[1] = m->word[1];
    }
    f->known = 1;
    return f;
}
"""

_READS, _WRITES = "(!(v->open_flags & 1) || (v->open_flags & 2))", "(v->open_flags & 3)"


@dataclass(slots=True)
class _Masks:
    """Bits for the comparisons of one kind."""

    bits: dict[Leaf, int] = field(default_factory=dict)

    def bit(self, leaf: Leaf) -> int | None:
        """Return the bit of a comparison; None when there is none left."""
        if leaf not in self.bits and len(self.bits) < _MOST:
            self.bits[leaf] = len(self.bits)
        return self.bits.get(leaf)


@dataclass(slots=True)
class _Writer:
    paths: _Masks = field(default_factory=_Masks)
    comms: _Masks = field(default_factory=_Masks)

    def text(self, formula: Formula) -> str:
        """Return a formula as an expression of C."""
        match formula:
            case Leaf():
                return self._leaf(formula)
            case Inverse(leaf):
                return self._inverse(leaf)
            case Every(items):
                return self._joined(items, " && ", "1")
            case Some(items):
                return self._joined(items, " || ", "0")

    def _joined(self, items: Iterable[Formula], word: str, empty: str) -> str:
        parts = [self.text(item) for item in sorted(items, key=_cost)]
        return f"({word.join(parts)})" if parts else empty

    def _leaf(self, leaf: Leaf) -> str:
        known = "!f->known || " if leaf.what in _PATHS else ""
        return f"({known}{self._answer(leaf)})"

    def _inverse(self, leaf: Leaf) -> str:
        known = "!f->known || " if leaf.what in _PATHS else ""
        return f"({known}!({self._answer(leaf)}))"

    def _answer(self, leaf: Leaf) -> str:
        match leaf.what:
            case "path" | "path-prefix":
                return _bit("f", self.paths.bits[leaf]) if leaf.values else "0"
            case "path-suffix":
                return _or(map(_suffix, _texts(leaf)))
            case "comm":
                return f"(c && {_bit('c', self.comms.bits[leaf])})"
            case "comm-prefix":
                return _or(map(_comm_prefix, _texts(leaf)))
            case "ret" | "uid":
                return _or(partial(_number, leaf.what)(value) for value in sorted(map(int, leaf.values)))
            case "ret-below":
                return " && ".join(f"v->ret < {_signed(int(value))}" for value in leaf.values)
            case "open":
                return _or(_READS if value == READ else _WRITES for value in sorted(map(int, leaf.values)))
        raise AssertionError(leaf.what)


def _texts(leaf: Leaf) -> list[bytes]:
    return sorted(value for value in leaf.values if isinstance(value, bytes))


def _or(parts: Iterable[str]) -> str:
    return f"({' || '.join(parts) or '0'})"


def _bit(name: str, bit: int) -> str:
    return f"({name}->word[{bit // 64}] >> {bit % 64} & 1)"


def _number(what: str, value: int) -> str:
    return f"v->ret == {_signed(value)}" if what == "ret" else f"v->uid == {value & 0xFFFFFFFF}u"


def _signed(value: int) -> str:
    return f"(s64){value & 0xFFFFFFFFFFFFFFFF}ull"


def _word(text: bytes) -> int:
    return int.from_bytes(text.ljust(8, b"\0"), "little")


def _suffix(text: bytes) -> str:
    length = min(len(text), SUFFIX_BYTES)
    wanted = int.from_bytes(text[-length:], "little")
    return f"(f->len >= {length} && f->tail >> {8 * (8 - length)} == {wanted}ull)"


def _comm_prefix(text: bytes) -> str:
    parts = []
    for index in range(2):
        part = text[8 * index : 8 * index + 8]
        if part:
            mask = (1 << 8 * len(part)) - 1
            parts.append(f"(((u64 *)v->comm)[{index}] & {mask}ull) == {_word(part)}ull")
    return f"({' && '.join(parts) or '1'})"


def _cost(formula: Formula) -> tuple[int, str]:
    """Return the order in which parts are asked: cheap ones first."""
    kinds = {leaf.what for leaf in leaves(formula)}
    return (max((_COSTS.get(kind, 0) for kind in kinds), default=0), repr(formula))


_COSTS = {"open": 0, "ret": 1, "ret-below": 1, "uid": 1, "comm": 2, "comm-prefix": 2}
_COSTS |= dict.fromkeys(_PATHS, 3)


def without_paths(formula: Formula) -> Formula:
    """Return a weaker formula that asks for no path."""
    match formula:
        case Leaf(what) | Inverse(Leaf(what)):
            return ALWAYS if what in _PATHS else formula
        case Every(items):
            return every(map(without_paths, items))
        case Some(items):
            return some(map(without_paths, items))


def _fitting(formula: Formula, writer: _Writer) -> Formula:
    """Return a formula, maybe weaker, of what C text and masks have room for."""
    match formula:
        case Leaf(what, values) | Inverse(Leaf(what, values)):
            leaf = formula if isinstance(formula, Leaf) else formula.leaf
            masks = {"comm": writer.comms, "path": writer.paths, "path-prefix": writer.paths}.get(what)
            if masks is not None and values:
                return formula if masks.bit(leaf) is not None else ALWAYS
            return formula if len(values) <= _NUMBERS else ALWAYS
        case Every(items):
            return every(_fitting(item, writer) for item in items)
        case Some(items):
            return some(_fitting(item, writer) for item in items)


def filter_of(asked: Pushdown) -> Filter:
    """Return the filter that lets pass what rules may want, for all their event types."""
    writer = _Writer()
    fitted = {name: _fitting(formula, writer) for name, formula in sorted(asked.events.items())}
    early = {name: text for name, formula in fitted.items() if (text := without_paths(formula)) != ALWAYS}
    late = {name: formula for name, formula in fitted.items() if formula != ALWAYS and _asks_paths(formula)}
    contents = {"f_paths": _trie(writer.paths.bits), "f_comms": _comms(writer.comms.bits)}
    room = {"key": _KEY, "paths": len(contents["f_paths"]) + 1, "comms": len(contents["f_comms"]) + 1}
    return Filter(
        _switch(early, writer, paths=False), _switch(late, writer, paths=True), _DECLARATIONS % room, contents
    )


def _asks_paths(formula: Formula) -> bool:
    return any(leaf.what in _PATHS for leaf in leaves(formula))


_COMM_FACTS = """
    struct f_mask *c = f_comms.lookup((struct f_comm *)v->comm);
"""
_PATH_FACTS = """
    struct f_facts *f = f_path_facts(v);
    if (!f) return 1;
"""


def _switch(formulas: dict[str, Formula], writer: _Writer, paths: bool) -> str:
    """Return the body that asks the formula of an event's number."""
    if not formulas:
        return "return 1;"
    numbers = {name: numbers_of(name) for name in formulas}
    guard = " && ".join(f"v->nr != {number}" for found in numbers.values() for number in found)
    comm = _COMM_FACTS if any(leaf.what == "comm" for f in formulas.values() for leaf in leaves(f)) else ""
    cases = [
        "".join(f"    case {number}:\n" for number in numbers[name]) + f"        return {writer.text(formula)};\n"
        for name, formula in formulas.items()
        if numbers[name]
    ]
    body = f"    switch (v->nr) {{\n{''.join(cases)}    }}\n    return 1;"
    return f"    if ({guard or '1'}) return 1;{_PATH_FACTS if paths else ''}{comm}{body}"


def _trie(bits: dict[Leaf, int]) -> list[tuple[bytes, bytes]]:
    """Return the entries of the trie: the value of a text is right for all paths whose longest entry it is."""
    exact = {text + b"\0" for leaf in bits if leaf.what == "path" for text in _texts(leaf)}
    starts = {text for leaf in bits if leaf.what == "path-prefix" for text in _texts(leaf)}
    return [(_trie_key(text), _mask(bits, partial(_holds, text))) for text in sorted(exact | starts)]


def _holds(text: bytes, leaf: Leaf) -> bool:
    """Say whether a comparison holds for all paths whose longest entry is this."""
    values = _texts(leaf)
    if leaf.what == "path":
        return text.endswith(b"\0") and text[:-1] in values
    return text.startswith(tuple(values))


def _trie_key(text: bytes) -> bytes:
    return struct.pack("<I", 8 * len(text)) + text.ljust(_KEY, b"\0")


def _comms(bits: dict[Leaf, int]) -> list[tuple[bytes, bytes]]:
    names = {text for leaf in bits for text in _texts(leaf)}
    return [(name.ljust(_COMM, b"\0"), _mask(bits, partial(_names, name))) for name in sorted(names)]


def _names(name: bytes, leaf: Leaf) -> bool:
    return name in leaf.values


def _mask(bits: dict[Leaf, int], holds: Callable[[Leaf], bool]) -> bytes:
    value = sum(1 << bit for leaf, bit in bits.items() if holds(leaf))
    return value.to_bytes(_MOST // 8, "little")


def wanted_numbers(asked: Pushdown) -> frozenset[int]:
    """Return the numbers of the calls that rules ask for."""
    names = (name for name, formula in asked.events.items() if formula != NEVER)
    return frozenset(number for name in names for number in numbers_of(name))
