"""
Rule files and records that mean harm: no text becomes code, no nesting or growth ends in anything but a clean answer.

Nothing here asserts a time: what would take all combinations does not come to an end at all.
"""

import builtins
import io
import json
import keyword
import re
import subprocess
import sys
import tokenize
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import index, plan, show
from engine.alert import make_alert
from engine.condition import BadCondition, Vocabulary, check_condition
from engine.describe import describe
from engine.diagnostics import SourceText
from engine.evaluate import Engine
from engine.event import Event
from engine.explain import decider, explain
from engine.fields import Arg, Field, FieldCatalog, FieldTable, Type, table
from engine.generate import generate
from engine.load import LoadResult, load_rules
from engine.plan import Constraints, Reducer
from engine.render import render_text
from engine.rulefile import RuleFile
from engine.ruleset import RuleSet
from engine.tree import MAX_LEVELS, node_text
from tests.engine import reference, testfields

Item = dict[str, Any]


def rule(condition: str, name: str = "hostile", **more: Any) -> Item:
    always = {"desc": "d", "output": "o", "priority": "INFO", "source": testfields.SOURCE}
    return {"rule": name, "condition": condition, **always, **more}


def macro(name: str, condition: str) -> Item:
    return {"macro": name, "condition": condition}


def load(*items: Item, catalog: FieldCatalog = testfields.CATALOG) -> LoadResult:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(list(items), Dumper=dumper, sort_keys=False, width=1 << 30)
    return load_rules([RuleFile("hostile.yaml", text)], catalog)


def loaded(*items: Item, catalog: FieldCatalog = testfields.CATALOG) -> RuleSet:
    result = load(*items, catalog=catalog)
    assert result.ruleset is not None, [(d.slug, d.message) for d in result.report.errors[:5]]
    return result.ruleset


def fired(rules: RuleSet, event: Event, matching: str = "all") -> list[str]:
    engine = Engine(rules, matching)
    names = [match.rule.name for match in engine.evaluate(event)]
    assert not engine.failures
    return names


# No text becomes code

EVIL = (
    '") or __import__("os")._exit(1) #',
    "'); __import__('os')._exit(1)  #",
    "{__import__('os')._exit(1)}",
    "{e.record!r:>{1}}",
    "%s %d %(x)s %%",
    "\\",
    '\\"',
    "\\x41",
    "\nreturn found",
    "\n    return (R0,)",
    "\r\n\tpass",
    "\u2028return found",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egnp.exe",
    "\x00",
    "\x85",
    "\udcff",
    "\ud800",
    "R0",
    "C1",
    "v0",
    "e.record",
    "UNSET",
    "__class__",
    "lambda: 0",
    "None",
    "True",
    "a" * 5000,
    "# comment",
    '"""',
    "'''",
    "`id`",
    "$(id)",
    "a.b.c[0]",
    "t.s",
    "evt.num",
)

# What generated text may name: parameters, what the engine gives to it, and numbered names of its own.
_WORDS = {"e", "r", "t", "x", "record", "get", "found", "matches", "holds", "dict", "str", "type", "sum", "any", "all"}
_WORDS |= {"UNSET", "EMPTY", "TEXT", "PATH", "LOWER", "NET", "NETS", "startswith", "endswith", "issuperset"}
_WORDS |= {"isdisjoint", "set", "bool"}
_NUMBERED = re.compile(r"(?:R|C|S|f|get|v|p|m|h)[0-9]+")


def words(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NAME, tokenize.STRING, tokenize.NUMBER, tokenize.COMMENT):
            yield token.type, token.string


def assert_only_own_names(source: str) -> None:
    for kind, word in words(source):
        assert kind == tokenize.NAME or word == "1", f"{word!r} stands in generated code"
        own = word == "1" or word in _WORDS or _NUMBERED.fullmatch(word) or keyword.iskeyword(word)
        assert own, f"the name {word!r} stands in generated code"
    assert source.isascii()
    assert len(source.splitlines()) == len(source.split("\n"))


def quoted(text: str) -> str:
    """Write a text as a quoted constant of a condition; bytes that are no UTF-8 and controls as escapes."""
    data = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text).encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(b) if b in range(32, 127) and b not in b'"\\' else f"\\x{b:02x}" for b in data) + '"'


def plainly(text: str) -> str:
    return re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)


