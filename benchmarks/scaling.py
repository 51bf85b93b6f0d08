"""
Scaling laws of the engine: cost of a record against the number of rules, of matches, of list items, and of bytes.

    python benchmarks/scaling.py [rules matches lists size ...] [--rounds N] [--svg FOLDER]

Records are those of the data set beside the checkout, with event names, addresses or sizes put in so that the number of
matches is known beforehand; another number makes the exit status 1. Costs are CPU time a record, medians of rounds that
alternate between all points of a law. ``--svg`` writes one plot for each law.

Limit (a miss makes the exit status 1): from 10 to 10,000 rules that name distinct events the cost grows by less than
the logarithm of their number does, which is four times.
"""

import argparse
import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import orjson

from benchmarks.engine import SHARED, Case, cloudtrail_records
from engine.evaluate import Engine
from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.cloudtrail import record as cloudtrail
from lanner.catalog import build_catalog

NAMED = 10
"""Rules whose events there are, however many others are loaded."""

RECORDS = 2_000


@dataclass
class Point:
    """
    One measured point of a law.

    Attributes:
        at: The number that is varied.
        expected: Matches in one pass.
        loading: CPU seconds that loading the rules took.
    """

    at: int
    case: Case
    expected: int
    loading: float


@dataclass(frozen=True)
class Law:
    """What is varied, in words, and its points."""

    name: str
    varied: str
    points: Callable[[], Iterator[Point]]


def point(at: int, rules: str, records: list[dict[str, Any]], expected: int) -> Point:
    """Load rules and encode records."""
    begin = time.process_time()
    result = load_rules([RuleFile("scaling", rules)], build_catalog("bench"))
    assert result.ruleset is not None, [d.message for d in result.report.errors[:5]]
    engine = Engine(result.ruleset)
    loading = time.process_time() - begin
    return Point(
        at, Case(f"{at:,}", engine, [orjson.dumps(r) for r in records], cloudtrail.to_event), expected, loading
    )


def rule(name: object, condition: str) -> str:
    """Return the text of a rule."""
    head = f"- rule: r{name}\n  desc: d\n  condition: {condition}\n"
    return f"{head}  output: x\n  priority: NOTICE\n  source: aws_cloudtrail\n"


def records() -> list[dict[str, Any]]:
    """Return records of the data set, decoded anew."""
    return [orjson.loads(text) for text in cloudtrail_records()[:RECORDS]]


def renamed(share: float, names: Callable[[int], str]) -> tuple[list[dict[str, Any]], int]:
    """Return records of which a share, spread evenly, has another event name; and how many have."""
    found, count = records(), 0
    for at, record in enumerate(found):
        if math.floor((at + 1) * share) > math.floor(at * share):
            record["eventName"] = names(count)
            count += 1
    return found, count


def by_rules() -> Iterator[Point]:
    """Vary the number of rules; one record in twenty is for one of the first ten of them."""
    found, expected = renamed(0.05, lambda at: f"Event{at % NAMED}")
    condition = "ct.name in (Event{0}, Event{0}Batch) and not ct.user in (ci-{0}, deploy) and ct.region exists"
    for count in (10, 100, 1_000, 10_000):
        yield point(count, "".join(rule(i, condition.format(i)) for i in range(count)), found, expected)


def by_matches() -> Iterator[Point]:
    """Vary the share of records that match, in thousandths."""
    for share in (0, 10, 100, 300, 1_000):
        found, expected = renamed(share / 1_000, lambda at: "Hit")
        yield point(share, rule(0, "ct.name = Hit and not ct.user = nobody and ct.region exists"), found, expected)


def by_items() -> Iterator[Point]:
    """Vary the number of items of a list, of which one record in a hundred has one."""
    found, expected = renamed(0.01, lambda at: "Item7")
    for count in (10, 1_000, 100_000, 1_000_000):
        items = ", ".join(f"Item{i}" for i in range(count))
        yield point(count, f"- list: names\n  items: [{items}]\n" + rule(0, "ct.name in (names)"), found, expected)


