"""The program: command line, configuration, wiring and outputs."""

__version__ = "0.1.0"
