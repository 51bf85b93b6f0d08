"""
What the shipped rules detect in real records, and how loud they are in ordinary ones, beside Falco's own rules.

    python benchmarks/detection.py [--details]

Attack runs are those of ``cloudtrail/invictus/labels.jsonl``: one execution of an attack exercise each. A run counts as
named when an alert of priority notice or worse carries a technique that ``TECHNIQUES`` holds for one of the run's calls
(or its parent or child). The exercise's tool writes its name into the user agent, which a rule knows; because real
intruders leave that out, the figure without such rules is told too. Twenty-four runs consist of nothing but one
DescribeAccountAttributes call, which without the tool's name is what every console page does.

Limits (a miss makes the exit status 1): 44 of 49 runs named; at most 5 alerts per 1,000 background records at warning
or worse; 130 of 158 TrailDiscover calls alerted; at most 1 alert per 1,000 benign audit events at warning or worse.
"""

import argparse
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.evaluate import Engine  # noqa: E402
from engine.event import Event, Record  # noqa: E402
from engine.load import load_rules  # noqa: E402
from engine.priority import Priority  # noqa: E402
from engine.ruleset import Rule  # noqa: E402
from lanner import rulefiles  # noqa: E402
from lanner.catalog import build_catalog  # noqa: E402

SHARED = ROOT.parent / "shared" / "data"
TOOL_RULES = {"Known attack tool acts in the account", "Known attack tool looks around"}

VALID_ACCOUNT = {"T1078.004"}
"""What can be told of a clean-up call of the exercise: somebody's credentials do it, and they should not."""

TECHNIQUES: dict[str, set[str]] = {
    "DescribeAccountAttributes": {"T1580", "T1526"},
    "GetPasswordData": {"T1552"},
    "AssumeRole": {"T1078.004", "T1548.005"},
    "SendCommand": {"T1651"},
    "DescribeInstanceInformation": {"T1580", "T1526"},
    "GetSecretValue": {"T1555.006"},
    "GetParameters": {"T1552", "T1555.006"},
    "DescribeInstanceAttribute": {"T1552.005", "T1580"},
    "DeleteTrail": {"T1562.008"},
    "StopLogging": {"T1562.008"},
    "PutEventSelectors": {"T1562.008"},
    "PutBucketLifecycle": {"T1562.008", "T1485.001"},
    "DeleteFlowLogs": {"T1562.008"},
    "LeaveOrganization": {"T1666"},
    "RunInstances": {"T1496.001"},
    "AuthorizeSecurityGroupIngress": {"T1562.007"},
    "ModifyImageAttribute": {"T1537"},
    "ModifySnapshotAttribute": {"T1537"},
    "StartLogging": VALID_ACCOUNT,
    "DeleteBucketLifecycle": VALID_ACCOUNT,
    "RevokeSecurityGroupIngress": VALID_ACCOUNT,
}


@dataclass(frozen=True)
class Found:
    """A record of a set with the rules it matches."""

    record: Record
    label: dict[str, Any]
    rules: list[Rule]

    def worst(self) -> Priority | None:
        """Return the highest priority among its rules."""
        return min((rule.priority for rule in self.rules), default=None)


def engine(paths: Iterable[str]) -> Engine:
    """Return an engine of the rules in files or folders, as they are switched on."""
    result = load_rules(rulefiles.read(rulefiles.find(paths)), build_catalog("host"))
    if result.ruleset is None:
        raise SystemExit("\n".join(d.message for d in result.report.errors))
    return Engine(result.ruleset)


def matched(engine: Engine, source: str, records: Iterable[tuple[Record, dict[str, Any]]]) -> list[Found]:
    """Evaluate records that are given with their labels; their times do not matter to any rule."""
    return [
        Found(record, label, [match.rule for match in engine.evaluate(Event(source, 0, record, "uid"))])
        for record, label in records
    ]


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file with one a line."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        for line in stream:
            yield json.loads(line)


def labelled(folder: Path) -> list[tuple[Record, dict[str, Any]]]:
    """Return the CloudTrail records of a folder with their labels."""
    labels = {label["eventID"]: label for label in lines(folder / "labels.jsonl")}
    files = sorted(folder.rglob("*.json.gz"))
    records = [record for file in files for record in json.loads(gzip.decompress(file.read_bytes()))["Records"]]
    return [(record, labels[record["eventID"]]) for record in records]


def related(tag: str, wanted: set[str]) -> bool:
    """Tell whether a technique is wanted, or its parent or a child of it is."""
    return any(tag == want or tag.split(".")[0] == want or tag == want.split(".")[0] for want in wanted)


def runs(found: list[Found]) -> dict[str, list[Found]]:
    """Return the attack records by run."""
    by_run: dict[str, list[Found]] = {}
    for item in found:
        if item.label["label"] == "attack":
            by_run.setdefault(item.label["run"], []).append(item)
    return by_run


def named(items: list[Found], without: set[str] = frozenset()) -> bool:  # type: ignore[assignment]
    """Tell whether some alert of a run, notice or worse, names a right technique."""
    wanted = set().union(*(TECHNIQUES.get(item.record["eventName"], set()) for item in items))
    return any(
        related(tag, wanted)
        for item in items
        for rule in item.rules
        if rule.priority <= Priority.NOTICE and rule.name not in without
        for tag in rule.tags
    )