def by_size() -> Iterator[Point]:
    """Vary the size of a record; what is added lies in its request."""
    rules = rule(0, "ct.name = Hit and json.value[/requestParameters/roleName] exists")
    for size in (1_000, 10_000, 50_000, 250_000):
        found, expected = renamed(0.05, lambda at: "Hit")
        found = found[: max(40, RECORDS * 1_000 // size)]
        expected = sum(record["eventName"] == "Hit" for record in found)
        for record in found:
            record["requestParameters"] = {"roleName": "r", "document": [f"statement {i}" for i in range(size // 17)]}
        yield point(size, rules, found, expected)


LAWS = (
    Law("rules", "rules loaded, each with event names of its own", by_rules),
    Law("matches", "records that match, of a thousand", by_matches),
    Law("lists", "items of a list", by_items),
    Law("size", "bytes added to a record", by_size),
)


def measure(points: list[Point], rounds: int) -> None:
    """Measure all points in turn, some times. Exits on a wrong answer."""
    gc.collect()
    gc.freeze()
    for _ in range(rounds + 1):
        for each in points:
            each.case.round(max(1, 4_000 // len(each.case.records)))
    for each in points:
        del each.case.decode[0], each.case.evaluate[0]  # the first round makes what later ones find
        if each.case.matches != each.expected:
            sys.exit(f"{each.at}: wrong answer: {each.case.matches} matches, {each.expected} are right")


def table(law: Law, points: Iterable[Point]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"{law.varied:>46}  evaluate us  (spread)      of decoding  loading s"
    for each in points:
        costs, decode = each.case.evaluate, statistics.median(each.case.decode)
        spread = f"({min(costs):.2f}-{max(costs):.2f})"
        cost = statistics.median(costs)
        yield f"{each.at:46,}  {cost:11.2f}  {spread:13} {cost / decode:11.3f}  {each.loading:9.2f}"


def plot(law: Law, points: list[Point]) -> str:
    """Return a law as SVG: cost of a record over what is varied, on a logarithmic axis."""
    costs = [statistics.median(each.case.evaluate) for each in points]
    top, places = max(costs) * 1.2, [math.log10(each.at + 1) for each in points]
    spots = [
        (60 + 500 * (place - places[0]) / (places[-1] - places[0]), 220 - 190 * cost / top)
        for place, cost in zip(places, costs, strict=True)
    ]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in spots)
    marks = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4"/><text x="{x:.0f}" y="{y - 9:.0f}">{cost:.2f}</text>'
        f'<text x="{x:.0f}" y="238">{each.at:,}</text>'
        for (x, y), cost, each in zip(spots, costs, points, strict=True)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 280" font-family="sans-serif" font-size="12" '
        'text-anchor="middle" fill="#1f6f8b"><rect width="620" height="280" fill="#fff"/>'
        '<path d="M60 20V220H580" fill="none" stroke="#888"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f6f8b" stroke-width="2"/>{marks}'
        f'<text x="310" y="262">{law.varied}</text><text x="90" y="14">us a record</text></svg>\n'
    )


def main() -> None:
    """Measure laws and hold the one with a limit against it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("laws", nargs="*", metavar="LAW", help="rules, matches, lists, size; all by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--svg", type=Path, metavar="FOLDER", help="where plots are written")
    options = parser.parse_args()
    if not SHARED.is_dir():
        sys.exit("the data set (../shared/data) is not beside this checkout")
    missed = False
    for law in LAWS:
        if options.laws and law.name not in options.laws:
            continue
        points = list(law.points())
        measure(points, options.rounds)
        print(*table(law, points), "", sep="\n", flush=True)
        if options.svg:
            (options.svg / f"scaling-{law.name}.svg").write_text(plot(law, points), "utf-8")
        if law.name == "rules":
            growth = statistics.median(points[-1].case.evaluate) / statistics.median(points[0].case.evaluate)
            bound = math.log(points[-1].at) / math.log(points[0].at)
            missed = growth >= bound
            print(f"10,000 rules cost {growth:.2f} times what 10 do; limit: {bound:.0f}\n")
    sys.exit(missed)


if __name__ == "__main__":
    main()
