"""``python -m lanner`` is the command ``lanner``."""

from lanner.cli import main

main()