def noise(found: list[Found]) -> dict[Priority, float]:
    """Return alerts per 1,000 records at each priority and worse."""
    counts = Counter(rule.priority for item in found for rule in item.rules)
    return {at: 1000 * sum(n for p, n in counts.items() if p <= at) / len(found) for at in Priority if at >= 2}


def invictus(engine: Engine) -> list[Found]:
    """Return the records of the attack exercise, matched."""
    return matched(engine, "aws_cloudtrail", labelled(SHARED / "cloudtrail/invictus"))


def benign_audit(engine: Engine) -> list[Found]:
    """Return the audit events of a cluster that nobody attacked, matched."""
    return matched(engine, "k8s_audit", ((r, {}) for r in lines(SHARED / "k8saudit/perfspec-shared.jsonl.gz")))


def traildiscover(engine: Engine) -> list[Found]:
    """Return one call of each API that attackers use, matched."""
    return matched(engine, "aws_cloudtrail", labelled(SHARED / "cloudtrail/traildiscover"))


def streamalert(engine: Engine) -> list[Found]:
    """Return another project's test records, matched; its label names the rules it expects to fire."""
    records = ((r["event"], r) for r in lines(SHARED / "rule-tests/streamalert-cloudtrail.jsonl"))
    return matched(engine, "aws_cloudtrail", records)


def falco_audit(engine: Engine) -> list[Found]:
    """Return the audit events of Falco's own tests, matched; each file once."""
    files = sorted((SHARED / "k8saudit/falco").glob("*.json"))
    whole = [(file, json.loads(file.read_text().splitlines()[0])) for file in files if file.name != "fal_01_003.json"]
    return matched(engine, "k8s_audit", [(record, {"file": file.name}) for file, record in whole])


def report(name: str, aws: Engine, k8s: Engine, details: bool) -> bool:
    """Print the figures of a pair of packs; tell whether they keep the limits."""
    exercise = invictus(aws)
    by_run = runs(exercise)
    background = [item for item in exercise if item.label["label"] == "other"]
    calls, benign = traildiscover(aws), benign_audit(k8s)
    expected = [item for item in streamalert(aws) if item.label["rules"]]
    unexpected = [item for item in streamalert(aws) if not item.label["rules"]]
    good = sum(named(items) for items in by_run.values())
    alerted = sum(bool(item.rules) for item in calls)
    loud_aws, loud_k8s = noise(background), noise(benign)
    print(
        f"== {name}: {len(aws.ruleset.enabled)} rules for CloudTrail, {len(k8s.ruleset.enabled)} for audit events, on"
    )
    print(f"attack runs named at notice or worse      {good} of {len(by_run)}")
    print(f"  without rules that know the tool        {sum(named(i, TOOL_RULES) for i in by_run.values())}")
    print(f"TrailDiscover calls alerted               {alerted} of {len(calls)}")
    print(f"StreamAlert: expected ones alerted        {sum(bool(i.rules) for i in expected)} of {len(expected)}")
    print(f"StreamAlert: quiet ones kept quiet        {sum(not i.rules for i in unexpected)} of {len(unexpected)}")
    audit = falco_audit(k8s)
    print(f"Falco's audit events alerted              {sum(bool(i.rules) for i in audit)} of {len(audit)}")
    told = ("critical", "error", "warning", "notice", "informational")
    print(f"alerts per 1,000 at priority and worse    {' '.join(f'{word:>13}' for word in told)}")
    for what, loud in (("CloudTrail background", loud_aws), ("benign audit events", loud_k8s)):
        figures = " ".join(f"{loud[Priority.parse(word)]:13.2f}" for word in told)
        print(f"  {what:40}{figures}")
    if details:
        show_details(by_run, calls, expected, unexpected, background, benign)
    print()
    loud = loud_aws[Priority.WARNING] > 5 or loud_k8s[Priority.WARNING] > 1
    return good >= 44 and alerted >= 130 and not loud


def show_details(
    by_run: dict[str, list[Found]],
    calls: list[Found],
    expected: list[Found],
    unexpected: list[Found],
    background: list[Found],
    benign: list[Found],
) -> None:
    """Print what was missed, and what was loud and why."""
    for run, items in by_run.items():
        if not named(items):
            print(f"  run not named: {run} {sorted({item.record['eventName'] for item in items})}")
    for item in calls:
        if not item.rules:
            print(f"  call not alerted: {item.label['catalogue']} {item.label['errorCode'] or ''}")
    for item in expected:
        if not item.rules:
            print(f"  expected by StreamAlert: {item.label['description']}")
    for item in unexpected:
        for rule in item.rules:
            print(f"  not expected by StreamAlert: {rule.name}: {item.label['description']}")
    for what, found in (("background", background), ("benign", benign)):
        loud = Counter((rule.priority.label, rule.name) for item in found for rule in item.rules)
        for (priority, rule_name), count in sorted(loud.items()):
            print(f"  {what}: {count:4} {priority} {rule_name}")


def main() -> int:
    """Run the verb."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--details", action="store_true", help="also print misses and what was loud")
    options = parser.parse_args()
    if not SHARED.is_dir():
        print(f"{SHARED} is not there: nothing to measure on")
        return 0
    kept = report("Lanner", engine(["bundled/aws"]), engine(["bundled/k8s"]), options.details)
    falco = SHARED / "falco-rules/plugins"
    report("Falco", engine([str(falco / "cloudtrail")]), engine([str(falco / "k8saudit")]), False)
    print("all limits kept" if kept else "a limit is missed")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
