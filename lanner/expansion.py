"""``${VAR}`` in the values of a configuration (spec: surface CF04)."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import yaml

_REFERENCE = re.compile(r"(?P<escape>\$)?\$\{(?P<body>[^}]*)\}")
_FILE = "file:"
_DEFAULT = ":-"

Tell = Callable[[yaml.Node, str], None]
"""Takes a node and what is to be said of it."""


def expand(root: yaml.Node, environment: Mapping[str, str], wrong: Tell, note: Tell) -> None:
    """
    Put values in the place of ``${VAR}``, ``${VAR:-default}`` and ``${file:/path}``, within scalars that are values.

    ``$${VAR}`` stays, as ``${VAR}``. A value that something was put into is read again as YAML would, so that
    ``port: ${PORT}`` is a number. A variable that is not set and has no default is empty text and a note, as the
    content of a file that cannot be read is a mistake.
    """
    for node in _scalars(root):
        if "${" in node.value:
            _expand(node, environment, wrong, note)


def _expand(node: yaml.ScalarNode, environment: Mapping[str, str], wrong: Tell, note: Tell) -> None:
    node.value = _REFERENCE.sub(lambda found: _value(found, node, environment, wrong, note), node.value)
    node.tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
    node.style = None


def _scalars(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Yield the scalars that are values, each once however many aliases it has."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield node
        elif isinstance(node, yaml.MappingNode):
            stack.extend(value for _, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            stack.extend(node.value)


def _value(found: "re.Match[str]", node: yaml.Node, environment: Mapping[str, str], wrong: Tell, note: Tell) -> str:
    body = found["body"]
    if found["escape"]:
        return f"${{{body}}}"
    if body.startswith(_FILE):
        return _content(body.removeprefix(_FILE), node, wrong)
    name, default, fallback = body.partition(_DEFAULT)
    value = environment.get(name)
    if default:
        return value or fallback
    if value is None:
        note(node, f"${{{name}}} is not set and counts as empty; ${{{name}:-default}} gives it a default")
    return value or ""


def _content(path: str, node: yaml.Node, wrong: Tell) -> str:
    try:
        return Path(path).read_text("utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        wrong(node, f"cannot read ${{file:{path}}}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}")
        return ""
