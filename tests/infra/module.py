"""The module's files, parsed."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hcl2

MODULE = Path(__file__).resolve().parents[2] / "infra" / "terraform"

Body = dict[str, Any]


@dataclass
class Module:
    """
    What the files of a folder declare.

    Attributes:
        resources: By ``type.name``.
        data: By ``data.type.name``.
    """

    variables: dict[str, Body] = field(default_factory=dict)
    locals: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Body] = field(default_factory=dict)
    resources: dict[str, Body] = field(default_factory=dict)
    data: dict[str, Body] = field(default_factory=dict)
    calls: dict[str, Body] = field(default_factory=dict)
    providers: dict[str, Body] = field(default_factory=dict)

    def everything(self) -> Iterator[Any]:
        for part in (self.variables, self.locals, self.outputs, self.resources, self.data, self.calls, self.providers):
            yield from part.values()


@functools.cache
def parse(folder: Path = MODULE) -> Module:
    """Parse the .tf files of a folder."""
    module = Module()
    for path in sorted(folder.glob("*.tf")):
        content = hcl2.loads(path.read_text())
        module.variables.update(_named(content, "variable"))
        module.outputs.update(_named(content, "output"))
        module.calls.update(_named(content, "module"))
        module.providers.update(_named(content, "provider"))
        for block in content.get("locals", []):
            module.locals.update(_own(block))
        module.resources.update(_typed(content, "resource", ""))
        module.data.update(_typed(content, "data", "data."))
    return module


def _own(block: Body) -> Body:
    return {text(key): value for key, value in block.items() if not key.startswith("__")}


def _named(content: Body, kind: str) -> dict[str, Body]:
    return {name: body for block in content.get(kind, []) for name, body in _own(block).items()}


def _typed(content: Body, kind: str, prefix: str) -> dict[str, Body]:
    return {
        f"{prefix}{of}.{name}": body
        for block in content.get(kind, [])
        for of, named in _own(block).items()
        for name, body in _own(named).items()
    }


def text(quoted: str) -> str:
    """Return a string without the quotes it has in the source."""
    return quoted[1:-1].replace('\\"', '"') if quoted.startswith('"') else quoted


def strings(body: Any) -> Iterator[str]:
    """Yield every expression and text in a body; comments left out."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list):
        for item in body:
            yield from strings(item)
    elif isinstance(body, dict):
        for key, value in body.items():
            if key != "__comments__":
                yield key
                yield from strings(value)


def references(body: Any, pattern: str) -> set[str]:
    """Return what a pattern finds in the expressions of a body, its first group."""
    return {found for part in strings(body) for found in re.findall(pattern, part)}


def comments(body: Any) -> Iterator[str]:
    """Yield the comments in a body."""
    if isinstance(body, list):
        for item in body:
            yield from comments(item)
    elif isinstance(body, dict):
        yield from (comment["value"] for comment in body.get("__comments__", []))
        for value in body.values():
            yield from comments(value)


def statements(document: Body) -> dict[str, tuple[str, set[str]]]:
    """Return the statements of a policy document: by name, on what condition they are there, and their actions."""
    found = {}
    plain = [("", body) for body in document.get("statement", [])]
    dynamic = [
        (block['"statement"']["for_each"], content)
        for block in document.get("dynamic", [])
        if '"statement"' in block
        for content in block['"statement"']["content"]
    ]
    for condition, body in plain + dynamic:
        found[text(body["sid"])] = (condition, references(body["actions"], r'"([a-z0-9]+:[A-Za-z*]+)"'))
    return found
