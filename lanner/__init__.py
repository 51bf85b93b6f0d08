"""The program: command line, configuration, wiring and outputs."""
