"""
Evaluation beside decoding: what the rules cost, as a share of what ``orjson`` takes to decode the same bytes.

    python benchmarks/engine.py [--records N] [--rounds N]

For each data set: batches of 500 records are decoded with orjson (timed), made into events, and evaluated (timed) while
they are warm, as a running service does; rounds are interleaved. Medians of CPU time are told, and beside their ratio
that of the best rounds, since neighbours on a busy machine take the caches, which evaluation feels more than decoding.
The matches are compared with those of asking every rule alone, so a fast wrong answer fails. Real records come from the
data set beside the checkout.
"""

import argparse
import ctypes
import gc
import glob
import gzip
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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
M_TRIM_THRESHOLD = -1  # of glibc's mallopt
LIMIT = 0.35
GROWTH_LIMIT = 1.5


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


@dataclass
class Case:
    """
    A data set with rules.

    Attributes:
        decode, evaluate: CPU time a record, microseconds, one figure a round.
        matches: In one pass over the records.
    """

    title: str
    engine: Engine
    records: list[bytes]
    to_event: Callable[[Any, str], Event]
    decode: list[float] = field(default_factory=list)
    evaluate: list[float] = field(default_factory=list)
    matches: int = 0

    def round(self, passes: int) -> None:
        """Decode and evaluate all records some times."""
        spent = [0.0, 0.0]
        for _ in range(passes):
            self.matches = 0
            for at in range(0, len(self.records), BATCH):
                self.matches += self._batch(self.records[at : at + BATCH], spent)
        self.decode.append(spent[0] / passes / len(self.records) * 1e6)
        self.evaluate.append(spent[1] / passes / len(self.records) * 1e6)

    def _batch(self, batch: list[bytes], spent: list[float]) -> int:
        begin = time.process_time()
        decoded = [orjson.loads(record) for record in batch]
        spent[0] += time.process_time() - begin
        events = [self.to_event(record, "") for record in decoded]
        begin = time.process_time()
        found = self.engine.evaluate_batch(events)
        spent[1] += time.process_time() - begin
        return len(found)

    def report(self) -> None:
        """Print the medians and their ratio."""
        decode, evaluate = statistics.median(self.decode), statistics.median(self.evaluate)
        size, enabled = sum(map(len, self.records)) // len(self.records), len(self.engine.ruleset.enabled)
        print(
            f"{self.title:34} {enabled:5} rules  {size:5} B  decode {decode:5.2f} us  evaluate {evaluate:5.2f} us "
            f"({min(self.evaluate):.2f}-{max(self.evaluate):.2f})  matches {self.matches / len(self.records):5.1%}  "
            f"ratio {evaluate / decode:.2f}, of the bests {min(self.evaluate) / min(self.decode):.2f}"
            f"{' (over the limit)' if evaluate / decode > LIMIT else ''}"
        )


def check(case: Case) -> None:
    """Exit when the matches are not those of asking each rule alone."""
    events = [case.to_event(orjson.loads(record), "") for record in case.records]
    index = case.engine.index(events[0].source)
    assert index is not None
    alone = sum(len(index.single(rule).call(event)) for event in events for rule in index.rules)
    if alone != case.matches:
        sys.exit(f"{case.title}: wrong answer: {case.matches} matches, but {alone} when each rule is asked alone")


def keep_memory(cases: list[Case]) -> list[Any]:
    """
    Have freed memory kept, so that no batch is charged for faulting it in anew: decoding looks its fastest.

    Returns:
        What must stay alive for that: some records in each of Python's arenas.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
    return [[orjson.loads(record) for record in case.records][::10] for case in cases]


def main() -> None:
    """Run all data sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000, help="records to evaluate for each data set")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if not SHARED.is_dir():
        sys.exit("the data set (../shared/data) is not beside this checkout")
    falco = SHARED / "falco-rules/plugins/cloudtrail/aws_cloudtrail_rules.yaml"
    aws = [falco, *sorted((ROOT / "rules/aws").glob("*.yaml"))]
    k8s = [SHARED / "falco-rules/plugins/k8saudit/k8s_audit_rules.yaml"]
    trail = cloudtrail_records()
    cases = [
        Case("CloudTrail", engine(aws), trail, cloudtrail.to_event),
        Case("CloudTrail, 2,000 rules more", engine(aws, 2000), trail, cloudtrail.to_event),
        Case("CloudTrail, Falco's rules alone", engine(aws[:1]), trail, cloudtrail.to_event),
        Case("Kubernetes, request bodies", engine(k8s), k8s_bodies() * 20, k8saudit.to_event),
        Case("Kubernetes, Metadata level", engine(k8s), k8s_metadata(), k8saudit.to_event),
    ]
    kept = keep_memory(cases)
    gc.collect()
    gc.freeze()
    for _ in range(options.rounds):
        for case in cases:
            case.round(max(1, options.records // len(case.records) // options.rounds))
    for case in cases:
        check(case)
        case.report()
    del kept
    growth = statistics.median(cases[1].evaluate) / statistics.median(cases[0].evaluate)
    print(f"limits: ratio {LIMIT}; 2,000 rules more may cost {GROWTH_LIMIT} times as much, they cost {growth:.2f}")


if __name__ == "__main__":
    main()