def assert_means_itself(text: str) -> None:
    constant = quoted(text)
    conditions = (
        f"t.s = {constant}",
        f"t.s in (x, {constant})",
        f"t.s2 contains {constant} and t.s startswith {constant}",
        f"t.s endswith anyof ({constant}, {constant})",
        f"t.s icontains {constant} and t.s <= val(t.s)",
        f"t.k[{constant}] = {constant}",
        f"concat(t.s, {constant}) startswith {constant}",
        f"join({constant}, (t.s, {constant})) contains {constant}",
        f"t.ls intersects ({constant})",
        f"t.s pmatch ({constant}) or t.s = {constant}",
        f"getopt(t.ls, {constant}) exists or t.s = {constant}",
    )
    plain = plainly(text)
    event = testfields.event(s=plain, s2=plain, k={plain: plain}, ls=[plain])
    for condition in conditions:
        checked = check_condition(SourceText(condition), testfields.SOURCE, testfields.CATALOG)
        function = generate([("hit", checked)])
        assert_only_own_names(function.source)
        assert function.call(event) == ("hit",), condition
        assert decider(explain(checked, event)).result is not None


@pytest.mark.parametrize("text", [text for text in EVIL if "\0" not in text], ids=lambda text: ascii(text)[:40])
def test_a_constant_is_never_code_and_means_itself(text: str) -> None:
    assert_means_itself(text)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=()), min_size=1, max_size=20))
def test_any_text_is_never_code_and_means_itself(text: str) -> None:
    assert_means_itself(text)


def test_no_constant_of_any_type_stands_in_generated_code() -> None:
    conditions = (
        "t.u = 31337 and t.i > -31337 and t.d < 31337",
        "t.b = true and t.ip = 10.31.33.7 and t.net in (10.31.33.7/8)",
        "t.port = 31337 and t.buf bcontains 31337c and t.buf = 31337",
        "t.s regex '31337.*' and t.s glob '3*1[33]7' and t.s iglob '*31337?' and t.s pmatch (/31337/*)",
        "t.anc = 31337 and t.anc[31337] exists and t.end != 31.3.3.7 and t.endport in (31337)",
        "t.endnet = 31.3.3.7/9 and t.lnet in (31.3.3.7/31)",
        "t.u = oneof (31337, 31338) and t.s startswith allof (31337, 3) and t.lu in (31337) and t.lip in (31.3.3.7)",
        "t.p = 31337 and t.q = 31337 and t.kp[31337] = 31337 and len(t.s) = 31337",
    )
    for condition in conditions:
        checked = check_condition(SourceText(condition), testfields.SOURCE, testfields.CATALOG)
        assert_only_own_names(generate([(1, checked)]).source)


YAML_SAFE = [text for text in EVIL if not re.search("[\0\ud800-\udfff]", text)]


@pytest.mark.parametrize("text", YAML_SAFE, ids=lambda text: ascii(text)[:40])
def test_names_outputs_and_tags_are_text_wherever_they_come_out(text: str) -> None:
    items = (
        {"list": text, "items": [text, "'q'", f"x{text}"]},
        macro(text, "t.s exists"),
        rule("t.s exists", text, desc=text, output=text.replace("%", "%%") + " %t.s", tags=[text]),
    )
    rules = loaded(*items)
    engine = Engine(rules)
    (match,) = engine.evaluate(testfields.event(s=text))
    alert = make_alert(match, hostname=text)
    assert alert.rule == text
    assert alert.message == f"{text.strip()} {text}" if text.strip() else alert.message
    assert json.loads(alert.json())["rule"] == text
    for line in (alert.text(), alert.json()):
        assert len(line.splitlines()) == 1
        assert not re.search("[\x00-\x1f\x7f\x9b\u202e]", line)
    index = engine.index(testfields.SOURCE)
    assert index is not None
    assert_only_own_names(show.code(rules.rules[0], index).partition("\n\n#")[0])
    assert json.loads(json.dumps(describe(rules)))["rules"][0]["info"]["name"] == text


