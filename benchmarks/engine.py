"""
Evaluation beside decoding: what the rules cost, as a share of what ``orjson`` takes to decode the same bytes.

    python benchmarks/engine.py [--records N] [--rounds N]

For each data set: batches of 500 records are decoded with orjson (timed), made into events, and evaluated (timed) while
they are warm, as a running service does; rounds are interleaved, medians are told. The matches are compared with those
of asking every rule alone, so a fast wrong answer fails. Real records come from the data set beside the checkout.
"""

import argparse
import gc
import glob
import gzip
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import orjson  # noqa: E402

from engine.evaluate import Engine  # noqa: E402
from engine.event import Event  # noqa: E402
from engine.load import load_rules  # noqa: E402
from engine.rulefile import RuleFile  # noqa: E402
from ingest.cloudtrail import record as cloudtrail  # noqa: E402
from ingest.k8saudit import record as k8saudit  # noqa: E402
from lanner.catalog import build_catalog  # noqa: E402

SHARED = ROOT.parent / "shared" / "data"
BATCH = 500
LIMIT = 0.35


def cloudtrail_records() -> list[bytes]:
    """Return the CloudTrail records of the data set, each as its own JSON text."""
    files = sorted(glob.glob(str(SHARED / "cloudtrail/invictus/**/*.json.gz"), recursive=True))
    files += [str(SHARED / "cloudtrail/otrf/ec2_proxy_s3_exfiltration.json.gz")]
    return [orjson.dumps(r) for f in files for r in orjson.loads(gzip.decompress(Path(f).read_bytes()))["Records"]]


def k8s_metadata() -> list[bytes]:
    """Return audit events at Metadata level."""
    return gzip.decompress((SHARED / "k8saudit/perfspec-shared.jsonl.gz").read_bytes()).splitlines()


def k8s_bodies() -> list[bytes]:
    """Return audit events with request bodies."""
    files = [*sorted((SHARED / "k8saudit/falco").glob("*.json")), SHARED / "k8saudit/audit2rbac-demo.jsonl"]
    return [line for file in files for line in file.read_bytes().splitlines() if b"auditID" in line]


def engine(paths: Iterable[Path], copies: int = 0) -> Engine:
    """Load rules, maybe with many more that name events of their own."""
    files = [RuleFile(str(path), path.read_text("utf-8")) for path in paths]
    if copies:
        files.append(RuleFile("copies", _distinct_rules(copies)))
    catalog = build_catalog("bench")
    result = load_rules(files, catalog)
    assert result.ruleset is not None, [d.message for d in result.report.errors[:5]]
    return Engine(result.ruleset)


def _distinct_rules(count: int) -> str:
    """Return rules that name events of their own, as a large rule set does."""
    rule = "- rule: r{0}\n  desc: d\n  condition: ct.name = Event{0} and ct.error exists\n  output: x\n"
    return "".join(f"{rule.format(i)}  priority: NOTICE\n  source: aws_cloudtrail\n" for i in range(count))


def measure(
    title: str, engine: Engine, records: list[bytes], to_event: Callable[[Any, str], Event], total: int, rounds: int
) -> float:
    """Time decoding and evaluation of a data set; print and return the ratio of the medians."""
    batches = [records[at : at + BATCH] for at in range(0, len(records), BATCH)]
    repeat = max(1, total // len(records) // rounds)
    decode, evaluate, matches = [], [], 0
    for _ in range(rounds):
        spent = [0.0, 0.0]
        matches = 0
        for _ in range(repeat):
            for batch in batches:
                matches += _one_batch(engine, batch, to_event, spent)
        decode.append(spent[0] / repeat / len(records) * 1e6)
        evaluate.append(spent[1] / repeat / len(records) * 1e6)
    _check(engine, records, to_event, matches // repeat)
    ratio = statistics.median(evaluate) / statistics.median(decode)
    enabled = len(engine.ruleset.enabled)
    print(
        f"{title:34} {enabled:5} rules  {sum(map(len, records)) // len(records):5} B  "
        f"decode {statistics.median(decode):5.2f} us  evaluate {statistics.median(evaluate):5.2f} us "
        f"({min(evaluate):.2f}-{max(evaluate):.2f})  matches {matches // repeat / len(records):5.1%}  ratio {ratio:.2f}"
    )
    return ratio


def _one_batch(engine: Engine, batch: list[bytes], to_event: Callable[[Any, str], Event], spent: list[float]) -> int:
    begin = time.perf_counter()
    decoded = [orjson.loads(record) for record in batch]
    spent[0] += time.perf_counter() - begin
    events = [to_event(record, "") for record in decoded]
    begin = time.perf_counter()
    found = engine.evaluate_batch(events)
    spent[1] += time.perf_counter() - begin
    return len(found)


def _check(engine: Engine, records: list[bytes], to_event: Callable[[Any, str], Event], matches: int) -> None:
    events = [to_event(orjson.loads(record), "") for record in records]
    index = engine.index(events[0].source)
    assert index is not None
    alone = sum(len(index.single(rule).call(event)) for event in events for rule in index.rules)
    if alone != matches:
        sys.exit(f"wrong answer: {matches} matches, but {alone} when each rule is asked alone")


def main() -> None:
    """Run all data sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000, help="records to evaluate for each data set")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if not SHARED.is_dir():
        sys.exit("the data set (../shared/data) is not beside this checkout")
    gc.freeze()
    falco = SHARED / "falco-rules/plugins/cloudtrail/aws_cloudtrail_rules.yaml"
    aws = [falco, *sorted((ROOT / "rules/aws").glob("*.yaml"))]
    k8s = [SHARED / "falco-rules/plugins/k8saudit/k8s_audit_rules.yaml"]
    trail, size, rounds = cloudtrail_records(), options.records, options.rounds
    one = measure("CloudTrail", engine(aws), trail, cloudtrail.to_event, size, rounds)
    measure("CloudTrail, Falco's rules alone", engine(aws[:1]), trail, cloudtrail.to_event, size, rounds)
    measure("CloudTrail, 2,000 rules more", engine(aws, 2000), trail, cloudtrail.to_event, size, rounds)
    measure("Kubernetes, request bodies", engine(k8s), k8s_bodies() * 20, k8saudit.to_event, size, rounds)
    measure("Kubernetes, Metadata level", engine(k8s), k8s_metadata(), k8saudit.to_event, size, rounds)
    print(f"limit for the ratio: {LIMIT} (CloudTrail: {'met' if one <= LIMIT else 'missed'})")


if __name__ == "__main__":
    main()
