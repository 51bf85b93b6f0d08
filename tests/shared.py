"""The data set beside the repository, for tests that read real events and rule files where it is present."""

from pathlib import Path

import pytest

_HERE = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SHARED: Path | None = _HERE if _HERE.is_dir() else None

needs_shared = pytest.mark.skipif(SHARED is None, reason="no data set (../shared/data) beside this checkout")