@pytest.mark.parametrize("text", YAML_SAFE, ids=lambda text: ascii(text)[:40])
@pytest.mark.parametrize("place", ["condition", "output", "priority", "source", "macro", "item", "exception", "rule"])
def test_any_text_anywhere_gives_rules_or_findings_on_one_line_each(text: str, place: str) -> None:
    items = {
        "condition": [rule(text)],
        "output": [rule("t.s exists", output=text)],
        "priority": [rule("t.s exists", priority=text)],
        "source": [rule("t.s exists", source=text)],
        "macro": [macro("m", text), rule("m")],
        "item": [{"list": "l", "items": [text]}, rule(f"t.s in (l) or t.u in (l) or t.nope in ({text})")],
        "exception": [rule("t.s exists", exceptions=[{"name": text, "fields": text, "values": [text]}])],
        "rule": [{text: text}],
    }[place]
    result = load(*items)
    assert (result.ruleset is None) == bool(result.report.errors)
    shown = render_text(result.report.diagnostics, {})
    assert len(shown.splitlines()) >= len(result.report.diagnostics)
    if result.ruleset is not None:
        Engine(result.ruleset).evaluate(testfields.event(s=text, ls=[text]))


# Nesting

DEEP = 10_000


def nest(times: int, before: str, after: str, inside: str = "t.s = a") -> str:
    return before * times + inside + after * times


def chained(count: int, body: Callable[[int], str]) -> list[Item]:
    return [macro("m0", "t.s = a"), *[macro(f"m{i}", body(i)) for i in range(1, count)], rule(f"m{count - 1}")]


def late(count: int, body: Callable[[int], str]) -> list[Item]:
    """Give macros that each use the next one: they are defined, then defined anew."""
    first = [macro(f"m{i}", "t.s = a") for i in range(count)]
    return [*first, *[macro(f"m{i}", body(i)) for i in range(count - 1)], rule("m0")]


def listed(count: int) -> list[Item]:
    lists: list[Item] = [{"list": f"l{i}", "items": [f"l{i - 1}"]} for i in range(1, count)]
    return [{"list": "l0", "items": ["a"]}, *lists, rule(f"t.s in (l{count - 1})")]


