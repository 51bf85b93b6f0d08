"""What the wheel holds: three packages, the shipped rules and the samples, and a command that works with it alone."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_top_level_names_are_the_three_packages(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"engine", "ingest", "lanner"}


def test_rules_samples_grammar_and_types_are_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"lanner/data/{path.relative_to(ROOT)}" for path in (ROOT / "rules").rglob("*.yaml")}
    samples = {str(path.relative_to(ROOT)) for path in (ROOT / "lanner" / "data" / "samples").rglob("*.json")}
    assert shipped
    assert samples
    assert shipped | samples | {"engine/grammar.lark"} <= names
    assert {f"{package}/py.typed" for package in ("engine", "ingest", "lanner")} <= names


def test_only_what_belongs_is_in_it(wheel: Path) -> None:
    endings = {Path(name).suffix for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert endings <= {".py", ".typed", ".lark", ".yaml", ".json", ".c", ".h"}


def test_the_command_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from lanner.cli import main; main()"
    unpacked = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(unpacked)
    samples = unpacked / "lanner" / "data" / "samples"
    done = subprocess.run(
        [sys.executable, "-c", code, str(unpacked), "scan", str(samples)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Critical" in done.stdout
    listed = subprocess.run(
        [sys.executable, "-c", code, str(unpacked), "rules", "check", "bundled"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert listed.returncode == 0
    assert str(unpacked / "lanner" / "data" / "rules") in listed.stdout
