"""Rule files: finding the shipped ones and the user's, in order, and loading them into a rule set."""

import logging
from collections.abc import Iterable
from pathlib import Path

from engine.fields import FieldCatalog
from engine.load import LoadOptions, load_rules
from engine.rulefile import RuleFile
from engine.ruleset import RuleSet
from lanner.errors import Exit, RulesError, UserError

BUNDLED = "bundled"
"""Stands for the shipped rules where a path is expected; ``bundled/aws`` for one folder of them."""

TESTS = "tests"
"""Name of the folders beside rules that hold tests of rules, not rules."""

_log = logging.getLogger("lanner")

OPTIONAL = ("/etc/falco/falco_rules.local.yaml", "/etc/falco/rules.d")
"""Places for one's own rules that Falco's configuration lists as installed, whether something is there or not."""

_SUFFIXES = (".yaml", ".yml")
_HERE = Path(__file__).resolve().parent


class RuleFileError(UserError):
    """A rule file cannot be read."""

    status = Exit.RULES


def bundled() -> Path:
    """Return the folder of the shipped rules: inside the wheel, or that of the checkout this runs from."""
    inside = _HERE / "data" / "rules"
    return inside if inside.is_dir() else _HERE.parent / "rules"


def find(paths: Iterable[str]) -> list[Path]:
    """
    Return the rule files that paths stand for, in order of loading.

    A folder stands for the ``.yaml`` and ``.yml`` files in it, sorted by name, as in Falco; of the shipped rules
    (``bundled``) those in its folders too. No path at all stands for the shipped rules. The places of OPTIONAL may be
    empty or missing when there are other rules.

    Raises:
        RuleFileError: A path is not there, or holds no rule file.
    """
    given = list(paths) or [BUNDLED]
    wanted = [path for path in given if path.rstrip("/") not in OPTIONAL or _is_there(Path(path))]
    for path in given if wanted else ():
        if path not in wanted:
            _log.info("%s: no rules there", path)
    return [file for path in wanted or given for file in _expand(path)]


def _is_there(path: Path) -> bool:
    return any(file.suffix in _SUFFIXES for file in path.iterdir()) if path.is_dir() else path.exists()


def _expand(path: str) -> list[Path]:
    if not path:
        raise RuleFileError("an empty path is no rule file; is a variable not set?")
    if path.rstrip("/") == BUNDLED or path.startswith(f"{BUNDLED}/"):
        folder = bundled() / path.removeprefix(BUNDLED).strip("/")
        if not folder.exists():
            names = ", ".join(f"{BUNDLED}/{inside.name}" for inside in sorted(bundled().iterdir()) if inside.is_dir())
            raise RuleFileError(f"{path}: no such shipped rules; there are {names}")
        inside = (file for file in folder.rglob("*") if TESTS not in file.relative_to(folder).parts)
        found = sorted(file for file in inside if file.suffix in _SUFFIXES)
    elif (folder := Path(path)).is_dir():
        found = sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    elif folder.exists():
        return [folder]
    else:
        raise RuleFileError(f"{path}: no such rule file or folder")
    if not found:
        raise RuleFileError(f"{path}: no .yaml or .yml file in this folder")
    return found


def read(files: Iterable[Path]) -> list[RuleFile]:
    """
    Read rule files.

    Raises:
        RuleFileError: A file cannot be read.
    """
    return [RuleFile(str(file), _text(file)) for file in files]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig", errors="surrogateescape")  # the loader tells where a byte is no UTF-8
    except OSError as error:
        raise RuleFileError(f"{file}: cannot read the rule file: {error.strerror}") from None


def load(paths: Iterable[str], catalog: FieldCatalog, options: LoadOptions) -> RuleSet:
    """
    Load the rules that paths stand for.

    Raises:
        RuleFileError: A file cannot be read.
        RulesError: There are errors in them; it carries the whole report.
    """
    files = read(find(paths))
    result = load_rules(files, catalog, options)
    if result.ruleset is None:
        raise RulesError(result.report, {file.name: file.text for file in files})
    return result.ruleset