NESTED: dict[str, tuple[list[Item], set[str]]] = {
    "parentheses": ([rule(nest(DEEP, "(", ")"))], {"too-deep"}),
    "parentheses not closed": ([rule("(" * DEEP)], {"too-deep"}),
    "parentheses within bounds": ([rule(nest(200, "(", ")"))], set()),
    "nots": ([rule("not " * DEEP + "t.s = a")], set()),
    "nots with parentheses": ([rule(nest(DEEP, "not (", ")"))], {"too-deep"}),
    "nots within bounds": ([rule(nest(150, "not (", ")"))], set()),
    "all operators": ([rule(nest(DEEP, "t.s = b or t.u = 1 and not (", ")"))], {"too-deep"}),
    "all operators, fewer parentheses": ([rule(nest(199, "t.s = b or t.u = 1 and not (", ")"))], {"too-deep"}),
    "all operators within bounds": ([rule(nest(65, "t.s = b or t.u = 1 and not (", ")"))], set()),
    "transformers": ([rule(f"{nest(DEEP, 'tolower(', ')', 't.s')} = a")], {"too-deep"}),
    "transformers within bounds": ([rule(f"{nest(190, 'tolower(', ')', 't.s')} = a")], set()),
    "the same transformers twice": (
        [rule(f"{nest(190, 'tolower(', ')', 't.s')} = b or {nest(190, 'tolower(', ')', 't.s')} = a")],
        set(),
    ),
    "transformers on both sides": (
        [rule(f"{nest(190, 'tolower(', ')', 't.s')} = {nest(190, 'toupper(', ')', 't.s')} or t.s = a")],
        set(),
    ),
    "joined lists": ([rule(f"{nest(60, 'join(t.s2,(', ',t.s))', 't.s')} = a or t.s = a")], set()),
    "options": ([rule(f"{nest(90, 'getopt((', ',t.s),t.s)[a]', 't.s')} = a or t.s = a")], set()),
    "transformers below operators": (
        [rule(nest(45, "t.s = b or t.u = 1 and not (", ")", f"{nest(50, 'tolower(', ')', 't.s')} != a"))],
        set(),
    ),
    "macros that stand for macros": (chained(DEEP, lambda i: f"m{i - 1}"), {"too-large"}),
    "macros within bounds": (chained(MAX_LEVELS - 2, lambda i: f"m{i - 1}"), set()),
    "negated macros": (chained(DEEP, lambda i: f"not m{i - 1}"), {"too-large"}),
    "negated macros within bounds": (chained(91, lambda i: f"not m{i - 1}"), set()),
    "macros of all operators": (chained(64, lambda i: f"t.s2 = b or t.u = 1 and m{i - 1}"), set()),
    "macros defined before those they use": (late(DEEP // 5, lambda i: f"not (t.s2 = b or m{i + 1})"), {"too-large"}),
    "deep macros in deep macros": (late(40, lambda i: nest(40, "not (t.s = b or ", ")", f"m{i + 1}")), {"too-large"}),
    "macros in a ring": ([*late(50, lambda i: f"m{i + 1}"), macro("m49", "m0")], {"macro-loop"}),
    "a macro of itself": ([macro("m", "t.s = a"), macro("m", "m or t.s = b"), rule("m")], {"macro-loop"}),
    "lists of lists": (listed(DEEP), set()),
    "lists in a ring": ([*listed(50), {"list": "l0", "items": ["l49"]}], {"list-loop"}),
    "a list of itself": ([{"list": "l", "items": ["a", "l"]}, rule("t.s in (l)")], {"list-loop"}),
    "a condition that is too long": ([rule(" or ".join(f"t.s2 = a{i}" for i in range(60_000)))], {"too-large"}),
    "terms of or": ([rule(" or ".join([f"t.s = a{i}" for i in range(5000)] + ["t.s = a"]))], set()),
    "terms of and": ([rule(" and ".join([f"t.s != b{i}" for i in range(5000)] + ["t.s = a"]))], set()),
    "values of anyof": ([rule(f"t.s contains anyof ({','.join(f'b{i}' for i in range(5000))},a)")], set()),
    "values of oneof": ([rule(f"t.s = oneof ({','.join(f'b{i}' for i in range(5000))},a)")], set()),
    "values of in": ([rule(f"t.s in ({','.join(f'b{i}' for i in range(100_000))},a)")], set()),
    "values of pmatch": ([rule(f"t.s pmatch ({','.join(f'b{i}*' for i in range(5000))},a)")], set()),
    "arguments": ([rule(f"concat({','.join(['t.s'] * 900)}) startswith a")], set()),
    "too many arguments": ([rule(f"concat({','.join(['t.s'] * 1100)}) = a")], {"transformer-arguments"}),
    "items": ([rule(f'join("",({",".join(["t.s"] * 2000)})) startswith a')], set()),
    "a huge constant": ([rule(f't.s != "{"x" * 5_000_000}"')], set()),
    "a huge constant of escapes": ([rule(f't.s != "{chr(92) * 200_000}"')], set()),
    "a quote that is not closed": ([rule('t.s = "' + '\\"' * 100_000)], {"open-quote"}),
    "a huge word": ([rule(f"t.s != {'x' * 5_000_000}")], set()),
    "a huge number": ([rule(f"t.u = {'9' * 5_000_000}")], {"bad-literal"}),
    "a huge hexadecimal number": ([rule(f"t.u < 0x{'f' * 5_000_000}")], {"bad-literal"}),
    "a huge network": ([rule(f"t.net = {'1' * 1_000_000}/8")], {"bad-literal"}),
    "a huge field": ([rule(f"t.{'x' * 1_000_000} = a")], {"unknown-field"}),
    "a field of many parts": ([rule(f"t{'.x' * 100_000} = a")], {"unknown-field"}),
    "a dotted field of many parts": ([rule(f"t.k{'.x' * 200_000} = a or t.s = a")], {"unknown-field"}),
    "a huge index": ([rule(f"t.lx[{'9' * 1_000_000}] exists")], {"argument-not-index"}),
    "a huge argument": ([rule(f"t.k[{'x' * 1_000_000}] = a or t.s = a")], set()),
    "a huge macro name": ([rule("x" * 1_000_000)], {"undefined-macro"}),
    "a huge glob": ([rule(f"t.s glob '{'*[a' * 20_000}' or t.s = a")], set()),
    "a huge regex": ([rule(f"t.s regex '{'(a|b)*' * 10_000}'")], set()),
    "a regex that grows": ([rule("t.s regex '((a{100}){100}){100}'")], {"bad-regex"}),
    "unknown macros": ([rule(" or ".join(f"n{i}" for i in range(3000))), macro("m", "t.s = a")], {"undefined-macro"}),
    "unknown fields": ([rule(" or ".join(f"t.n{i} = a" for i in range(3000)))], {"unknown-field"}),
    "calls in an output": ([rule("t.s = a", output="%tolower(" * 5000)], {"bad-output"}),
    "deep calls in an output": ([rule("t.s = a", output="%" + nest(DEEP, "tolower(", ")", "t.s"))], {"bad-output"}),
    "calls within bounds": ([rule("t.s = a", output="%" + nest(190, "tolower(", ")", "t.s"))], set()),
    "a huge name in an output": ([rule("t.s = a", output=f"%a.{'b' * 500_000}")], {"bad-output"}),
    "a huge text after a name": ([rule("t.s = a", output=f"%t.s{'b' * 500_000}")], set()),
    "a name of many parts in an output": ([rule("t.s = a", output=f"%t{'.y' * 100_000}")], {"bad-output"}),
    "wide output": ([rule("t.s = a", output="%4000t.s" * 1000)], {"bad-output"}),
    "wider output": ([rule("t.s = a", output="%00000000009999999999t.s")], {"bad-output"}),
    "brackets in an output": ([rule("t.s = a", output='%t.s["' * 5000)], set()),
}


def everything(rules: RuleSet) -> None:
    """Do with the last rule all that can be done with a rule."""
    engine = Engine(rules)
    event = testfields.event(s="a", s2="a", ls=["a"])
    one = rules.rules[-1]
    want = reference.evaluate(one.tree, event, testfields.TABLE)
    assert [match.rule.name for match in engine.evaluate(event)] == ["hostile"] * want
    engine.evaluate(testfields.event())
    assert not engine.failures
    index = engine.index(testfields.SOURCE)
    assert index is not None
    assert_shallow(show.code(one, index))
    for text in (node_text(one.tree), show.tree(one), show.plan(one, index), json.dumps(describe(rules))):
        assert text
    told = explain(one.condition, event)
    assert told.result is want
    assert decider(told).text
    for name in rules.catalog.tables[one.source].discriminators:
        assert not want or "a" in Constraints(rules.catalog.tables[one.source]).allowed(one.condition, name)
    assert Reducer(rules.catalog.tables[one.source], {}).reduce(one.condition)
    for match in engine.evaluate(event):
        assert make_alert(match, "h").json()


def assert_shallow(code: str) -> None:
    """The compiler of Python gives up at 200 open parentheses."""
    depth = deepest = 0
    for c in code.partition("\n\n#")[0]:
        depth += (c == "(") - (c == ")")
        deepest = max(deepest, depth)
    assert deepest < 150


def deeper(frames: int, call: Callable[[], None]) -> None:
    """Call with some more frames on the stack, as inside a server or a test runner."""
    if frames:
        deeper(frames - 1, call)
    else:
        call()


@pytest.mark.parametrize("case", NESTED)
def test_what_is_deep_or_huge_ends_in_one_clean_answer(case: str) -> None:
    items, slugs = NESTED[case]
    results: list[LoadResult] = []
    deeper(100, lambda: results.append(load(*items)))
    report = results[0].report
    assert {found.slug for found in report.errors} == slugs
    assert len(report.errors) in ((0,), (1,), (3000,))[bool(slugs) + case.startswith("unknown")]
    assert all(len(found.message) < 600 for found in report.diagnostics)
    if results[0].ruleset is not None:
        rules = results[0].ruleset
        deeper(100, lambda: everything(rules))


# Growth


def bomb(kind: str, size: int) -> list[Item]:
    if kind == "macros":
        return [*chained(size, lambda i: f"m{i - 1} or m{i - 1}"), rule(f"m{size - 1}")]
    lists: list[Item] = [{"list": f"l{i}", "items": [f"l{i - 1}"] * 10} for i in range(1, size)]
    lists = [{"list": "l0", "items": ["a"] * 10}, *lists]
    if kind == "lists":
        return [*lists, rule(f"t.s in (l{size - 1})")]
    return [*lists, rule(f"t.s in ({','.join(['l3'] * 1000)})")]


@pytest.mark.parametrize(("kind", "size"), [("macros", 100), ("lists", 20), ("lists named often", 4)])
def test_a_billion_laughs_is_one_error_in_little_memory(kind: str, size: int) -> None:
    items = bomb(kind, size)
    tracemalloc.start()
    try:
        result = load(*items)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [found.slug for found in result.report.errors] == ["too-large"]
    assert peak < 200_000_000


def test_macros_that_are_used_twice_each_are_written_out_once() -> None:
    rules = loaded(*chained(14, lambda i: f"m{i - 1} and t.u = {i} or m{i - 1} and t.u2 = {i}"))
    engine = Engine(rules)
    index = engine.index(testfields.SOURCE)
    assert index is not None
    assert len(show.code(rules.rules[0], index)) < 2_000_000
    assert fired(rules, testfields.event(s="b", u=1)) == []
    for event in (testfields.event(s="a", u=5), testfields.event(s="a"), testfields.event(s="a", u2=1)):
        want = reference.evaluate(rules.rules[0].tree, event, testfields.TABLE)
        assert (fired(rules, event) == ["hostile"]) == want


def test_many_macros_get_functions_of_their_own_and_mean_the_same() -> None:
    items = [macro("m0", "t.s = a"), macro("m1", "t.s2 = b")]
    items += [macro(f"m{i}", f"(m{i - 1} and t.u != {i}) or (not m{i - 2} and t.u2 = {i})") for i in range(2, 17)]
    rules = loaded(*items, rule("m16"))
    index = Engine(rules).index(testfields.SOURCE)
    assert index is not None
    assert "def h" in show.code(rules.rules[0], index)
    for u in range(20):
        for more in ({}, {"s": "a"}, {"s2": "b"}, {"s": "a", "s2": "b"}):
            event = testfields.event(u=u, u2=(u * 7) % 20, **more)
            want = reference.evaluate(rules.rules[0].tree, event, testfields.TABLE)
            assert (fired(rules, event) == ["hostile"]) == want


def test_ten_thousand_rules_load_in_little_memory() -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_DATA, (500_000_000, 500_000_000))
from engine.evaluate import Engine
from engine.load import load_rules
from engine.rulefile import RuleFile
from tests.engine import testfields
one = '- {{rule: r{0}, desc: d, output: "%t.s", priority: INFO, source: test, condition: "t.s = a{0} and t.u > {0}"}}'
rules = load_rules([RuleFile("many.yaml", "\\n".join(map(one.format, range(10_000))))], testfields.CATALOG).ruleset
engine = Engine(rules)
print([match.rule.name for match in engine.evaluate(testfields.event(s="a77", u=100))])
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert (done.stdout, done.stderr) == ("['r77']\n", "")


# Patterns


@pytest.mark.parametrize(
    "condition",
    [
        "t.s glob '{stars}b'",
        "t.s iglob '{stars}[bc]'",
        "t.s glob val(t.s2)",
        "t.s iglob val(t.s2)",
        "t.s pmatch ('/x/{stars}b', '/x/{stars}c')",
        "t.s regex '(a|a)*(a|aa)*(.*)*b'",
        "t.s regex anyof ('(a*)*b', '((a?){{20}}){{20}}b')",
        "t.ls intersects ('b') or t.s glob '*a*?*a*?*a*?*a*?*a*?*a*?*a*?b'",
    ],
)
def test_no_pattern_makes_an_event_cost_all_combinations(condition: str) -> None:
    rules = loaded(rule(condition.format(stars="*a" * 30)))
    for text in ("a" * 3000, "/x/" + "a" * 3000, "aA" * 1500):
        assert fired(rules, testfields.event(s=text, s2="*a" * 30 + "b", ls=[text])) == []


# Fields that fail


def _raises(_event: Event, _arg: Any = None) -> Any:
    raise RuntimeError("a defect")


FAILING = FieldCatalog(
    {
        testfields.SOURCE: table(
            testfields.SOURCE,
            testfields.COMMON,
            testfields.FIELDS,
            [
                Field("t.bad", Type.STRING, "Raises.", _raises),
                Field("t.badkey", Type.STRING, "Raises.", _raises, arg=Arg.KEY),
                Field("t.unhashable", Type.STRING, "Not a text.", lambda _event: []),
            ],
            discriminators=("t.s", "t.s2"),
        )
    }
)


@pytest.mark.parametrize("bad", ["t.bad = x", "t.badkey[a] exists", "tolower(t.bad) = x", "t.unhashable in (a)"])
@pytest.mark.parametrize(("matching", "want"), [("all", ["before", "after"]), ("first", ["before"])])
def test_a_field_that_raises_costs_only_its_rule(bad: str, matching: str, want: list[str]) -> None:
    items = (rule("t.u = 2", "other"), rule("t.s = a", "before"), rule(bad, "bad"), rule("t.u = 1", "after"))
    engine = Engine(loaded(*items, catalog=FAILING), matching)
    events = [testfields.event(s="a", u=1), testfields.event(u=2), testfields.event(s="a", u=1)]
    found = [(events.index(match.event), match.rule.name) for match in engine.evaluate_batch(events)]
    middle = [(1, "other")]
    assert found == [(0, name) for name in want] + middle + [(2, name) for name in want]
    assert set(engine.failures) <= {"bad"}
    assert engine.failures["bad"] == (3 if matching == "all" else engine.failures["bad"])


@pytest.mark.parametrize("matching", ["all", "first"])
def test_a_discriminator_that_raises_costs_nothing_else(matching: str) -> None:
    rows = [Field("t.kind", Type.STRING, "Raises.", _raises)]
    catalog = FieldCatalog(
        {testfields.SOURCE: table(testfields.SOURCE, testfields.FIELDS, rows, discriminators=("t.kind", "t.s"))}
    )
    rules = loaded(rule("t.kind = a", "bad"), rule("t.s = a", "good"), catalog=catalog)
    engine = Engine(rules, matching)
    assert [match.rule.name for match in engine.evaluate(testfields.event(s="a"))] == ["good"]
    assert engine.failures == {"bad": 1}


# Records of odd shapes

_PLACES = {"odd.name": ("name",), "odd.deep": ("who", "name"), "odd.deeper": ("who", "of", "name"), "odd.who": ("who",)}
ODD: FieldTable = table(
    "odd",
    [Field(name, Type.STRING, "A text.", path=path) for name, path in _PLACES.items()],
    [
        Field(
            "odd.at",
            Type.STRING,
            "The text at a path.",
            lambda event, key: None,
            path_for=lambda key: tuple(key.split("|")),
            arg=Arg.KEY,
            arg_required=True,
        )
    ],
    discriminators=("odd.name", "odd.deep"),
)
INNER = replace(ODD, source="nested", discriminators=("odd.deep", "odd.deeper", "odd.name"))
ODD_CATALOG = FieldCatalog({"odd": ODD, "nested": INNER})

_json = st.recursive(
    st.none() | st.booleans() | st.sampled_from((0, 1, 1.0, -0.0, 1.5, "", "a", "b", "1", "true", "é", 2**63)),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("name", "of", "a")), inner, max_size=2)
    ),
    max_leaves=5,
)
_records = st.dictionaries(st.sampled_from(("name", "who", "of", "who|of")), _json, max_size=4)
_ODD_RULES = (
    "odd.name = a",
    "odd.name in (a, b, 1) and odd.deep != a",
    "odd.deep = true or odd.deeper exists",
    "odd.name startswith a or odd.deep contains '1'",
    "not odd.name exists and odd.who exists",
    "odd.deeper = val(odd.deep) or odd.name = ''",
    "odd.name != a and not odd.deep in (a, b)",
    "odd.who contains name and odd.deeper glob '*'",
)


