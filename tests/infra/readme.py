"""Makes the tables in the module's README from its source: ``python -m tests.infra.readme``."""

import json
import re
from typing import Any

import hcl2

from tests.infra.module import MODULE, Body, Module, parse, text

BEGIN, END = "<!-- BEGIN_TF_DOCS -->", "<!-- END_TF_DOCS -->"


def tables() -> str:
    """Return requirements, resources, inputs and outputs as terraform-docs lays them out."""
    module = parse()
    return "\n\n".join([_requirements(), _resources(module), _inputs(module), _outputs(module)])


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, tuple("-" * len(column) for column in columns), *rows]
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _requirements() -> str:
    (block,) = hcl2.loads((MODULE / "versions.tf").read_text())["terraform"]
    (providers,) = block["required_providers"]
    rows = [("terraform", _code(text(block["required_version"])))]
    rows += [(name, _code(text(body["version"]))) for name, body in providers.items() if not name.startswith("__")]
    return _table("Requirements", ("Name", "Version"), rows)


def _resources(module: Module) -> str:
    rows = [(_code(address), "resource") for address in sorted(module.resources)]
    rows += [(_code(address.removeprefix("data.")), "data source") for address in sorted(module.data)]
    return _table("Resources", ("Name", "Type"), rows)


def _inputs(module: Module) -> str:
    rows = [
        (name, text(body["description"]), _type(body), _default(body), _required(body))
        for name, body in sorted(module.variables.items())
    ]
    return _table("Inputs", ("Name", "Description", "Type", "Default", "Required"), rows)


def _outputs(module: Module) -> str:
    rows = [(name, text(body["description"])) for name, body in sorted(module.outputs.items())]
    return _table("Outputs", ("Name", "Description"), rows)


def _type(body: Body) -> str:
    return _code(re.sub(r"\s+", " ", body["type"].removeprefix("${").removesuffix("}")))


def _default(body: Body) -> str:
    return _code(json.dumps(_plain(body["default"]))) if "default" in body else "n/a"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not key.startswith("__")}
    return value


def _required(body: Body) -> str:
    return "no" if "default" in body else "yes"


def _code(words: str) -> str:
    return f"`{words}`".replace("|", "\\|")


if __name__ == "__main__":
    path = MODULE / "README.md"
    old = path.read_text()
    path.write_text(f"{old[: old.index(BEGIN)]}{BEGIN}\n\n{tables()}\n\n{old[old.index(END) :]}")
