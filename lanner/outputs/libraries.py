"""Client libraries that only some outputs want; they come with an extra of the package."""

import importlib
from typing import Any


def library(module: str, extra: str) -> Any:
    """Return a module that an extra of the package brings. Raises ValueError when it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"the package {error.name} is missing: pip install 'lanner[{extra}]'") from None