@settings(max_examples=500)
@given(
    st.lists(st.tuples(_records, st.sampled_from(("odd", "nested"))), min_size=1, max_size=5),
    st.sampled_from(("all", "first")),
)
def test_records_of_any_shape_get_the_answer_of_the_reference(
    records: list[tuple[dict[str, Any], str]], matching: str
) -> None:
    rules = _odd_rules()
    engine = Engine(rules, matching)
    events = [Event(source, 0, record, "") for record, source in records]
    want = []
    for number, event in enumerate(events):
        own = [one for one in rules.rules if one.source == event.source]
        hits = [one.name for one in own if reference.evaluate(one.tree, event, ODD)]
        want += [(number, name) for name in (hits[:1] if matching == "first" else hits)]
    found = [
        (next(i for i, e in enumerate(events) if e is match.event), match.rule.name)
        for match in engine.evaluate_batch(events)
    ]
    assert found == want
    assert not engine.failures


_LOADED: list[RuleSet] = []


def _odd_rules() -> RuleSet:
    if not _LOADED:
        items = [
            rule(condition, f"{source} {at}", source=source)
            for source in ODD_CATALOG.tables
            for at, condition in enumerate(_ODD_RULES)
        ]
        _LOADED.append(loaded(*items, catalog=ODD_CATALOG))
    return _LOADED[0]


