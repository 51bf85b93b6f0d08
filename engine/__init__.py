"""The rule engine: the Falco rule language, compiled. Knows no source and does no I/O."""
