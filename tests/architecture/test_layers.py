"""Who may import whom; the house rules, read from the source with ``ast``."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

NO_IO = {"asyncio", "http", "logging", "multiprocessing", "os", "pathlib", "shutil", "signal", "socket", "sqlite3"}
NO_IO |= {"ssl", "subprocess", "sys", "tempfile", "urllib"}
PURE = {"urllib.parse"}
CLIENTS = {
    "aws": {"aiobotocore", "aiohttp", "botocore"},
    "cloudtrail": {"aiobotocore", "aiohttp", "boto3", "botocore"},
    "k8saudit": {"aiohttp", "botocore"},
    "kubernetes": {"kubernetes"},
    "syscalls": {"bcc"},
}
SHARED_BY_SOURCES = {"ingest.base", "ingest.canonical", "ingest.indicators", "ingest.jsonfields", "ingest.payload"}
SHARED_BY_SOURCES |= {"ingest.aws", "ingest.kubernetes", "ingest.logfile", "ingest.timestamps"}


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the full names of the modules a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            if node.module in ("engine", "ingest", "lanner", *(f"ingest.{source}" for source in CLIENTS)):
                yield from (f"{node.module}.{name.name}" for name in node.names)
            else:
                yield node.module


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules("engine"), ids=name_of)
def test_the_engine_knows_no_source_and_does_no_io(path: Path) -> None:
    allowed = (set(sys.stdlib_module_names) - NO_IO) | {"engine", "lark", "msgspec", "re2", "yaml"}
    assert [name for name in imported(path) if name.split(".")[0] not in allowed and name not in PURE] == []


@pytest.mark.parametrize("path", modules("ingest"), ids=name_of)
def test_a_source_knows_the_engine_and_itself(path: Path) -> None:
    source = path.relative_to(ROOT / "ingest").parts[0]
    own = f"ingest.{source}."
    packages = set(sys.stdlib_module_names) | {"engine", "msgspec", "isal"} | CLIENTS.get(source, set())
    foreign = [
        name
        for name in imported(path)
        if name.split(".")[0] not in packages
        and not name.startswith(own)
        and not any(name == shared or name.startswith(f"{shared}.") for shared in SHARED_BY_SOURCES)
    ]
    assert foreign == []


@pytest.mark.parametrize("path", modules("engine", "ingest", "lanner"), ids=name_of)
def test_nothing_imports_tests_or_benchmarks(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & {"tests", "benchmarks", "rules", "infra"}


def test_no_package_below_tests() -> None:
    """An __init__.py there would make ``import engine`` find the tests of the engine."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("path", modules("engine", "ingest", "lanner"), ids=name_of)
def test_no_marks_of_unfinished_work(path: Path) -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    assert [line for line in path.read_text("utf-8").splitlines() if any(mark in line for mark in marks)] == []