def test_a_batch_may_begin_with_a_source_that_no_rule_is_for() -> None:
    rules = loaded(rule("odd.name = a", source="odd"), catalog=ODD_CATALOG)
    batch = [Event(source, 0, {"name": "a"}, "") for source in ("nested", "odd", "nested", "other", "odd")]
    assert [match.event for match in Engine(rules).evaluate_batch(batch)] == [batch[1], batch[4]]
    assert Engine(rules).evaluate_batch([]) == []


def _at(*keys: str) -> str:
    return f"odd.at['{'|'.join(keys)}']"


def test_paths_that_look_alike_when_joined_are_not_mixed_up() -> None:
    pairs = (
        (_at("a/b", "c"), _at("a", "b", "c"), {"a/b": {"c": "x"}, "a": {"b": {"c": "y"}}}),
        (_at("odd.name", "c"), "odd.name", {"odd.name": {"c": "x"}, "name": "y"}),
        (_at("a", "b"), _at("a.b"), {"a": {"b": "x"}, "a.b": "y"}),
    )
    for one, two, record in pairs:
        condition = f"{one} = x and {two} = y and {one} != y and {two} != x"
        rules = loaded(rule(condition, source="odd"), catalog=ODD_CATALOG)
        assert fired(rules, Event("odd", 0, record, "")) == ["hostile"]


def test_a_path_of_many_keys_is_read_without_deep_code() -> None:
    record: Any = "x"
    for _ in range(300):
        record = {"k": record}
    path = _at(*["k"] * 300)
    rules = loaded(
        rule(f"{path} = x and not {path} = y and {_at(*['k'] * 8)} exists", source="odd"), catalog=ODD_CATALOG
    )
    assert fired(rules, Event("odd", 0, record, "")) == ["hostile"]
    assert fired(rules, Event("odd", 0, {"k": {"k": 5}}, "")) == []


# Values that attackers choose


def test_ever_new_values_make_nothing_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_VALUES", 10)
    monkeypatch.setattr(plan, "MAX_ANSWERS", 5)
    monkeypatch.setattr(index, "MAX_FUNCTIONS", 7)
    monkeypatch.setattr(index, "MAX_REMEMBERED", 40)
    words_ = [f"w{i}" for i in range(8)]
    conditions = [*(f"t.s contains {word}" for word in words_), "t.s = w0 and t.s2 = w1", "not t.s startswith w3"]
    rules = loaded(*[rule(condition, str(at)) for at, condition in enumerate(conditions)])
    for matching in ("all", "first"):
        engine = Engine(rules, matching)
        for number in range(256):
            text = " ".join(word for at, word in enumerate(words_) if number >> at & 1)
            event = testfields.event(s=text, s2=f"w{number % 3}")
            want = [one.name for one in rules.rules if reference.evaluate(one.tree, event, testfields.TABLE)]
            found = [match.rule.name for match in engine.evaluate(event)]
            assert found == (want[:1] if matching == "first" else want)
        source = engine.index(testfields.SOURCE)
        assert source is not None
        assert len(source._functions) <= 7
        assert 0 < remembered(source._root) <= 41


def remembered(branch: object) -> int:
    """Count the values and branches below a branch of an index."""
    if not isinstance(branch, index.Branch):
        return 0
    return len(branch) + len(branch._next) + sum(map(remembered, branch._next.values()))


def test_huge_values_are_not_remembered() -> None:
    classes = plan.classes([loaded(rule("t.s = a")).rules[0].condition], testfields.TABLE)["t.s"]
    huge = "x" * 100_000
    assert classes[huge].symbol == plan.OTHER
    assert huge not in classes
    assert classes["x"].symbol == plan.OTHER
    assert "x" in classes


# Conditions from strangers, as `lanner eval` takes them


@pytest.mark.parametrize(
    "condition",
    [nest(DEEP, "(", ")"), nest(199, "t.s = b or t.u = 1 and not (", ")"), "m", "t.s in (l)", "(", "\ud800"],
)
def test_a_condition_on_its_own_is_refused_cleanly(condition: str) -> None:
    loops = Vocabulary({"a": "t.s = a", "m": " or ".join(["a"] * 60_000)}, {"l": ["l"]})
    with pytest.raises(BadCondition):
        check_condition(SourceText(condition), testfields.SOURCE, testfields.CATALOG, loops)


def test_the_words_of_generated_code_are_not_more_than_needed() -> None:
    assert not _WORDS & {"exec", "eval", "open", "__import__", "getattr", "setattr", "globals", "compile"}
    assert {word for word in _WORDS if hasattr(builtins, word)} == {
        *("dict", "str", "type", "sum", "any", "all", "set", "bool"),
    }


def test_a_reload_starts_afresh() -> None:
    rules = loaded(rule("t.s = a"))
    again = replace(rules, rules=rules.rules)
    assert fired(rules, testfields.event(s="a")) == fired(again, testfields.event(s="a")) == ["hostile"]
